/* SPDX-License-Identifier: Apache-2.0 */
/* Included ahead of everything: time passes as an input says, so that it does the same each time. */
#ifndef FUZZ_CLOCK_H
#define FUZZ_CLOCK_H

extern unsigned long fuzz_tsc;

#define __builtin_ia32_rdtsc() (fuzz_tsc += 100)

#endif
