/* SPDX-License-Identifier: Apache-2.0 */
/* Names of functions of ELF files, by .symtab (of the file, or of its debug file) or .dynsym. */
#ifndef HOST_SYMBOLS_H
#define HOST_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

struct symbol {
    uint64_t offset, size; /* in the file */
    const char *name;
};

struct symbols {
    struct symbol *list; /* sorted by offset */
    size_t count;
};

/* Of a file; kept, so that it costs nothing the next time. Empty where there are none. Thread-safe. */
const struct symbols *symbols_of(const char *path);

/* The function that this place of the file is in, NULL: it is not known. */
const struct symbol *symbols_find(const struct symbols *s, uint64_t offset);

/* Prints a line: for EXIT_FRAME. */
void frame_print(uint32_t number, int kind, uint64_t address, const char *path, size_t length, uint64_t offset);

#endif
