/* SPDX-License-Identifier: Apache-2.0 */
/* Runs inputs that are files, without a fuzzer: for coverage, and for debuggers. Folders are walked. */
#include <ftw.h>

#include "fuzz/input.h"

static unsigned long inputs;

static int run(const char *path, const struct stat *s, int kind, struct FTW *where)
{
    (void)where;
    if (kind != FTW_F)
        return 0;
    uint8_t *bytes = malloc((size_t)s->st_size + 1);
    FILE *file = fopen(path, "rb");
    if (!bytes || !file)
        return 1;
    size_t size = fread(bytes, 1, (size_t)s->st_size, file);
    fclose(file);
    /* Of its own size: what reads beyond it is found. */
    uint8_t *input = malloc(size);
    memcpy(input, bytes, size);
    free(bytes);
    LLVMFuzzerTestOneInput(input, size);
    free(input);
    inputs++;
    return 0;
}

int main(int argc, char **argv)
{
    LLVMFuzzerInitialize(&argc, &argv);
    for (int i = 1; i < argc; i++) {
        if (nftw(argv[i], run, 16, 0)) {
            fprintf(stderr, "replay: cannot read '%s'\n", argv[i]);
            return 1;
        }
    }
    printf("%lu inputs\n", inputs);
    return !inputs;
}
