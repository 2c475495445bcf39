/* SPDX-License-Identifier: Apache-2.0 */
/* What `rakis doctor` looks at, and how it is told. */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include <jansson.h>
#include <stdint.h>

enum finding {
    FINDING_OK,   /* it is there */
    FINDING_LACK, /* it is not, and rakis does without */
    FINDING_FAIL, /* rakis cannot run */
};

/*
 * One line: a name, what was found, and what to do about a lack (NULL: nothing). The object that
 * --json shows for it comes back, so that values can be set in it; it belongs to the report.
 */
json_t *doctor_say(enum finding finding, const char *name, const char *advice, const char *format,
                   ...) __attribute__((format(printf, 4, 5)));

/* doctor_enclave.c: what enclaves need of CPU and kernel, and whether one runs. */
void doctor_processor(void);
void doctor_enclave(void);

/* doctor_io.c: what rings need of the kernel, of privileges and of the interfaces. */
void doctor_uring(void);
void doctor_xdp(void);
void doctor_interfaces(void);

#endif
