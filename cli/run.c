/* SPDX-License-Identifier: Apache-2.0 */
/* rakis run */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "host/host.h"

#define TRANSITION_MAX 1000000000ul
#define SIZE_DEFAULT (16ul << 30)
#define SIZE_LEAST (1ul << 20)
#define SIZE_MOST (1ul << 45)

#define NET_THREADS_MAX 16 /* one an XSK */

extern char **environ;

static const char *const log_levels[] = {"error", "warning", "info", "debug", "trace"};

void help_run(void)
{
    /* clang-format off */
    puts("usage: rakis run [OPTION...] [--] PROGRAM [ARG...]\n"
         "\n"
         "Runs PROGRAM, found in PATH, in an enclave. Its exit status becomes that of rakis.\n"
         "\n"
         "  --platform auto|sgx|emu  what runs the enclave: the CPU, or SGX in software, which\n"
         "                           keeps nothing secret; auto: the CPU if it can (default)\n"
         "  --io rings|exits         I/O over rings shared with the kernel (default), or by an\n"
         "                           exit for each call\n"
         "  --sqpoll                 a thread of the kernel submits for the io_urings, which takes\n"
         "                           a core while there is I/O: for machines with cores to spare\n"
         "  --iface IF[:QUEUES]      serve UDP on this interface over AF_XDP, by all of its queues\n"
         "                           or those given, as in eth0:2-3; may be repeated\n"
         "  --xsk-uds PATH           where rakis-xdpd, or an AF_XDP device plugin, listens\n"
         "  --net-threads N          threads in the enclave that do nothing but receive for the\n"
         "                           others: for machines with many cores (default 0)\n"
         "  --no-polling             no thread of the host polls rings where a core is spare\n"
         "  --no-host-names          the program is not told the host's name and name servers:\n"
         "                           it is localhost, and resolves only that\n"
         "  --transition-cycles N    emu: cycles of leaving and entering (default 8200)\n"
         "  --enclave-size SIZE      a power of two, with K, M or G (default 16G)\n"
         "  --stats FILE             write statistics as JSON at the end and on SIGUSR2;\n"
         "                           -: to stderr\n"
         "  --log LEVEL              error, warning (default), info, debug or trace\n"
         "  --perf                   write /tmp/perf-PID.map, by which perf(1) names functions");
    /* clang-format on */
}

static int usage(const char *option, const char *value, const char *wanted)
{
    complain("%s %s: %s", option, value, wanted);
    return STATUS_USAGE;
}

static bool number_parse(const char *text, const char *suffixes, uint64_t *out)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    unsigned shift = 0;
    const char *suffix = *end && *suffixes ? strchr(suffixes, *end & ~0x20) : NULL;
    if (suffix) {
        shift = 10 * (unsigned)(suffix - suffixes + 1);
        end++;
    }
    if (errno || *end || value > UINT64_MAX >> shift)
        return false;
    *out = value << shift;
    return true;
}

static int parse_size(struct run_options *o, const char *text)
{
    uint64_t size;
    if (!number_parse(text, "KMGT", &size))
        return usage("--enclave-size", text, "not a size: give a number with K, M or G, as in 16G");
    if (!size || size & (size - 1))
        return usage("--enclave-size", text,
                     "an enclave's size is a power of two: 1G, 2G, 4G, ...");
    if (size < SIZE_LEAST || size > SIZE_MOST)
        return usage("--enclave-size", text, "from 1M to 32T");
    o->enclave_size = size;
    return 0;
}

static int parse_platform(struct run_options *o, const char *text)
{
    if (!strcmp(text, "auto"))
        o->platform = NULL;
    else if (!strcmp(text, "sgx"))
        o->platform = &platform_sgx;
    else if (!strcmp(text, "emu"))
        o->platform = &platform_emu;
    else
        return usage("--platform", text, "auto, sgx or emu");
    return 0;
}

static int parse_level(struct run_options *o, const char *text)
{
    for (int i = 0; i < (int)(sizeof log_levels / sizeof *log_levels); i++)
        if (!strcmp(text, log_levels[i])) {
            o->log_level = i;
            return 0;
        }
    return usage("--log", text, "error, warning, info, debug or trace");
}

/* "N" or "N-M". */
static bool queues_parse(const char *text, struct queue_range *out)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    unsigned long first = strtoul(text, &end, 10), last = first;
    if (*end == '-' && end[1] >= '0' && end[1] <= '9')
        last = strtoul(end + 1, &end, 10);
    if (*end || last < first || last >= INTERFACE_QUEUES)
        return false;
    *out = (struct queue_range){(uint32_t)first, (uint32_t)(last - first + 1)};
    return true;
}

static int parse_interface(struct run_options *o, char *text)
{
    struct queue_range queues = {0, 0};
    char *colon = strchr(text, ':');
    if (colon && !queues_parse(colon + 1, &queues))
        return usage("--iface", text, "queues are given as in eth0:1 or eth0:2-3");
    if (colon)
        *colon = '\0';
    for (size_t i = 0; i < o->interface_count; i++)
        if (!strcmp(o->interfaces[i], text))
            return 0;
    if (o->interface_count == INTERFACES_MAX)
        return usage("--iface", text, "too many interfaces");
    o->queues[o->interface_count] = queues;
    o->interfaces[o->interface_count++] = text;
    return 0;
}

static int parse_option(struct run_options *o, int option, char *value)
{
    uint64_t number;
    switch (option) {
    case 'p':
        return parse_platform(o, value);
    case 'i':
        o->rings = !strcmp(value, "rings");
        return o->rings || !strcmp(value, "exits") ? 0 : usage("--io", value, "rings or exits");
    case 'q':
        o->sqpoll = true;
        return 0;
    case 'f':
        return parse_interface(o, value);
    case 'n':
        if (!number_parse(value, "", &number) || number > NET_THREADS_MAX)
            return usage("--net-threads", value, "a number of threads, at most 16");
        o->net_threads = (unsigned)number;
        return 0;
    case 'N':
        o->host_names = false;
        return 0;
    case 'o':
        o->polling = false;
        return 0;
    case 'u':
        o->xsk_uds = value;
        return 0;
    case 't':
        if (!number_parse(value, "", &o->transition_cycles) ||
            o->transition_cycles > TRANSITION_MAX)
            return usage("--transition-cycles", value, "a number of cycles, 0 for no cost");
        return 0;
    case 'e':
        return parse_size(o, value);
    case 's':
        o->statistics_path = value;
        return 0;
    case 'l':
        return parse_level(o, value);
    case 'P':
        o->perf = true;
        return 0;
    }
    return STATUS_USAGE;
}

/* The options; *first is where PROGRAM is. 0, or the status to exit with; -1: help was asked for.
 */
static int parse(struct run_options *o, int argc, char **argv, int *first)
{
    static const struct option options[] = {
        {"platform", required_argument, NULL, 'p'},
        {"io", required_argument, NULL, 'i'},
        {"sqpoll", no_argument, NULL, 'q'},
        {"iface", required_argument, NULL, 'f'},
        {"net-threads", required_argument, NULL, 'n'},
        {"xsk-uds", required_argument, NULL, 'u'},
        {"no-polling", no_argument, NULL, 'o'},
        {"no-host-names", no_argument, NULL, 'N'},
        {"transition-cycles", required_argument, NULL, 't'},
        {"enclave-size", required_argument, NULL, 'e'},
        {"stats", required_argument, NULL, 's'},
        {"log", required_argument, NULL, 'l'},
        {"perf", no_argument, NULL, 'P'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    opterr = 0;
    optind = 1;
    int option, error = 0;
    while (!error && (option = getopt_long(argc, argv, "+:h", options, NULL)) != -1) {
        const char *word = argv[optind - 1];
        if (option == 'h')
            return -1;
        if (option == ':') {
            complain("%s needs a value: try rakis help run", word);
            return STATUS_USAGE;
        }
        if (option == '?') {
            if (optopt && optopt < 128 && word[1] != '-')
                complain("there is no option -%c: try rakis help run", optopt);
            else
                complain("there is no option %s: try rakis help run", word);
            return STATUS_USAGE;
        }
        error = parse_option(o, option, optarg);
    }
    if (error)
        return error;
    if (o->xsk_uds && !o->interface_count) {
        complain("--xsk-uds serves the interfaces that --iface names: name one");
        return STATUS_USAGE;
    }
    if (o->interface_count && !o->rings) {
        complain("--iface serves UDP over rings: leave out --io exits, or --iface");
        return STATUS_USAGE;
    }
    if (optind == argc) {
        complain("a program to run is missing: try rakis help run");
        return STATUS_USAGE;
    }
    *first = optind;
    return 0;
}

static int platform_choose(struct run_options *o)
{
    if (!o->platform)
        o->platform = platform_sgx.probe() ? &platform_emu : &platform_sgx;
    if (!o->platform->probe())
        return 0;
    complain("%s", platform_error());
    return STATUS_FAILED;
}

/* Beside this executable, in the build folder or as installed. */
static int image_find(char *path, size_t size)
{
    static const char *const places[] = {"enclave", "../" RAKIS_LIBDIR "/rakis", "../lib/rakis"};
    const char *given = getenv("RAKIS_ENCLAVE");
    if (given) {
        snprintf(path, size, "%s", given);
        return 0;
    }
    char self_path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self_path, sizeof self_path - 1);
    if (length < 0) {
        complain("cannot read /proc/self/exe: %s", strerror(errno));
        return STATUS_FAILED;
    }
    self_path[length] = '\0';
    const char *folder = dirname(self_path);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (snprintf(path, size, "%s/%s/rakis-enclave", folder, places[i]) < (int)size &&
            !access(path, R_OK))
            return 0;
    complain(
        "cannot find the enclave image rakis-enclave near %s: build or install it, or name it with "
        "RAKIS_ENCLAVE",
        folder);
    return STATUS_FAILED;
}

/* Better now than when the program has run for an hour. */
static int statistics_check(const char *path)
{
    char copy[PATH_MAX];
    struct stat status;
    if (!path || !strcmp(path, "-"))
        return 0;
    int error = 0;
    if (snprintf(copy, sizeof copy, "%s", path) >= (int)sizeof copy)
        error = ENAMETOOLONG;
    else if (!stat(path, &status) && S_ISDIR(status.st_mode))
        error = EISDIR;
    else if (access(path, F_OK) ? access(dirname(copy), W_OK | X_OK) : access(path, W_OK))
        error = errno;
    if (!error)
        return 0;
    complain("cannot write statistics to %s: %s", path, strerror(error));
    return STATUS_FAILED;
}

/* Descriptor 2 is the program's: it may close it, and use the number for something else. What we say goes
 * through a copy of it, which is returned. */
static int messages_keep(void)
{
    int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    FILE *copy = fd < 0 ? NULL : fdopen(fd, "w");
    if (copy) {
        setvbuf(copy, NULL, _IONBF, 0);
        stderr = copy;
    }
    return fd;
}

int command_run(int argc, char **argv)
{
    static char program[PATH_MAX], image[PATH_MAX];
    struct run_options options = {
        .rings = true,
        .polling = true,
        .host_names = true, /* a development configuration */
        .transition_cycles = TRANSITION_DEFAULT,
        .enclave_size = SIZE_DEFAULT,
        .log_level = LOG_WARNING,
        .image_path = image,
        .program = program,
        .environment = environ,
    };
    int first = 0, status = parse(&options, argc, argv, &first);
    if (status < 0) {
        help_run();
        return 0;
    }
    if (!status)
        status = program_find(argv[first], program, sizeof program);
    if (!status)
        status = statistics_check(options.statistics_path);
    if (!status)
        status = platform_choose(&options);
    if (!status)
        status = image_find(image, sizeof image);
    if (status)
        return status;
    init_become();
    options.arguments = argv + first;
    options.statistics_fd = messages_keep();
    if (options.log_level >= LOG_WARNING)
        complain("development configuration (no manifest)%s: not for production",
                 options.platform == &platform_emu ? " on software SGX" : "");

    status = host_run(&options);
    fflush(NULL);
    if (status < 0)
        _exit(STATUS_FAILED);
    host_end(status);
}
