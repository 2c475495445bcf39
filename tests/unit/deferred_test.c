/* SPDX-License-Identifier: Apache-2.0 */
/* Private mappings of files that come when they are touched: whatever is done to them, the contents are the file's. */
#include "tests/unit/memory_world.h"

#include "enclave/boundary/order.h"
#include "enclave/os/deferred.h"

#define READ 4u /* the error code's bits of an access of the program's: by a program, */
#define WRITE 6u
#define FETCH 20u
#define LENGTH 0x80000ul /* of most mappings here */
#define PART 0x10000ul

static uint64_t map_large(uint64_t length, int protection, uint64_t offset)
{
    return map(0, length, protection, MAP_PRIVATE, 6, offset);
}

static bool here(uint64_t at)
{
    return access_of(at) != 0;
}

static void check_large(uint64_t at, uint64_t length, uint64_t offset)
{
    for (uint64_t i = 0; i < length; i++) {
        uint8_t byte = offset + i < LARGE_LENGTH ? large_byte(offset + i) : 0;
        if (((uint8_t *)at)[i] != byte)
            fail_msg("byte %lu of the file is %d, not %d", offset + i, ((uint8_t *)at)[i], byte);
    }
}

/* As the program touches all of it. */
static void touch_all(uint64_t at, uint64_t length)
{
    for (uint64_t page = at; page < at + length; page += PAGE_SIZE)
        if (!here(page))
            assert_int_equal(memory_fault(page + 5, READ), 0);
}

static void a_part_comes_when_it_is_touched(void **state)
{
    (void)state;
    uint64_t at = map_large(LENGTH, PROT_READ, 0);
    assert_int_equal(world.reads, 1);
    assert_true(here(at) && here(at + DEFERRED_FIRST - 1) && !here(at + DEFERRED_FIRST) && !here(at + LENGTH - 1));
    check_large(at, DEFERRED_FIRST, 0);
    uint64_t touched = at + 0x45678;
    int exits = world.exits;
    assert_int_equal(memory_fault(touched, READ), 0);
    assert_int_equal(world.exits, exits + 1);
    assert_int_equal(world.fetches, 1);
    uint64_t part = touched & ~(PART - 1);
    assert_true(!here(part - 1) && here(part) && here(part + PART - 1) && !here(part + PART));
    assert_int_equal(access_of(touched), PROT_READ);
    check_large(part, PART, part - at);
    assert_int_equal(memory_fault(at + LENGTH - 1, READ), 0);
    touch_all(at, LENGTH);
    check_large(at, LENGTH, 0);
    assert_int_equal(large.references, 1); /* nothing is left to come */
}

static void short_ones_and_those_to_be_written_come_whole(void **state)
{
    (void)state;
    uint64_t at = map_large(DEFERRED_FIRST, PROT_READ, 0);
    assert_true(here(at + DEFERRED_FIRST - 1));
    at = map_large(LENGTH, RW, 0x3000);
    check_large(at, LENGTH, 0x3000);
    at = map(0, LENGTH, PROT_READ, MAP_PRIVATE | MAP_POPULATE, 6, 0);
    check_large(at, LENGTH, 0);
    assert_int_equal(world.fetches, 0);
}

static void the_end_of_the_file_is_followed_by_zeros(void **state)
{
    (void)state;
    uint64_t offset = 0xc0000, length = 0x60000; /* the file ends within, whole pages lie beyond */
    uint64_t at = map_large(length, PROT_READ, offset);
    touch_all(at, length);
    check_large(at, length, offset);
}

static void protection_is_that_of_the_area(void **state)
{
    (void)state;
    uint64_t at = map_large(LENGTH, PROT_READ, 0), far = at + LENGTH - PAGE_SIZE;
    assert_int_equal(memory_fault(far, WRITE), SEGV_ACCERR);
    assert_int_equal(memory_fault(far, FETCH), SEGV_ACCERR);
    assert_int_equal(sys_mprotect(at, LENGTH, PROT_NONE, 0, 0, 0), 0);
    assert_true(!here(at) && !here(far));
    assert_int_equal(memory_fault(far, READ), SEGV_ACCERR);
    assert_int_equal(world.fetches, 0);
    assert_int_equal(sys_mprotect(at, LENGTH, PROT_READ, 0, 0, 0), 0);
    assert_true(here(at) && !here(far)); /* or it would read as zero */
    assert_int_equal(memory_fault(far, READ), 0);
    check_large(far, PAGE_SIZE, LENGTH - PAGE_SIZE);
    assert_int_equal(sys_mprotect(at, LENGTH, PROT_READ | PROT_EXEC, 0, 0, 0), 0);
    assert_int_equal(memory_fault(at + 0x20000, FETCH), 0);
    check_large(at + 0x20000, PAGE_SIZE, 0x20000);
}

static void what_becomes_writable_comes_first(void **state)
{
    (void)state;
    uint64_t at = map_large(LENGTH, PROT_READ, 0), some = at + 0x33000, length = 0x22000;
    assert_int_equal(sys_mprotect(some, length, RW, 0, 0, 0), 0);
    assert_int_equal(access_of(some), RW);
    assert_int_equal(access_of(some + length - 1), RW);
    check_large(some, length, some - at);
    assert_true(!here(some - 1) && !here(some + length));
    *(uint8_t *)some = 0;
    *(uint8_t *)(some + length - 1) = 0;
    touch_all(at, LENGTH); /* neighbours come without what was written there */
    assert_int_equal(*(uint8_t *)some, 0);
    assert_int_equal(*(uint8_t *)(some + length - 1), 0);
    check_large(at, some - at, 0);
    check_large(some + length, at + LENGTH - some - length, some - at + length);
}

/* A loader maps all of a library, and its parts over that: what was never touched is never read. */
static void a_mapping_over_what_has_not_come(void **state)
{
    (void)state;
    uint64_t at = map_large(LENGTH, PROT_READ, 0);
    assert_int_equal(map(at + 0x30000, 0x30000, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, 6, 0x10000), at + 0x30000);
    assert_int_equal(map(at + 0x60000, 0x10000, RW, MAP_PRIVATE | MAP_FIXED, 6, 0x50000), at + 0x60000);
    assert_int_equal(map(at + 0x70000, 0x10000, RW, ANONYMOUS | MAP_FIXED, -1, 0), at + 0x70000);
    assert_int_equal(world.patched, 1);
    assert_int_equal(world.fetches, 0);
    assert_true(is_zero(at + 0x70000, 0x10000));
    touch_all(at, LENGTH);
    check_large(at, 0x30000, 0);
    check_large(at + 0x30000, 0x30000, 0x10000);
    check_large(at + 0x60000, 0x10000, 0x50000);
    assert_int_equal(world.fetched, 0x20000 + 0x20000);
}

static void what_is_unmapped_is_let_go(void **state)
{
    (void)state;
    uint64_t at = map_large(LENGTH, PROT_READ, 0x1000), other = map_large(LENGTH, PROT_READ, 0);
    assert_int_equal(large.references, 2);
    int exits = world.exits;
    assert_int_equal(sys_munmap(at + 0x20000, 0x20000, 0, 0, 0, 0), 0);
    assert_int_equal(world.exits, exits); /* nothing was there */
    assert_int_equal(memory_fault(at + 0x20000, READ), SEGV_MAPERR);
    touch_all(at, 0x20000);
    touch_all(at + 0x40000, LENGTH - 0x40000);
    check_large(at, 0x20000, 0x1000);
    check_large(at + 0x40000, LENGTH - 0x40000, 0x41000);
    assert_int_equal(large.references, 2);
    assert_int_equal(sys_munmap(other, LENGTH, 0, 0, 0, 0), 0);
    assert_int_equal(large.references, 1);
    assert_true(here(at));
}

/* A call that reads from there copies on what has come. */
static void the_libos_brings_what_it_copies(void **state)
{
    (void)state;
    uint64_t at = map_large(LENGTH, PROT_READ, 0), end = at + LENGTH;
    assert_ptr_equal(order.bring, memory_bring);
    assert_false(memory_bring(at + 0x30000, 1, true));
    assert_false(memory_bring(at, DEFERRED_FIRST, false)); /* all here */
    assert_false(memory_bring(end, 4096, false));
    assert_false(memory_bring(at + 0x30000, UINT64_MAX, false));
    assert_int_equal(world.fetches, 0);
    assert_true(memory_bring(at + 0x2fff0, 0x20, false));
    assert_int_equal(world.fetches, 2);
    check_large(at + 0x20000, 0x20000, 0x20000);
    assert_true(memory_bring(at, 2 * LENGTH, false));
    check_large(at, LENGTH, 0);
    assert_int_equal(sys_mprotect(at, LENGTH, PROT_NONE, 0, 0, 0), 0);
    assert_false(memory_bring(at, LENGTH, false));
}

/* Or another thread, which may read all that time, would see zeros. */
static void what_becomes_writable_appears_with_its_contents(void **state)
{
    (void)state;
    uint64_t at = map_large(LENGTH, PROT_READ, 0);
    int reads = world.reads;
    world.page_error = -EIO; /* of pages that appear empty */
    assert_int_equal(sys_mprotect(at + 0x20000, 0x40000, RW, 0, 0, 0), 0);
    assert_int_equal(world.reads, reads);
    check_large(at + 0x20000, 0x40000, 0x20000);
    world.page_error = 0;
    at = map_large(LENGTH, PROT_READ, 0x1000);
    world.page_error = -EIO;
    assert_int_equal(sys_mprotect(at, LENGTH, PROT_NONE, 0, 0, 0), 0);
    assert_int_equal(sys_mremap(at, LENGTH, LENGTH, 0, 0, 0), at);
    assert_false(here(at + LENGTH - 1));
    world.page_error = 0;
    assert_int_equal(sys_mprotect(at, LENGTH, PROT_READ, 0, 0, 0), 0);
    check_large(at, LENGTH, 0x1000);
}

/* As whoever changes a new mapping asks for it, before anybody else knows of it. */
static void what_is_to_be_changed_comes_with_what_lies_around(void **state)
{
    (void)state;
    uint64_t at = map_large(LENGTH, PROT_READ, 0), some = at + 0x2fff0;
    assert_int_equal(memory_complete(some, 0x20), 0); /* over the end of a part */
    assert_true(!here(at + 0x1ffff) && here(at + 0x20000) && here(at + 0x3ffff) && !here(at + 0x40000));
    assert_int_equal(access_of(some), RW);
    assert_int_equal(access_of(at + 0x3ffff), RW);
    check_large(at + 0x20000, 0x20000, 0x20000);
    int exits = world.exits;
    assert_int_equal(memory_complete(some, 0x20), 0);
    assert_int_equal(world.exits, exits);
    world.read_error = -EIO;
    assert_int_equal(memory_complete(at, LENGTH), -EIO);
    assert_true(!here(at + 0x10000) && !here(at + LENGTH - 1));
    world.read_error = 0;
    world.page_error = -ENOMEM;
    assert_int_equal(memory_complete(at, LENGTH), -ENOMEM);
    world.page_error = 0;
    assert_int_equal(memory_complete(at, LENGTH), 0);
    check_large(at, LENGTH, 0);
    assert_int_equal(large.references, 1);
}

/* In the middle of a call, which has something in the bounce buffer: nothing may be asked but for the part. */
static void what_others_write_is_no_matter_when_a_part_comes(void **state)
{
    (void)state;
    uint64_t at = map_large(LENGTH, PROT_READ, 0);
    uint8_t *shared = (uint8_t *)map(0, FILE_LENGTH, RW, MAP_SHARED, 5, 0);
    shared[77] = 78;
    int asked = world.asked;
    assert_true(memory_bring(at + 0x30000, 1, false));
    assert_int_equal(memory_fault(at + 0x60000, READ), 0);
    assert_int_equal(world.asked, asked);
    assert_int_equal(world.written, 0);
    assert_int_equal(sys_munmap((uint64_t)shared, FILE_LENGTH, 0, 0, 0, 0), 0);
}

static void what_is_written_by_a_mapping_comes_whole(void **state)
{
    (void)state;
    uint64_t at = map_large(LENGTH, PROT_READ, 0), other = map_large(LENGTH, PROT_NONE, 0x1000);
    map(0, FILE_LENGTH, RW, MAP_SHARED, 5, 0);
    assert_false(here(at + LENGTH - 1)); /* that was another file */
    large.flags = O_RDWR;
    /* Over a part that has not come: the file's end lies in it. */
    uint64_t offset = LARGE_LENGTH & ~(PAGE_SIZE - 1), third = map_large(LENGTH, PROT_READ, offset - 0x20000);
    uint64_t over = map(third + 0x20000, PAGE_SIZE, RW, MAP_SHARED | MAP_FIXED, 6, offset);
    check_large(over, PAGE_SIZE, offset);
    assert_true(here(at + LENGTH - 1) && !here(other + LENGTH - 1));
    int fetches = world.fetches;
    check_large(at, LENGTH, 0);
    assert_int_equal(sys_mprotect(other, LENGTH, PROT_READ, 0, 0, 0), 0);
    check_large(other, LENGTH, 0x1000);
    assert_true(here(map_large(LENGTH, PROT_READ, 0) + LENGTH - 1));
    assert_int_equal(world.fetches, fetches);
}

static void a_file_may_be_wanted_whole(void **state)
{
    (void)state;
    uint64_t at = map_large(LENGTH, PROT_READ, 0), other = map_large(LENGTH, PROT_NONE, 0);
    memory_complete_file(&file);
    assert_false(here(at + LENGTH - 1));
    memory_complete_file(&large);
    assert_int_equal(large.references, 1); /* its descriptor would be closed now */
    check_large(at, LENGTH, 0);
    assert_false(here(other + LENGTH - 1));
}

/* Each time another thread was first; or it never comes. */
static void a_page_may_be_missed_often(void **state)
{
    (void)state;
    uint64_t address = 0;
    for (int i = 0; i < 100; i++) {
        uint64_t at = map_large(LENGTH, PROT_READ, 0);
        assert_true(!address || address == at + 0x30000);
        address = at + 0x30000;
        assert_true(memory_bring(address, 1, false)); /* the other's */
        assert_int_equal(memory_fault(address, READ), 0);
        assert_int_equal(sys_munmap(at, LENGTH, 0, 0, 0, 0), 0);
    }
    uint64_t at = map_large(LENGTH, PROT_READ, 0);
    int tries = 0;
    while (!memory_fault(at, READ) && tries < 1000)
        tries++;
    assert_in_range(tries, 2, 100);
}

static void a_file_that_cannot_be_read_is_tried_again(void **state)
{
    (void)state;
    uint64_t at = map_large(LENGTH, PROT_READ, 0), far = at + 0x30000;
    world.read_error = -EIO;
    assert_int_equal(memory_fault(far, READ), -EIO);
    assert_false(memory_bring(far, 1, false));
    assert_int_equal(sys_mprotect(at, LENGTH, RW, 0, 0, 0), -EIO);
    assert_false(here(far));
    int64_t error = sys_mmap(0, LENGTH, PROT_READ, MAP_PRIVATE, 6, 0);
    assert_int_equal(error, -EIO);
    world.read_error = 0;
    assert_int_equal(memory_fault(far, READ), 0);
    touch_all(at, LENGTH);
    check_large(at, LENGTH, 0);
}

static void it_moves_with_what_has_come_and_what_has_not(void **state)
{
    (void)state;
    uint64_t at = map_large(LENGTH, PROT_READ, 0);
    touch_all(at + 0x40000, PAGE_SIZE);
    int64_t to = sys_mremap(at, LENGTH, 2 * LENGTH, MREMAP_MAYMOVE, 0, 0);
    assert_true(to > 0);
    check_large((uint64_t)to, LENGTH, 0);
    assert_true(is_zero((uint64_t)to + LENGTH, LENGTH));
    assert_int_equal(access_of((uint64_t)to), PROT_READ);
    assert_false(here(at));

    at = map_large(LENGTH, PROT_READ, 0);
    assert_int_equal(sys_mremap(at, LENGTH, LENGTH / 2, 0, 0, 0), at);
    check_large(at, LENGTH / 2, 0);
    assert_int_equal(access_of(at + LENGTH / 2 - 1), PROT_READ);
    assert_false(here(at + LENGTH / 2));
}

static void a_cpu_has_the_enclave_copy(void **state)
{
    (void)state;
    world.to_accept = true;
    uint64_t at = map_large(LENGTH, PROT_READ, 0);
    touch_all(at, LENGTH);
    check_large(at, LENGTH, 0);
    assert_int_equal(access_of(at + LENGTH - 1), PROT_READ);
}

/* The last one: the enclave ends with it. */
static void a_host_that_lies_is_found_out(void **state)
{
    (void)state;
    uint64_t at = map_large(LENGTH, PROT_READ, 0);
    world.move_lies = true;
    if (!setjmp(world.violated)) {
        memory_fault(at + 0x30000, READ);
        fail_msg("pages that are not there are believed");
    }
}

/* What has come and what has not is one mapping, as on Linux. */
static void maps_tell_one_mapping(void **state)
{
    (void)state;
    char text[4096];
    uint64_t at = map_large(LENGTH, PROT_READ, 0x1000);
    touch_all(at + 0x30000, PAGE_SIZE);
    int n = memory_print_maps(text, sizeof text, MAPS_LINES);
    assert_in_range(n, 1, sizeof text - 1);
    text[n] = 0;
    char line[64];
    snprintf(line, sizeof line, "%08lx-%08lx r--p 00001000 ", at, at + LENGTH);
    assert_memory_equal(text, line, strlen(line));
    assert_null(strstr(strchr(text, '\n') + 1, "liblarge"));
    struct memory_use use;
    memory_usage(&use);
    assert_int_equal(use.total, LENGTH);
    assert_in_range(use.resident, DEFERRED_FIRST + PART, DEFERRED_FIRST + 2 * PART);
    assert_int_equal(use.file, use.resident);
    assert_true(memory_allows(at, LENGTH, PROT_READ));
    assert_false(memory_allows(at, LENGTH, PROT_WRITE));
    struct memory_place place;
    assert_true(memory_place(at + 0x45000, &place));
    assert_int_equal(place.offset, 0x46000);
}

/* Whatever is done to it in whatever order: a page is the file's until it was written. */
static void any_order(void **state)
{
    (void)state;
    static uint8_t written[LENGTH / PAGE_SIZE];
    static int allowed[LENGTH / PAGE_SIZE];
    uint64_t seed = 88172645463325252ull;
    for (int round = 0; round < 200; round++) {
        uint64_t at = map_large(LENGTH, PROT_READ, 0);
        memset(written, 0, sizeof written);
        for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
            allowed[i] = PROT_READ;
        for (int step = 0; step < 40; step++) {
            seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
            uint64_t from = seed % ARRAY_SIZE(allowed), count = 1 + (seed >> 20) % (ARRAY_SIZE(allowed) - from);
            static const int protections[] = {PROT_NONE, PROT_READ, RW, PROT_READ | PROT_EXEC, PROT_READ};
            int protection = protections[(seed >> 40) % ARRAY_SIZE(protections)];
            uint64_t page = at + from * PAGE_SIZE;
            switch ((seed >> 50) % 4) {
            case 0:
                assert_int_equal(sys_mprotect(page, count * PAGE_SIZE, (uint64_t)protection, 0, 0, 0), 0);
                for (uint64_t i = from; i < from + count; i++)
                    allowed[i] = protection;
                break;
            case 1:
                if (!here(page))
                    assert_int_equal(memory_fault(page, READ), allowed[from] & PROT_READ ? 0 : SEGV_ACCERR);
                break;
            case 2:
                memory_bring(page, count * PAGE_SIZE, false);
                break;
            case 3:
                if (allowed[from] & PROT_WRITE) {
                    memset((void *)page, 0xee, PAGE_SIZE);
                    written[from] = 1;
                }
                break;
            }
        }
        for (uint64_t i = 0; i < ARRAY_SIZE(allowed); i++) {
            uint64_t page = at + i * PAGE_SIZE;
            if (!(allowed[i] & PROT_READ)) {
                assert_false(here(page));
                continue;
            }
            if (!here(page))
                assert_int_equal(memory_fault(page, READ), 0);
            assert_int_equal(access_of(page) & PROT_READ, PROT_READ);
            if (!written[i])
                check_large(page, PAGE_SIZE, i * PAGE_SIZE);
            else
                assert_int_equal(*(uint8_t *)(page + 77), 0xee);
        }
        assert_int_equal(sys_munmap(at, LENGTH, 0, 0, 0, 0), 0);
        assert_int_equal(large.references, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_part_comes_when_it_is_touched, fresh),
        cmocka_unit_test_setup(short_ones_and_those_to_be_written_come_whole, fresh),
        cmocka_unit_test_setup(the_end_of_the_file_is_followed_by_zeros, fresh),
        cmocka_unit_test_setup(protection_is_that_of_the_area, fresh),
        cmocka_unit_test_setup(what_becomes_writable_comes_first, fresh),
        cmocka_unit_test_setup(a_mapping_over_what_has_not_come, fresh),
        cmocka_unit_test_setup(what_is_unmapped_is_let_go, fresh),
        cmocka_unit_test_setup(the_libos_brings_what_it_copies, fresh),
        cmocka_unit_test_setup(what_becomes_writable_appears_with_its_contents, fresh),
        cmocka_unit_test_setup(what_is_to_be_changed_comes_with_what_lies_around, fresh),
        cmocka_unit_test_setup(what_others_write_is_no_matter_when_a_part_comes, fresh),
        cmocka_unit_test_setup(what_is_written_by_a_mapping_comes_whole, fresh),
        cmocka_unit_test_setup(a_file_may_be_wanted_whole, fresh),
        cmocka_unit_test_setup(a_page_may_be_missed_often, fresh),
        cmocka_unit_test_setup(a_file_that_cannot_be_read_is_tried_again, fresh),
        cmocka_unit_test_setup(it_moves_with_what_has_come_and_what_has_not, fresh),
        cmocka_unit_test_setup(a_cpu_has_the_enclave_copy, fresh),
        cmocka_unit_test_setup(maps_tell_one_mapping, fresh),
        cmocka_unit_test_setup(any_order, fresh),
        cmocka_unit_test_setup(a_host_that_lies_is_found_out, fresh),
    };
    return cmocka_run_group_tests_name("deferred", tests, memory_world_start, NULL);
}
