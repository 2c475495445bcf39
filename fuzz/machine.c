/* SPDX-License-Identifier: Apache-2.0 */
/* What the machine is to the code under test: the copies of enclave/boundary/copy.S in C, so that the sanitizers
 * see where they read and write, and a clock that an input moves. */
#include "enclave/boundary/copy.h"
#include "fuzz/input.h"

unsigned long fuzz_tsc = 1;

int copy_words(void *to, const void *from, size_t words)
{
    for (size_t i = 0; i < words; i++) {
        uint64_t word;
        __builtin_memcpy(&word, (const uint8_t *)from + i * 8, 8);
        __builtin_memcpy((uint8_t *)to + i * 8, &word, 8);
    }
    return 0;
}

int copy_bytes(void *to, const void *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)to)[i] = ((const uint8_t *)from)[i];
    return 0;
}

/* What the unit tests' worlds require ends the run here, where no test is running. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    return setenv("CMOCKA_TEST_ABORT", "1", 1);
}
