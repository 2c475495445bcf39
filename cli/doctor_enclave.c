/* SPDX-License-Identifier: Apache-2.0 */
/* What enclaves need of CPU and kernel, whether a program runs in one, what a transition costs. */
#include <cpuid.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "cli/cli.h"
#include "cli/doctor.h"
#include "platform/enclave.h"
#include "platform/measure.h"
#include "platform/sigstruct.h"

#define RUN_MS 30000
#define MEASURE_MS 10000

/* ---- the CPU ---- */

#define LEAF_SGX 0x12
#define EPC_SECTION 1 /* kind of a sub-leaf of it (SDM 3D 33.7.2) */

struct processor {
    bool sgx, launch_control, sgx1, sgx2, virtual;
    uint64_t epc; /* bytes */
};

static struct processor processor_ask(void)
{
    struct processor p = {0};
    uint32_t a, b, c, d;
    if (__get_cpuid(1, &a, &b, &c, &d))
        p.virtual = c >> 31;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & 1u << 2))
        return p;
    p.sgx = true;
    p.launch_control = c >> 30 & 1;
    if (!__get_cpuid_count(LEAF_SGX, 0, &a, &b, &c, &d))
        return p;
    p.sgx1 = a & 1;
    p.sgx2 = a >> 1 & 1;
    for (uint32_t i = 2; __get_cpuid_count(LEAF_SGX, i, &a, &b, &c, &d); i++) {
        if ((a & 15) != EPC_SECTION)
            break;
        p.epc += (uint64_t)(d & 0xfffff) << 32 | (c & 0xfffff000);
    }
    return p;
}

void doctor_processor(void)
{
    static const char needs[] =
        "enclaves run on software SGX, which keeps nothing secret; secrecy needs an Intel CPU with "
        "SGX2 and flexible launch control, switched on in the firmware and by a hypervisor";
    const struct processor p = processor_ask();
    const char *where = p.virtual ? ", in a virtual machine" : "";
    bool fit = p.sgx1 && p.sgx2 && p.launch_control;
    json_t *check;
    if (!p.sgx)
        check = doctor_say(FINDING_LACK, "SGX", needs, "this CPU has none%s", where);
    else
        check = doctor_say(fit ? FINDING_OK : FINDING_LACK, "SGX", fit ? NULL : needs,
                           "SGX1 %s, SGX2 %s, flexible launch control %s, %lu MiB of EPC%s",
                           p.sgx1 ? "yes" : "no", p.sgx2 ? "yes" : "no",
                           p.launch_control ? "yes" : "no", p.epc >> 20, where);
    json_object_set_new(check, "sgx1", json_boolean(p.sgx1));
    json_object_set_new(check, "sgx2", json_boolean(p.sgx2));
    json_object_set_new(check, "launch_control", json_boolean(p.launch_control));
    json_object_set_new(check, "epc_bytes", json_integer((json_int_t)p.epc));

    bool driver = !platform_sgx.probe();
    if (driver)
        doctor_say(FINDING_OK, "SGX driver", NULL, "/dev/sgx_enclave can be used");
    else
        doctor_say(FINDING_LACK, "SGX driver", NULL, "%s", platform_error());

    bool usable = !platform_emu.probe();
    if (usable && !platform_fs_lost)
        doctor_say(FINDING_OK, "FSGSBASE", NULL, "allowed by the kernel");
    else if (usable)
        doctor_say(FINDING_LACK, "FSGSBASE", "switches of threads cost software SGX more here; Linux 5.9 or newer keeps it",
                   "in the CPU, but not kept by the kernel");
    else
        doctor_say(driver ? FINDING_LACK : FINDING_FAIL, "FSGSBASE",
                   "software SGX needs it: Linux 5.9 or newer, started without nofsgsbase", "%s", platform_error());
}

/* ---- a child ---- */

/* Its output up to the end, the room, or the time; its wait(2) status, -1: it had to be killed. */
static int child_end(pid_t child, int from, int timeout_ms, void *output, size_t room, size_t *got)
{
    struct timespec begin, now;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    bool late = false;
    for (*got = 0; !late && *got < room;) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        long left = timeout_ms - (now.tv_sec - begin.tv_sec) * 1000 -
                    (now.tv_nsec - begin.tv_nsec) / 1000000;
        struct pollfd wait = {.fd = from, .events = POLLIN};
        late = left <= 0 || poll(&wait, 1, (int)left) == 0;
        ssize_t n = late ? 0 : read(from, (uint8_t *)output + *got, room - *got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        *got += (size_t)n;
    }
    close(from);
    if (late)
        kill(child, SIGKILL);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    return late ? -1 : status;
}

/* ---- the cost of a transition ---- */

/* The least enclave: it is entered and leaves. */
enum { CODE = 0, TCS = 0x1000, SSA = 0x2000, BLOCK = 0x4000, ENCLAVE_SIZE = 0x10000 };
#define ENCLU_AT 8
#define ROUNDS 200
#define ENTRIES 64 /* a round */

struct cost {
    double cycles, nanoseconds; /* of entering and leaving */
    int error;
    char message[256];
};

static const uint8_t leave[] = {
    0x48, 0x89, 0xcb,          /* mov %rcx, %rbx: where EENTER came from */
    0xb8, 4,    0,    0,    0, /* mov $4, %eax: EEXIT */
    0x0f, 0x01, 0xd7,          /* enclu, with room for a jump */
    0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
};

/* Into a machine, or without one into a measurement. */
static int pages_put(const struct platform *platform, struct machine *m, struct measurement *into)
{
    static uint8_t code[4096] __attribute__((aligned(4096)));
    static struct sgx_tcs tcs __attribute__((aligned(4096))) = {
        .ossa = SSA,
        .nssa = 2,
        .oentry = CODE,
        .ofsbase = BLOCK,
        .ogsbase = BLOCK,
        .fslimit = UINT32_MAX,
        .gslimit = UINT32_MAX,
    };
    static const uint8_t zeros[3 * 4096] __attribute__((aligned(4096)));
    const struct {
        uint64_t offset, length, flags;
        const void *contents;
    } parts[] = {
        {CODE, 4096, SECINFO_REG | SECINFO_R | SECINFO_X, code},
        {TCS, 4096, SECINFO_TCS, &tcs},
        {SSA, sizeof zeros, SECINFO_REG | SECINFO_R | SECINFO_W, zeros}, /* and BLOCK */
    };
    memcpy(code, leave, sizeof leave);
    int error = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts && !error; i++) {
        if (m)
            error = platform->add(m, parts[i].offset, parts[i].contents, parts[i].length,
                                  parts[i].flags, true);
        for (uint64_t page = 0; !m && page < parts[i].length; page += 4096) {
            measure_add(into, parts[i].offset + page, parts[i].flags);
            for (uint64_t at = page; at < page + 4096; at += 256)
                measure_extend(into, parts[i].offset + at, (const uint8_t *)parts[i].contents + at);
        }
    }
    return error;
}

static int sign(struct sgx_sigstruct *out, const struct machine_options *o)
{
    struct sigstruct_claims claims = sigstruct_claims_of(o->attributes, o->xfrm, o->miscselect);
    struct measurement *measurement;
    int error = measure_create(&measurement, o->ssa_frame_pages, o->size);
    if (error)
        return error;
    pages_put(NULL, NULL, measurement);
    measure_final(measurement, claims.mrenclave);
    return sigstruct_sign(out, NULL, &claims);
}

static void unexpected(void *context, uint64_t tcs_offset)
{
    (void)context, (void)tcs_offset;
    _exit(1);
}

static int transitions(const struct platform *platform, struct machine *m, struct cost *best)
{
    int error = platform->thread_start(m, unexpected, NULL);
    for (int round = 0; round < ROUNDS && !error; round++) {
        struct timespec begin, end;
        clock_gettime(CLOCK_MONOTONIC, &begin);
        uint64_t cycles = __rdtsc();
        for (int i = 0; i < ENTRIES && !error; i++) {
            struct machine_entry entry = {0};
            error = platform->enter(m, TCS, &entry);
        }
        cycles = __rdtsc() - cycles;
        clock_gettime(CLOCK_MONOTONIC, &end);
        double each = (double)cycles / ENTRIES;
        if (round && each >= best->cycles)
            continue; /* the least: of what else the machine does, as little as possible */
        best->cycles = each;
        best->nanoseconds =
            ((double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec)) /
            ENTRIES;
    }
    return error;
}

static void cost_measure(const struct platform *platform, uint64_t cycles, struct cost *result)
{
    static const uint64_t sites[] = {CODE + ENCLU_AT};
    const struct machine_options options = {
        .size = ENCLAVE_SIZE,
        .address = MACHINE_ANYWHERE,
        .ssa_frame_pages = 1,
        .attributes = ATTRIBUTE_MODE64BIT,
        .xfrm = XFRM_LEGACY,
        .miscselect = MISCSELECT_EXINFO,
        .transition_cycles = cycles,
        .sites = sites,
        .site_count = 1,
    };
    static struct sgx_sigstruct sigstruct;
    struct machine *m = NULL;
    uint64_t base;
    int error = sign(&sigstruct, &options);
    if (!error)
        error = platform->create(&options, &m, &base);
    if (!error)
        error = pages_put(platform, m, NULL);
    if (!error)
        error = platform->init(m, &sigstruct);
    if (!error)
        error = transitions(platform, m, result);
    result->error = error;
    if (error)
        snprintf(result->message, sizeof result->message, "%s",
                 *platform_error() ? platform_error() : strerror(-error));
}

/* In a child: the emulator takes over signals and system calls of its process, and never lets go.
 */
static struct cost cost_ask(const struct platform *platform, uint64_t cycles)
{
    struct cost cost = {.error = -EIO, .message = "it ended early"};
    int ends[2];
    size_t got = 0;
    if (pipe(ends))
        return cost;
    pid_t child = fork();
    if (child == 0) {
        cost_measure(platform, cycles, &cost);
        ssize_t written = write(ends[1], &cost, sizeof cost);
        _exit(written != sizeof cost);
    }
    close(ends[1]);
    struct cost answer;
    if (child < 0)
        close(ends[0]);
    else if (!child_end(child, ends[0], MEASURE_MS, &answer, sizeof answer, &got) &&
             got == sizeof answer)
        cost = answer;
    return cost;
}

static void transition_say(const struct platform *platform, const char *name)
{
    bool emu = platform == &platform_emu;
    struct cost usual = cost_ask(platform, TRANSITION_DEFAULT);
    struct cost least = emu ? cost_ask(platform, 0) : usual;
    if (usual.error || least.error) {
        doctor_say(FINDING_LACK, name, NULL, "could not be measured: %s",
                   usual.error ? usual.message : least.message);
        return;
    }
    json_t *check =
        emu ? doctor_say(FINDING_OK, name, NULL,
                         "%.0f cycles (%.2f us) to leave and enter on software SGX, %.0f with "
                         "--transition-cycles 0",
                         usual.cycles, usual.nanoseconds / 1000, least.cycles)
            : doctor_say(FINDING_OK, name, NULL, "%.0f cycles (%.2f us) to leave and enter",
                         usual.cycles, usual.nanoseconds / 1000);
    json_object_set_new(check, "platform", json_string(platform->name));
    json_object_set_new(check, "cycles", json_real(usual.cycles));
    json_object_set_new(check, "nanoseconds", json_real(usual.nanoseconds));
    if (emu)
        json_object_set_new(check, "least_cycles", json_real(least.cycles));
}

/* ---- a program in an enclave ---- */

/* What it says in a line without "rakis: ". */
static char *complaint(char *text)
{
    text[strcspn(text, "\n")] = '\0';
    return strncmp(text, "rakis: ", 7) ? text : text + 7;
}

static void run_say(const struct platform *platform)
{
    static const char program[] = "/bin/true";
    char said[1024];
    size_t got = 0;
    int ends[2], status = -1;
    bool measured = !pipe(ends);
    pid_t child = measured ? fork() : -1;
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        execl("/proc/self/exe", "rakis", "run", "--log", "error", "--", program, (char *)NULL);
        dprintf(STDERR_FILENO, "cannot execute rakis: %s\n", strerror(errno));
        _exit(1);
    }
    if (measured)
        close(ends[1]);
    if (child > 0)
        status = child_end(child, ends[0], RUN_MS, said, sizeof said - 1, &got);
    else if (measured)
        close(ends[0]);
    said[got] = '\0';
    json_t *check;
    if (!status)
        check = doctor_say(FINDING_OK, "enclave", NULL, "%s ran in one, %s", program,
                           platform == &platform_emu ? "on software SGX" : "on SGX");
    else
        check = doctor_say(FINDING_FAIL, "enclave", NULL, "%s does not run in one: %s", program,
                           *said                 ? complaint(said)
                           : child < 0           ? "no process for it"
                           : status < 0          ? "it did not end"
                           : WIFSIGNALED(status) ? strsignal(WTERMSIG(status))
                                                 : "its status was not 0");
    json_object_set_new(check, "platform", json_string(platform->name));
}

void doctor_enclave(void)
{
    const struct platform *platform = platform_sgx.probe() ? &platform_emu : &platform_sgx;
    run_say(platform);
    transition_say(&platform_emu, "transition");
    if (platform == &platform_sgx)
        transition_say(platform, "SGX transition");
}
