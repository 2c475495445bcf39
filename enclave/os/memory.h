/* SPDX-License-Identifier: Apache-2.0 */
/* The program's address space: areas within the dynamic part of the enclave. */
#ifndef OS_MEMORY_H
#define OS_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

struct file;

/* Who an area belongs to, for /proc/self/maps and for what may be unmapped. */
enum area_kind { AREA_ANONYMOUS, AREA_FILE, AREA_HEAP, AREA_STACK, AREA_VDSO, AREA_TRAMPOLINE, AREA_LIBOS, AREA_COHERENT };

void memory_start(void); /* before anything else that allocates */

/* As mmap(2): address or negative errno. `file` NULL: anonymous. Takes no reference on `file`. */
int64_t memory_map(uint64_t hint, uint64_t length, int protection, int flags, struct file *file,
                   uint64_t offset, enum area_kind kind, const char *name);
int memory_unmap(uint64_t address, uint64_t length);
int memory_protect(uint64_t address, uint64_t length, int protection);

/* Provided by load/: called for code that has just been mapped from a file and is still writable. */
int patch_mapped(struct file *file, uint64_t address, uint64_t length, uint64_t file_offset, int protection);

/* Free pages, PROT as given, as near to `address` as there are, within ±1 GiB: for trampolines. */
int64_t memory_map_near(uint64_t address, uint64_t length, int protection, enum area_kind kind);

/* Is [address, +length) mapped with at least these PROT_ bits? */
bool memory_allows(uint64_t address, uint64_t length, int protection);

/* A fault at `address`: 0 when the page is now usable and the access is to be tried again (pages added
 * on demand, or by the file that is mapped there), else the si_code of the SIGSEGV: SEGV_MAPERR or SEGV_ACCERR; or
 * -errno: the file cannot be read, which is a SIGBUS. */
int memory_fault(uint64_t address, uint64_t error);

/* Shared mappings that have become common memory have no more to do with their files. The world is stopped. */
void memory_release_common(void);
/*
 * Shared mappings of files: the file and the pages are brought together where Linux has them the same.
 * What the program changed goes to the file before others look at it (push); what the file says comes
 * into the pages after others may have changed it (pull). [from, to) is of the file.
 */
extern uint32_t memory_shared_files; /* mappings there are: mostly none */
void memory_push_file(struct file *f, uint64_t from, uint64_t to);
/* `certain`: it has changed, so that no look is needed first. */
void memory_pull_file(struct file *f, uint64_t from, uint64_t to, bool certain);
/* Of all files: 0 or the first error. */
int memory_push_all(void);

static inline bool memory_shares(void)
{
    return __atomic_load_n(&memory_shared_files, __ATOMIC_RELAXED);
}

/* Whole pages for the LibOS itself (lib/alloc stands on it). NULL: none. */
void *memory_libos_pages(uint64_t length);

/* What is mapped at an address: false: nothing. */
struct memory_place {
    uint64_t start, end; /* of the area */
    const char *name;    /* of the file, NULL: none; it stays */
    uint64_t offset;     /* of the address in the file */
    uint64_t image;      /* where the file's beginning is mapped, as far as can be told; 0: nowhere */
    bool trampoline;
};
bool memory_place(uint64_t address, struct memory_place *out);

/* maps.c: the text of /proc/self/maps, smaps or smaps_rollup; how long it is, of which `size` bytes at most are written. */
enum maps_detail { MAPS_NOTHING, MAPS_LINES, MAPS_DETAILS, MAPS_ROLLUP };
int memory_print_maps(char *out, uint64_t size, enum maps_detail detail);
/* Bytes mapped for the program; thereof resident as far as is known, and of those what is as files have it; code;
 * what is written to. For /proc/self/status, stat, statm. */
struct memory_use {
    uint64_t total, resident, file, code, data;
};
void memory_usage(struct memory_use *use);

/* Takes everything of the program's away: an empty address space. */
int memory_clear(void);

/* Calls `look` for each area in order of address, with the table locked, as long as it returns 0. */
struct area;
int memory_look(int (*look)(const struct area *a, void *context), void *context);

/* For fork, while the world is stopped: every area in order of address; the LibOS's own pages, of which those up
 * to *used may hold something; and the exit that changes pages, without the table. */
int memory_visit(int (*visit)(const struct area *a, void *context), void *context);
void memory_libos_range(uint64_t *start, uint64_t *used, uint64_t *mapped);
/* The files behind shared mappings, a reference each. */
void memory_files(void (*visit)(struct file *f));
int memory_pages_set(uint64_t start, uint64_t end, int protection);     /* of pages that are there */
int memory_pages_add(uint64_t start, uint64_t end, int protection); /* makes them */

/* What of [address, +length) was to come when touched comes now, in a mapping that nobody else knows of yet, and what lies around
 * it; it can be written. 0 or -errno. */
int memory_complete(uint64_t address, uint64_t length);
/* The same of all mappings of this file: once all has come descriptors are closed, and as on any close of a file the
 * process's locks of it end (fcntl(2)), so that is to be before one is taken. */
void memory_complete_file(struct file *f);

/* order.bring: [address, +length), where other processes have it too, for the LibOS, which cannot be interrupted half
 * way. Not with a lock held that an exit may want. */
bool memory_bring(uint64_t address, uint64_t length, bool write);

/* brk starts here (after the program's image); see sys_brk. */
void memory_set_brk(uint64_t start);

#endif
