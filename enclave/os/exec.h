/* SPDX-License-Identifier: Apache-2.0 */
/* A program that is to be started: what execve(2) or the configuration names. */
#ifndef OS_EXEC_H
#define OS_EXEC_H

#include <stdbool.h>
#include <stdint.h>

struct file;
struct loading; /* load/program.c's own */

/* Strings one after the other, each with its NUL. */
struct strings {
    char *bytes; /* alloc'ed */
    uint64_t size, room;
    uint32_t count;
};

/* 0, -ENOMEM. */
int strings_add(struct strings *s, const char *text);
void strings_drop(struct strings *s);

struct program {
    struct file *file; /* the ELF file; a reference, until program_check has taken it over */
    char *name;        /* as it was named: AT_EXECFN, and its last component the name of the process */
    bool unreachable;  /* that name is by a descriptor that is closed by then: of no use to an interpreter */
    struct strings arguments, environment;
    struct loading *loading; /* what program_check found */
};

/* Gives back what the program holds; not the struct. */
void program_drop(struct program *p);

/* From scripts to the ELF file that is to run in the end, with the arguments that they make: 0 or -errno. */
int program_resolve(struct program *p);

/* Bytes that arguments and environment may take, with their pointers. */
uint64_t program_strings_max(void);

/* Provided by load/. Can the file be loaded here? 0 or -errno; nothing has changed. *why, unless NULL, is set to
 * what is wrong with it where that is -ENOEXEC. */
int program_check(struct program *p, const char **why);
/* The files that it holds references to, NULL: none. */
#define PROGRAM_FILES 2
void program_files(const struct program *p, struct file *files[PROGRAM_FILES]);
/* Lays the program into an empty address space and starts it; the calling thread is the only one. Takes over
 * what *p holds. Returns -errno when that fails half way: the caller can only end the process. */
int program_run(struct program *p);

#endif
