/* SPDX-License-Identifier: Apache-2.0 */
/* The program's address space: what it maps, changes, gives back. */
#include "tests/unit/memory_world.h"

static void anonymous_memory_is_zero_and_as_protected(void **state)
{
    (void)state;
    uint64_t at = map_anonymous(3, RW);
    assert_int_equal(world.exits, 1);
    assert_true(is_zero(at, 3 * PAGE_SIZE));
    memset((void *)at, 1, 3 * PAGE_SIZE);
    uint64_t constant = map_anonymous(1, PROT_READ);
    assert_int_equal(access_of(constant), PROT_READ);
    assert_true(memory_allows(constant, 1, PROT_READ));
    assert_false(memory_allows(constant, 1, PROT_WRITE));
    assert_false(memory_allows(NO_ADDRESS, 1, PROT_READ));
    assert_false(memory_allows(at, UINT64_MAX, PROT_READ));
}

static void a_reservation_costs_no_exit(void **state)
{
    (void)state;
    uint64_t at = map(0, 32 << 20, PROT_NONE, ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_int_equal(world.exits, 0);
    assert_int_equal(access_of(at), 0);
    assert_int_equal(sys_mprotect(at + PAGE_SIZE, 2 * PAGE_SIZE, RW, 0, 0, 0), 0);
    assert_int_equal(world.exits, 1);
    assert_int_equal(access_of(at), 0);
    assert_int_equal(access_of(at + PAGE_SIZE), RW);
    assert_int_equal(access_of(at + 3 * PAGE_SIZE), 0);
}

static void wrong_arguments_get_the_error_of_linux(void **state)
{
    (void)state;
    uint64_t used = map_anonymous(1, RW);
    const struct {
        uint64_t hint, length;
        int protection, flags, fd;
        uint64_t offset;
        int error;
    } cases[] = {
        {0, 0, RW, ANONYMOUS, -1, 0, EINVAL},
        {0, 4096, RW, MAP_ANONYMOUS, -1, 0, EINVAL},
        {0, 4096, RW, ANONYMOUS, -1, 1, EINVAL},
        {0, UINT64_MAX, RW, ANONYMOUS, -1, 0, ENOMEM},
        {0, SIZE, RW, ANONYMOUS, -1, 0, ENOMEM},
        {0, 4096, RW, MAP_PRIVATE, 9, 0, EBADF},
        {0, 4096, RW, MAP_PRIVATE, 5, 100, EINVAL},
        {used + 1, 4096, RW, ANONYMOUS | MAP_FIXED, -1, 0, EINVAL},
        {used, 4096, RW, ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0, EEXIST},
        {NO_ADDRESS, 4096, RW, ANONYMOUS | MAP_FIXED, -1, 0, ENOMEM},
        {enclave.base, 4096, RW, ANONYMOUS | MAP_FIXED, -1, 0, ENOMEM},
        {enclave.program_end, 4096, RW, ANONYMOUS | MAP_FIXED, -1, 0, ENOMEM},
        {enclave.program_end - 4096, 8192, RW, ANONYMOUS | MAP_FIXED, -1, 0, ENOMEM},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (sys_mmap(cases[i].hint, cases[i].length, (uint64_t)cases[i].protection,
                     (uint64_t)cases[i].flags, (uint64_t)cases[i].fd, cases[i].offset) !=
            -cases[i].error)
            fail_msg("case %zu", i);
    assert_int_equal(sys_munmap(used + 1, 4096, 0, 0, 0, 0), -EINVAL);
    assert_int_equal(sys_munmap(used, 0, 0, 0, 0, 0), -EINVAL);
    assert_int_equal(sys_munmap(enclave.base, 4096, 0, 0, 0, 0), -EINVAL);
    assert_int_equal(sys_munmap(enclave.program_end, 4096, 0, 0, 0, 0), -EINVAL);
    assert_int_equal(sys_mprotect(used + 1, 4096, RW, 0, 0, 0), -EINVAL);
    assert_int_equal(sys_mprotect(used, 4096, 0x80, 0, 0, 0), -EINVAL);
    assert_int_equal(sys_mprotect(enclave.base, 4096, RW, 0, 0, 0), -ENOMEM);
    assert_int_equal(sys_madvise(used, 4096, 999, 0, 0, 0), -EINVAL);
}

static void a_hint_is_taken_when_it_is_free(void **state)
{
    (void)state;
    uint64_t hint = enclave.dynamic + (8 << 20);
    assert_int_equal(map(hint, 8192, RW, ANONYMOUS, -1, 0), hint);
    assert_int_not_equal(map(hint, 4096, RW, ANONYMOUS, -1, 0), hint);
    map(NO_ADDRESS, 4096, RW, ANONYMOUS, -1, 0);
}

static void a_fixed_mapping_replaces_what_was_there(void **state)
{
    (void)state;
    uint64_t at = map_anonymous(4, RW);
    memset((void *)at, 7, 4 * PAGE_SIZE);
    map(at + PAGE_SIZE, PAGE_SIZE, RW, ANONYMOUS | MAP_FIXED, -1, 0);
    assert_int_equal(*(uint8_t *)at, 7);
    assert_true(is_zero(at + PAGE_SIZE, PAGE_SIZE));
    assert_int_equal(*(uint8_t *)(at + 2 * PAGE_SIZE), 7);
    map(at + 2 * PAGE_SIZE, PAGE_SIZE, PROT_NONE, ANONYMOUS | MAP_FIXED, -1, 0);
    assert_int_equal(access_of(at + 2 * PAGE_SIZE), 0);
}

static void unmapping_leaves_a_hole(void **state)
{
    (void)state;
    uint64_t at = map_anonymous(3, RW);
    memset((void *)at, 7, 3 * PAGE_SIZE);
    assert_int_equal(sys_munmap(at + PAGE_SIZE, 1, 0, 0, 0, 0), 0);
    assert_int_equal(access_of(at), RW);
    assert_int_equal(access_of(at + PAGE_SIZE), 0);
    assert_int_equal(access_of(at + 2 * PAGE_SIZE), RW);
    assert_int_equal(sys_mprotect(at, 3 * PAGE_SIZE, PROT_READ, 0, 0, 0), -ENOMEM);
    assert_int_equal(sys_munmap(at + PAGE_SIZE, PAGE_SIZE, 0, 0, 0, 0), 0); /* again: nothing */
    assert_int_equal(map_anonymous(1, RW), at + PAGE_SIZE);
    assert_true(is_zero(at + PAGE_SIZE, PAGE_SIZE));
}

static void check_file_at(uint64_t at, uint64_t offset, uint64_t length)
{
    uint64_t n = MIN(length, FILE_LENGTH - offset);
    assert_memory_equal((void *)at, contents + offset, n);
    assert_true(is_zero(at + n, length - n));
}

static void a_private_mapping_has_the_file_and_then_zeros(void **state)
{
    (void)state;
    uint64_t at = map(0, 5 * PAGE_SIZE, PROT_READ, MAP_PRIVATE, 5, 0);
    check_file_at(at, 0, 5 * PAGE_SIZE);
    assert_int_equal(access_of(at), PROT_READ);
    at = map(0, PAGE_SIZE, RW, MAP_PRIVATE, 5, 2 * PAGE_SIZE);
    check_file_at(at, 2 * PAGE_SIZE, PAGE_SIZE);
    assert_int_equal(access_of(at), RW);
    at = map(0, PAGE_SIZE, PROT_READ, MAP_SHARED, 5, PAGE_SIZE);
    check_file_at(at, PAGE_SIZE, PAGE_SIZE);
}

static void a_file_over_used_pages_shows_nothing_of_them(void **state)
{
    (void)state;
    uint64_t at = map_anonymous(4, RW);
    memset((void *)at, 0xee, 4 * PAGE_SIZE);
    map(at, 4 * PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_FIXED, 5, 0);
    check_file_at(at, 0, 4 * PAGE_SIZE);
}

static void code_is_patched_before_it_becomes_executable(void **state)
{
    (void)state;
    uint64_t at = map(0, 2 * PAGE_SIZE, PROT_READ | PROT_EXEC, MAP_PRIVATE, 5, 0);
    assert_int_equal(world.patched, 1);
    assert_true(world.patched_writable);
    assert_int_equal(access_of(at), PROT_READ);
    assert_true(memory_allows(at, 2 * PAGE_SIZE, PROT_READ | PROT_EXEC));
    map(0, PAGE_SIZE, PROT_READ, MAP_PRIVATE, 5, 0);
    assert_int_equal(world.patched, 1);
}

static void what_fails_leaves_nothing_mapped(void **state)
{
    (void)state;
    struct memory_use use;
    world.page_error = -ENOMEM;
    assert_int_equal(sys_mmap(0, 4096, RW, ANONYMOUS, UINT64_MAX, 0), -ENOMEM);
    assert_int_equal(sys_mmap(0, 4096, RW, MAP_PRIVATE, 5, 0), -ENOMEM);
    assert_int_equal(sys_brk(enclave.dynamic + 0x20000, 0, 0, 0, 0, 0), enclave.dynamic + 0x10000);
    assert_int_equal(memory_map_near(enclave.dynamic, 4096, RW, AREA_TRAMPOLINE), -ENOMEM);
    world.page_error = 0;
    world.read_error = -EIO;
    assert_int_equal(sys_mmap(0, 4096, RW, MAP_PRIVATE, 5, 0), -EIO);
    memory_usage(&use);
    assert_int_equal(use.total, 0);
    assert_int_equal(access_of(enclave.program_end - 4096), 0);
}

static void the_heap_grows_and_shrinks(void **state)
{
    (void)state;
    uint64_t low = enclave.dynamic + 0x10000;
    assert_int_equal(sys_brk(0, 0, 0, 0, 0, 0), low);
    assert_int_equal(sys_brk(low + 10000, 0, 0, 0, 0, 0), low + 10000);
    assert_true(is_zero(low, 10000));
    memset((void *)low, 1, 10000);
    assert_int_equal(sys_brk(low + 100, 0, 0, 0, 0, 0), low + 100);
    assert_int_equal(access_of(low), RW);
    assert_int_equal(access_of(low + PAGE_SIZE), 0);
    assert_int_equal(sys_brk(low + 10000, 0, 0, 0, 0, 0), low + 10000);
    assert_true(is_zero(low + PAGE_SIZE, 10000 - PAGE_SIZE));
    assert_int_equal(sys_brk(low - 1, 0, 0, 0, 0, 0), low + 10000);
    assert_int_equal(sys_brk(enclave.program_end + 1, 0, 0, 0, 0, 0), low + 10000);
    map(low + 0x10000, PAGE_SIZE, RW, ANONYMOUS | MAP_FIXED, -1, 0);
    assert_int_equal(sys_brk(low + 0x20000, 0, 0, 0, 0, 0), low + 10000);
}

static void a_mapping_grows_where_it_is_or_moves(void **state)
{
    (void)state;
    uint64_t at = map(enclave.dynamic + (8 << 20), 2 * PAGE_SIZE, RW, ANONYMOUS, -1, 0);
    memset((void *)at, 7, 2 * PAGE_SIZE);
    assert_int_equal(sys_mremap(at, 2 * PAGE_SIZE, 3 * PAGE_SIZE, 0, 0, 0), at);
    assert_true(is_zero(at + 2 * PAGE_SIZE, PAGE_SIZE));
    map(at + 3 * PAGE_SIZE, PAGE_SIZE, PROT_READ, ANONYMOUS | MAP_FIXED, -1, 0);
    assert_int_equal(sys_mremap(at, 3 * PAGE_SIZE, 4 * PAGE_SIZE, 0, 0, 0), -ENOMEM);
    int64_t to = sys_mremap(at, 3 * PAGE_SIZE, 4 * PAGE_SIZE, MREMAP_MAYMOVE, 0, 0);
    assert_true(to > 0 && (uint64_t)to != at);
    assert_int_equal(access_of(at), 0);
    assert_int_equal(((uint8_t *)to)[2 * PAGE_SIZE - 1], 7);
    assert_true(is_zero((uint64_t)to + 2 * PAGE_SIZE, 2 * PAGE_SIZE));
    assert_int_equal(sys_mremap((uint64_t)to, 4 * PAGE_SIZE, PAGE_SIZE, 0, 0, 0), to);
    assert_int_equal(access_of((uint64_t)to + PAGE_SIZE), 0);
    uint64_t target = enclave.dynamic + (16 << 20);
    assert_int_equal(sys_mremap((uint64_t)to, PAGE_SIZE, 2 * PAGE_SIZE,
                                MREMAP_MAYMOVE | MREMAP_FIXED, target, 0), target);
    assert_int_equal(*(uint8_t *)target, 7);
    assert_int_equal(sys_mremap(NO_ADDRESS, PAGE_SIZE, PAGE_SIZE, 0, 0, 0), -EFAULT);
    assert_int_equal(sys_mremap(target + 1, PAGE_SIZE, PAGE_SIZE, 0, 0, 0), -EINVAL);
    assert_int_equal(sys_mremap(target, PAGE_SIZE, 0, 0, 0, 0), -EINVAL);
}

static void a_shared_mapping_changes_the_file(void **state)
{
    (void)state;
    uint8_t *p = (uint8_t *)map(0, 3 * PAGE_SIZE, RW, MAP_SHARED, 5, 0);
    assert_memory_equal(p, contents, FILE_LENGTH);
    p[0] = 200;
    p[5000] = 201;
    p[FILE_LENGTH - 1] = 202;
    p[FILE_LENGTH] = 203; /* beyond its end: of no effect */
    assert_int_equal(contents[0], 1);
    assert_int_equal(sys_msync((uint64_t)p, PAGE_SIZE, MS_ASYNC, 0, 0, 0), 0);
    assert_int_equal(contents[0], 200);
    assert_int_not_equal(contents[5000], 201);
    assert_int_equal(world.synced, 0);
    assert_int_equal(sys_msync((uint64_t)p, 3 * PAGE_SIZE, MS_SYNC, 0, 0, 0), 0);
    assert_int_equal(contents[5000], 201);
    assert_int_equal(contents[FILE_LENGTH - 1], 202);
    assert_int_equal(world.synced, 1);
    assert_int_equal(world.written, 3);
    assert_int_equal(sys_msync((uint64_t)p, PAGE_SIZE, MS_ASYNC | MS_SYNC, 0, 0, 0), -EINVAL);
    p[1] = 210;
    assert_int_equal(sys_munmap((uint64_t)p, PAGE_SIZE, 0, 0, 0, 0), 0);
    assert_int_equal(contents[1], 210);
    assert_true(memory_shares());
    p[2 * PAGE_SIZE] = 211;
    assert_int_equal(sys_munmap((uint64_t)p, 3 * PAGE_SIZE, 0, 0, 0, 0), 0);
    assert_int_equal(contents[2 * PAGE_SIZE], 211);
    assert_false(memory_shares());
    assert_int_equal(file.references, 1);
}

static void changes_of_others_come_in_beside_ours(void **state)
{
    (void)state;
    uint8_t *p = (uint8_t *)map(0, 2 * PAGE_SIZE, RW, MAP_SHARED, 5, PAGE_SIZE);
    p[10] = 220;
    contents[PAGE_SIZE + 11] = 221;
    contents[PAGE_SIZE + 10] = 222; /* both: ours is the later */
    memory_pull_file(&file, 0, UINT64_MAX, false);
    assert_int_equal(p[10], 220);
    assert_int_equal(p[11], 221);
    memory_push_file(&file, 0, UINT64_MAX);
    assert_int_equal(contents[PAGE_SIZE + 10], 220);
    assert_int_equal(contents[PAGE_SIZE + 11], 221);
    assert_int_equal(world.written, 1);
    contents[PAGE_SIZE + 20] = 5;
    memory_pull_file(&file, 0, PAGE_SIZE, true);
    assert_int_not_equal(p[20], 5);
    memory_pull_file(&file, PAGE_SIZE + 20, PAGE_SIZE + 21, true);
    assert_int_equal(p[20], 5);
}

static void what_cannot_be_written_here_follows_the_file(void **state)
{
    (void)state;
    uint64_t at = map(0, 2 * PAGE_SIZE, PROT_READ, MAP_SHARED, 5, 0);
    world.tick = UINT64_MAX / 1000;
    int reads = world.reads;
    memory_pull_file(&file, 0, UINT64_MAX, false);
    assert_true(world.reads > reads); /* it may have changed without its time being another */
    world.tick = 0;
    memory_pull_file(&file, 0, UINT64_MAX, false); /* from now on its time is known to be old */
    reads = world.reads;
    memory_pull_file(&file, 0, UINT64_MAX, false);
    assert_int_equal(world.reads, reads);
    contents[7] = 99;
    world.modified = 5;
    memory_pull_file(&file, 0, UINT64_MAX, false);
    assert_int_equal(((uint8_t *)at)[7], 99);
    assert_int_equal(access_of(at), PROT_READ);
}

static void a_shared_mapping_becomes_writable_and_back(void **state)
{
    (void)state;
    uint64_t at = map(0, 2 * PAGE_SIZE, PROT_READ, MAP_SHARED, 5, 0);
    assert_int_equal(memory_protect(at + PAGE_SIZE, PAGE_SIZE, RW), 0);
    ((uint8_t *)at)[PAGE_SIZE] = 230;
    assert_int_equal(memory_protect(at + PAGE_SIZE, PAGE_SIZE, PROT_NONE), 0);
    assert_int_equal(contents[PAGE_SIZE], 230);
    assert_int_equal(access_of(at + PAGE_SIZE), 0);
    file.flags = O_RDONLY;
    assert_int_equal(memory_protect(at, PAGE_SIZE, RW), -EACCES);
    assert_int_equal(sys_mmap(0, PAGE_SIZE, RW, MAP_SHARED, 5, 0), -EACCES);
    assert_true(sys_mmap(0, PAGE_SIZE, RW, MAP_PRIVATE, 5, 0) > 0);
    file.flags = O_WRONLY;
    assert_int_equal(sys_mmap(0, PAGE_SIZE, PROT_READ, MAP_SHARED, 5, 0), -EACCES);
    file.flags = O_RDWR;
    world.sealed = true;
    assert_int_equal(sys_mmap(0, PAGE_SIZE, RW, MAP_SHARED, 5, 0), -EPERM);
    file.flags = O_RDWR | O_APPEND;
    world.sealed = false;
    assert_true(sys_mmap(0, PAGE_SIZE, RW, MAP_SHARED, 5, 0) > 0);
    assert_int_equal(world.opened_again, 1);
}

static void a_shared_mapping_moves_and_grows(void **state)
{
    (void)state;
    uint64_t at = map(enclave.dynamic + (8 << 20), PAGE_SIZE, RW, MAP_SHARED, 5, 0);
    *(uint8_t *)at = 240;
    assert_int_equal(sys_mremap(at, PAGE_SIZE, 2 * PAGE_SIZE, 0, 0, 0), at);
    assert_memory_equal((void *)(at + PAGE_SIZE), contents + PAGE_SIZE, PAGE_SIZE);
    map(at + 2 * PAGE_SIZE, PAGE_SIZE, PROT_READ, ANONYMOUS | MAP_FIXED, -1, 0);
    int64_t to = sys_mremap(at, PAGE_SIZE, 3 * PAGE_SIZE, MREMAP_MAYMOVE, 0, 0);
    assert_true(to > 0 && (uint64_t)to != at);
    assert_memory_equal((void *)to, contents, FILE_LENGTH);
    assert_int_equal(contents[0], 240);
    ((uint8_t *)to)[5000] = 241;
    /* What is mapped over it does not take its changes with it. */
    map((uint64_t)to, 3 * PAGE_SIZE, PROT_READ, ANONYMOUS | MAP_FIXED, -1, 0);
    assert_int_equal(contents[5000], 241);
}

static void what_cannot_be_written_is_tried_again(void **state)
{
    (void)state;
    uint8_t *p = (uint8_t *)map(0, PAGE_SIZE, RW, MAP_SHARED, 5, 0);
    p[3] = 250;
    world.write_error = -ENOSPC;
    assert_int_equal(sys_msync((uint64_t)p, PAGE_SIZE, MS_SYNC, 0, 0, 0), -ENOSPC);
    world.write_error = 0;
    assert_int_equal(sys_msync((uint64_t)p, PAGE_SIZE, MS_SYNC, 0, 0, 0), 0);
    assert_int_equal(contents[3], 250);
    p[4] = 251;
    assert_int_equal(memory_push_all(), 0);
    assert_int_equal(contents[4], 251);
}

static void shared_memory_is_kept_where_it_is_not_needed(void **state)
{
    (void)state;
    uint64_t at = map(0, PAGE_SIZE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    *(uint8_t *)at = 9;
    assert_int_equal(sys_madvise(at, PAGE_SIZE, MADV_DONTNEED, 0, 0, 0), 0);
    assert_int_equal(*(uint8_t *)at, 9);
}

static void memory_that_is_not_needed_reads_as_zero(void **state)
{
    (void)state;
    uint64_t at = map_anonymous(3, RW);
    memset((void *)at, 7, 3 * PAGE_SIZE);
    assert_int_equal(sys_madvise(at + PAGE_SIZE, PAGE_SIZE, MADV_DONTNEED, 0, 0, 0), 0);
    assert_int_equal(*(uint8_t *)at, 7);
    assert_true(is_zero(at + PAGE_SIZE, PAGE_SIZE));
    assert_int_equal(*(uint8_t *)(at + 2 * PAGE_SIZE), 7);
    assert_int_equal(sys_madvise(at, 4 * PAGE_SIZE, MADV_WILLNEED, 0, 0, 0), 0);
    assert_int_equal(sys_madvise(enclave.dynamic, PAGE_SIZE, MADV_DONTNEED, 0, 0, 0), -ENOMEM);
}

static void a_fault_tells_what_is_wrong(void **state)
{
    const uint64_t reading = 4, writing = 6, fetching = 20;
    (void)state;
    uint64_t at = map_anonymous(1, PROT_READ);
    assert_int_equal(memory_fault(NO_ADDRESS, reading), SEGV_MAPERR);
    assert_int_equal(memory_fault(at - PAGE_SIZE, reading), SEGV_MAPERR);
    assert_int_equal(memory_fault(at, writing), SEGV_ACCERR);
    assert_int_equal(memory_fault(at, fetching), SEGV_ACCERR);
    assert_int_equal(world.accepted, 0);
    assert_int_equal(memory_fault(at + 100, reading), 0);
    assert_int_equal(world.accepted, 1);
}

static void the_same_fault_is_not_tried_for_ever(void **state)
{
    int tries = 0;
    (void)state;
    uint64_t at = map_anonymous(1, PROT_READ);
    while (!memory_fault(at, 4) && tries < 1000)
        tries++;
    assert_in_range(tries, 1, 100);
}

static void trampolines_lie_beside_the_code(void **state)
{
    (void)state;
    uint64_t code = map(enclave.dynamic + (8 << 20), 4 * PAGE_SIZE, RW, ANONYMOUS, -1, 0);
    assert_int_equal(memory_map_near(code, PAGE_SIZE, RW, AREA_TRAMPOLINE), code - PAGE_SIZE);
    assert_int_equal(access_of(code - PAGE_SIZE), RW);
    uint64_t lowest = map(enclave.dynamic, PAGE_SIZE, RW, ANONYMOUS | MAP_FIXED, -1, 0);
    assert_int_equal(memory_map_near(lowest, PAGE_SIZE, RW, AREA_TRAMPOLINE), lowest + PAGE_SIZE);
}

static void the_libos_has_pages_that_no_program_reaches(void **state)
{
    (void)state;
    uint8_t *p = memory_libos_pages(100000);
    assert_non_null(p);
    assert_true((uint64_t)p >= enclave.program_end);
    assert_int_equal(access_of((uint64_t)p), RW);
    assert_true(is_zero((uint64_t)p, 100000));
    assert_int_equal(sys_munmap((uint64_t)p, PAGE_SIZE, 0, 0, 0, 0), -EINVAL);
    assert_int_equal(sys_mprotect((uint64_t)p, PAGE_SIZE, PROT_NONE, 0, 0, 0), -ENOMEM);
    assert_null(memory_libos_pages(SIZE));
    int exits = world.exits;
    for (int i = 0; i < 8; i++)
        assert_non_null(memory_libos_pages(PAGE_SIZE));
    assert_in_range(world.exits - exits, 0, 1);
}

static void maps_are_listed_as_in_proc(void **state)
{
    char text[1024], line[160];
    (void)state;
    uint64_t low = enclave.dynamic + 0x10000;
    uint64_t at = map(0, 3 * PAGE_SIZE, PROT_READ, MAP_PRIVATE, 5, 0);
    sys_brk(low + PAGE_SIZE, 0, 0, 0, 0, 0);
    int n = memory_print_maps(text, sizeof text, MAPS_LINES);
    assert_int_equal(n, strlen(text));
    snprintf(line, sizeof line, "%08lx-%08lx rw-p 00000000 00:00 0", low, low + PAGE_SIZE);
    assert_ptr_equal(strstr(text, line), text);
    assert_non_null(strstr(text, "[heap]\n"));
    snprintf(line, sizeof line, "%08lx-%08lx r--p 00000000 ", at, at + 3 * PAGE_SIZE);
    assert_non_null(strstr(text, line));
    assert_non_null(strstr(text, " /lib/libfile.so\n"));
    char little[20];
    assert_int_equal(memory_print_maps(little, sizeof little, MAPS_LINES), n);
    assert_memory_equal(little, text, sizeof little - 1);
    assert_int_equal(strstr(text, "[heap]") - text, 73); /* Linux's column */

    uint64_t parted = map_anonymous(3, RW); /* a hole makes two of one */
    assert_int_equal(sys_munmap(parted + PAGE_SIZE, PAGE_SIZE, 0, 0, 0, 0), 0);
    n = memory_print_maps(text, sizeof text, MAPS_LINES);
    assert_in_range(n, 1, sizeof text - 1);
    snprintf(line, sizeof line, "%08lx-%08lx rw-p ", parted, parted + PAGE_SIZE);
    assert_non_null(strstr(text, line));
    assert_int_equal(sys_munmap(parted, 3 * PAGE_SIZE, 0, 0, 0, 0), 0);

    struct memory_use use;
    memory_usage(&use);
    assert_int_equal(use.total, 4 * PAGE_SIZE);
    assert_int_equal(use.resident, 4 * PAGE_SIZE);
    assert_int_equal(use.file, 3 * PAGE_SIZE);
    assert_int_equal(use.data, PAGE_SIZE);
    char more[8192];
    n = memory_print_maps(more, sizeof more, MAPS_DETAILS);
    assert_int_equal(n, strlen(more));
    assert_non_null(strstr(more, "\nSize:                 12 kB\n"));
    assert_non_null(strstr(more, "\nPrivate_Clean:        12 kB\n"));
    n = memory_print_maps(more, sizeof more, MAPS_ROLLUP);
    assert_non_null(strstr(more, "[rollup]\nRss:                  16 kB\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(anonymous_memory_is_zero_and_as_protected, fresh),
        cmocka_unit_test_setup(a_reservation_costs_no_exit, fresh),
        cmocka_unit_test_setup(wrong_arguments_get_the_error_of_linux, fresh),
        cmocka_unit_test_setup(a_hint_is_taken_when_it_is_free, fresh),
        cmocka_unit_test_setup(a_fixed_mapping_replaces_what_was_there, fresh),
        cmocka_unit_test_setup(unmapping_leaves_a_hole, fresh),
        cmocka_unit_test_setup(a_private_mapping_has_the_file_and_then_zeros, fresh),
        cmocka_unit_test_setup(a_file_over_used_pages_shows_nothing_of_them, fresh),
        cmocka_unit_test_setup(code_is_patched_before_it_becomes_executable, fresh),
        cmocka_unit_test_setup(what_fails_leaves_nothing_mapped, fresh),
        cmocka_unit_test_setup(the_heap_grows_and_shrinks, fresh),
        cmocka_unit_test_setup(a_mapping_grows_where_it_is_or_moves, fresh),
        cmocka_unit_test_setup(a_shared_mapping_changes_the_file, fresh),
        cmocka_unit_test_setup(changes_of_others_come_in_beside_ours, fresh),
        cmocka_unit_test_setup(what_cannot_be_written_here_follows_the_file, fresh),
        cmocka_unit_test_setup(a_shared_mapping_becomes_writable_and_back, fresh),
        cmocka_unit_test_setup(a_shared_mapping_moves_and_grows, fresh),
        cmocka_unit_test_setup(what_cannot_be_written_is_tried_again, fresh),
        cmocka_unit_test_setup(shared_memory_is_kept_where_it_is_not_needed, fresh),
        cmocka_unit_test_setup(memory_that_is_not_needed_reads_as_zero, fresh),
        cmocka_unit_test_setup(a_fault_tells_what_is_wrong, fresh),
        cmocka_unit_test_setup(the_same_fault_is_not_tried_for_ever, fresh),
        cmocka_unit_test_setup(trampolines_lie_beside_the_code, fresh),
        cmocka_unit_test_setup(the_libos_has_pages_that_no_program_reaches, fresh),
        cmocka_unit_test_setup(maps_are_listed_as_in_proc, fresh),
    };
    return cmocka_run_group_tests_name("memory", tests, memory_world_start, NULL);
}
