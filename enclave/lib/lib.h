/* SPDX-License-Identifier: Apache-2.0 */
/* What a freestanding program lacks. */
#ifndef LIB_LIB_H
#define LIB_LIB_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* string.c */
void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);
/* Copies of known, small size are a few instructions and no call. */
#ifndef LIB_STRING_C
#define memcpy(to, from, n) __builtin_memcpy((to), (from), (n))
#define memset(to, byte, n) __builtin_memset((to), (byte), (n))
#endif
size_t strlen(const char *s);
/*@ assigns \result \from s[0 .. n - 1];
    ensures \result <= n; */
size_t strnlen(const char *s, size_t n);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);

/* print.c: %d %i %u %x %p %s %c with l, ll, z, width, 0 and - . */
int print_format(char *out, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int print_vformat(char *out, size_t size, const char *format, va_list arguments);

/* alloc.c: LibOS's own memory, never the program's. Zeroed; 16-aligned; NULL when there is none. */
void *alloc(size_t size);
void *alloc_resize(void *p, size_t old_size, size_t new_size);
void alloc_free(void *p);

#define container_of(p, type, member) ((type *)((char *)(p)-offsetof(type, member)))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof *(a))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#endif
