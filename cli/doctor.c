/* SPDX-License-Identifier: Apache-2.0 */
/* rakis doctor */
#include "cli/doctor.h"

#include <getopt.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "cli/cli.h"
#include "host/host.h"

static struct {
    bool json, failed;
    json_t *checks;
} report;

json_t *doctor_say(enum finding finding, const char *name, const char *advice, const char *format,
                   ...)
{
    static const char *const words[] = {
        [FINDING_OK] = "ok", [FINDING_LACK] = "lack", [FINDING_FAIL] = "fail"};
    char found[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(found, sizeof found, format, arguments);
    va_end(arguments);
    report.failed = report.failed || finding == FINDING_FAIL;
    if (!report.json)
        printf("%-4s  %-14s  %s%s%s\n", words[finding], name, found, advice ? ": " : "",
               advice ? advice : "");

    json_t *check =
        json_pack("{s:s, s:s, s:s}", "name", name, "finding", words[finding], "found", found);
    if (advice)
        json_object_set_new(check, "advice", json_string(advice));
    json_array_append_new(report.checks, check);
    return check;
}

static void doctor_machine(void)
{
    struct utsname system;
    cpu_set_t cores;
    uname(&system);
    json_t *check = doctor_say(FINDING_OK, "kernel", NULL, "Linux %s", system.release);
    json_object_set_new(check, "release", json_string(system.release));
    if (sched_getaffinity(0, sizeof cores, &cores))
        return;
    int count = CPU_COUNT(&cores);
    check = doctor_say(FINDING_OK, "cores", NULL,
                       count > 1 ? "%d" : "%d: nothing of rakis spins, so it is enough", count);
    json_object_set_new(check, "count", json_integer(count));
}

void help_doctor(void)
{
    puts(
        "usage: rakis doctor [--json]\n"
        "\n"
        "Says what this machine offers to rakis, a line each, and what to do about what it lacks.\n"
        "Changes nothing. The exit status is 0 if programs can be run, 1 if not.\n"
        "\n"
        "  --json                   the same as JSON");
}

int command_doctor(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
    opterr = 0;
    optind = 1;
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (option) {
        case 'j':
            report.json = true;
            break;
        case 'h':
            help_doctor();
            return 0;
        default:
            complain("there is no option %s: try rakis help doctor", argv[optind - 1]);
            return STATUS_USAGE;
        }
    }
    if (optind < argc) {
        complain("doctor takes no '%s': try rakis help doctor", argv[optind]);
        return STATUS_USAGE;
    }
    /* Lines are shown as they are found; children print nothing of ours twice. */
    setvbuf(stdout, NULL, _IOLBF, 0);
    report.checks = json_array();

    doctor_machine();
    doctor_processor();
    doctor_enclave();
    doctor_uring();
    doctor_xdp();
    doctor_interfaces();
    doctor_say(FINDING_OK, "huge pages", NULL, "not needed");

    if (report.json) {
        json_t *all = json_pack("{s:s, s:b, s:o}", "version", RAKIS_VERSION, "can_run",
                                !report.failed, "checks", report.checks);
        json_dumpf(all, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
        putchar('\n');
        json_decref(all);
    } else {
        printf("\n%s\n", report.failed ? "rakis cannot run here" : "rakis can run here");
        json_decref(report.checks);
    }
    return report.failed ? STATUS_FAILED : 0;
}
