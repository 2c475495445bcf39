/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/memory_world.h"

#include "enclave/boundary/copy.h"
#include "enclave/boundary/hostcall_fetch.h"
#include "enclave/boundary/order.h"
#include "enclave/os/deferred.h"
#include "enclave/os/files.h"

/* No process has anything in common with this one. */
void common_forget(uint64_t start, uint64_t end)
{
    (void)start, (void)end;
}

void common_protect(uint64_t start, uint64_t end, int protection)
{
    (void)start, (void)end, (void)protection;
}

bool common_bring(uint64_t start, uint64_t length)
{
    (void)start, (void)length;
    return false;
}

int common_fault(uint64_t address, int need)
{
    (void)address, (void)need;
    return -1;
}

uint64_t common_end_of(uint64_t page)
{
    return page;
}

uint64_t common_next(uint64_t page, uint64_t end)
{
    (void)page;
    return end;
}

struct enclave enclave;
int log_threshold = LOG_WARNING;
struct order order;

struct memory_world world;

static struct thread_block block;
struct thread thread;

/* ---- what memory.c stands on ---- */

int64_t exit_checked(uint64_t number, uint64_t flags, uint64_t maximum, uint64_t a0, uint64_t a1,
                     uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
    (void)flags, (void)maximum, (void)a5;
    assert_int_equal(number, EXIT_PAGES);
    assert_true(a2 && a1 % 4096 == 0 && a2 % 4096 == 0);
    assert_in_range(enclave.base + a1, enclave.dynamic, enclave.image);
    assert_true(a2 <= enclave.image - (enclave.base + a1));
    world.exits++;
    if (world.page_error && (a0 == PAGES_MAP || a0 == PAGES_FILL))
        return world.page_error;
    void *at = (void *)(enclave.base + a1);
    switch (a0) {
    case PAGES_MAP:
    case PAGES_FILL:
    case PAGES_PROTECT:
        return mprotect(at, a2, (int)a3) ? -errno : 0;
    case PAGES_UNMAP:
        return mmap(at, a2, PROT_NONE, ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED
                   ? -errno
                   : 0;
    case PAGES_MOVE: {
        void *from = (void *)(enclave.base + a4);
        assert_true(a4 % 4096 == 0 && a2 <= enclave.image - enclave.base - a4);
        if (world.move_lies)
            return 0;
        if (world.to_accept)
            return mprotect(at, a2, RW) ? -errno : PAGES_TO_ACCEPT;
        if (mprotect(from, a2, (int)a3) ||
            mremap(from, a2, a2, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, at) != at)
            return -errno;
        return mprotect(from, a2, RW) ? -errno : 0;
    }
    case PAGES_DISCARD:
        return madvise(at, a2, MADV_DONTNEED) ? -errno : 0;
    }
    fail();
    return 0;
}

void lock_slow(struct lock *l)
{
    (void)l;
    fail_msg("a lock is taken twice");
}

void log_line(enum log_level level, const char *format, ...)
{
    (void)level, (void)format;
}

_Noreturn void panic(const char *format, ...)
{
    (void)format;
    abort();
}

void *alloc(size_t size)
{
    return calloc(1, size);
}

void *alloc_resize(void *p, size_t old_size, size_t new_size)
{
    (void)old_size;
    return realloc(p, new_size);
}

void alloc_free(void *p)
{
    free(p);
}

/* May the page be read, written? By way of a kernel that answers EFAULT. */
int access_of(uint64_t address)
{
    int ends[2], access = 0;
    uint8_t byte = 0;
    assert_int_equal(pipe(ends), 0);
    if (write(ends[1], (void *)address, 1) == 1) {
        access |= PROT_READ;
        assert_int_equal(read(ends[0], &byte, 1), 1);
    }
    assert_int_equal(write(ends[1], &byte, 1), 1);
    if (read(ends[0], (void *)address, 1) == 1)
        access |= PROT_WRITE;
    close(ends[0]);
    close(ends[1]);
    return access;
}

int user_range(const void *pointer, size_t length)
{
    uint64_t at = (uint64_t)pointer - enclave.dynamic, size = enclave.program_end - enclave.dynamic;
    return at <= size && length <= size - at ? 0 : -EFAULT;
}

int user_read(void *to, const void *from, size_t length)
{
    if (user_range(from, length))
        return -EFAULT;
    memcpy(to, from, length);
    return 0;
}

int user_write(void *to, const void *from, size_t length)
{
    if (user_range(to, length))
        return -EFAULT;
    memcpy(to, from, length);
    return 0;
}

int user_zero(void *to, size_t length)
{
    if (user_range(to, length))
        return -EFAULT;
    memset(to, 0, length);
    return 0;
}

static int file_stat(struct file *f, struct stat *out)
{
    *out = (struct stat){.st_mode = S_IFREG | 0644, .st_size = FILE_LENGTH, .st_dev = 3, .st_ino = f == &file ? 4 : 5,
                         .st_mtim = {.tv_sec = 1, .tv_nsec = world.modified}};
    return 0;
}

static const struct file_ops file_operations = {.name = "file", .stat = file_stat};
struct file file = {.ops = &file_operations, .path = "/lib/libfile.so", .references = 1, .host_fd = -1, .flags = O_RDWR};
struct file large = {.ops = &file_operations, .path = "/lib/liblarge.so", .references = 1, .host_fd = LARGE_HOST_FD,
                     .flags = O_RDONLY};
uint8_t contents[FILE_LENGTH];

/* No file here is of /dev/shm. */
bool coherent_wanted(struct file *f)
{
    (void)f;
    return false;
}

int coherent_add(struct file *f, uint64_t start, uint64_t end, uint64_t offset, int protection)
{
    (void)f, (void)start, (void)end, (void)offset, (void)protection;
    return -ENOSYS;
}

int coherent_remove(uint64_t start, uint64_t end)
{
    (void)start, (void)end;
    return 0;
}

void coherent_protect(uint64_t start, uint64_t end, int protection)
{
    (void)start, (void)end, (void)protection;
}

bool coherent_bring(uint64_t address, uint64_t length, bool write, bool interruptible)
{
    (void)address, (void)length, (void)write, (void)interruptible;
    return false;
}

void coherent_files(void (*visit)(struct file *f))
{
    (void)visit;
}

const char *file_real_path(struct file *f)
{
    return f->path;
}

struct file *file_get(int fd)
{
    struct file *f = fd == 5 ? &file : fd == 6 ? &large : NULL;
    if (f)
        f->references++;
    return f;
}

void file_hold(struct file *f)
{
    assert_true(f == &file || f == &large);
    f->references++;
}

void file_put(struct file *f)
{
    assert_true(f == &file || f == &large);
    assert_int_not_equal(--f->references, 0);
}

int file_identity(struct file *f, uint64_t *device, uint64_t *inode)
{
    world.asked++;
    *device = 3;
    *inode = f == &file ? 4 : 5;
    return 0;
}

int file_sync(struct file *f)
{
    assert_ptr_equal(f, &file);
    world.synced++;
    return 0;
}

bool file_write_sealed(struct file *f)
{
    (void)f;
    return world.sealed;
}

struct file *file_open_again(struct file *f, int flags, int *error)
{
    (void)flags;
    *error = 0;
    world.opened_again++;
    file_hold(f);
    return f;
}

int64_t file_write_at(struct file *f, const void *from, uint64_t length, uint64_t offset)
{
    assert_ptr_equal(f, &file);
    assert_true(offset <= FILE_LENGTH && length <= FILE_LENGTH - offset);
    if (world.write_error)
        return world.write_error;
    memcpy(contents + offset, from, length);
    world.written += length;
    return (int64_t)length;
}

uint64_t time_tsc_per_ms(void)
{
    return world.tick;
}

static int64_t large_read(uint8_t *to, uint64_t length, uint64_t offset)
{
    uint64_t n = offset < LARGE_LENGTH ? MIN(length, LARGE_LENGTH - offset) : 0;
    for (uint64_t i = 0; i < n; i++)
        to[i] = large_byte(offset + i);
    return (int64_t)n;
}

int host_fetch_start(void)
{
    return 0;
}

int64_t host_fetch(int fd, void *to, uint64_t length, uint64_t offset)
{
    assert_int_equal(fd, LARGE_HOST_FD);
    assert_true(length && length <= FETCH_MAX && is_zero((uint64_t)to, length));
    if (world.read_error)
        return world.read_error;
    world.fetches++;
    world.fetched += length;
    return large_read(to, length, offset);
}

uint32_t file_kind(struct file *f)
{
    (void)f;
    return S_IFREG;
}

int64_t file_read_at(struct file *f, void *to, uint64_t length, uint64_t offset)
{
    if (world.read_error)
        return world.read_error;
    world.reads++;
    if (f == &large)
        return large_read(to, length, offset);
    assert_ptr_equal(f, &file);
    uint64_t n = offset < FILE_LENGTH ? MIN(length, FILE_LENGTH - offset) : 0;
    memcpy(to, contents + MIN(offset, FILE_LENGTH), n);
    return (int64_t)n;
}

int patch_mapped(struct file *f, uint64_t address, uint64_t length, uint64_t file_offset,
                 int protection)
{
    (void)f, (void)length, (void)file_offset, (void)protection;
    world.patched++;
    world.patched_writable = access_of(address) & PROT_WRITE;
    /* As the real one does: needs the lock free. */
    assert_true(memory_map_near(address, PAGE_SIZE, RW, AREA_TRAMPOLINE) > 0);
    return 0;
}

int copy_bytes(void *to, const void *from, size_t n)
{
    if (!access_of((uint64_t)from))
        return -EFAULT;
    memcpy(to, from, n);
    return 0;
}

_Noreturn void violation(const char *format, ...)
{
    (void)format;
    longjmp(world.violated, 1);
}

int sgx_accept_copy(uint64_t address, uint64_t source, uint64_t length)
{
    assert_true(world.to_accept);
    memcpy((void *)address, (void *)source, length);
    return 0;
}

int sgx_accept(uint64_t address, uint64_t length, uint64_t secinfo_flags)
{
    (void)address, (void)length, (void)secinfo_flags;
    world.accepted++;
    return 0;
}

int memory_world_start(void **state)
{
    (void)state;
    for (int i = 0; i < FILE_LENGTH; i++)
        contents[i] = (uint8_t)(i % 251 + 1);
    enclave.base = (uint64_t)mmap(NULL, SIZE, PROT_NONE, ANONYMOUS | MAP_NORESERVE, -1, 0);
    enclave.size = SIZE;
    enclave.dynamic = enclave.base + (1 << 20);
    enclave.image = enclave.base + SIZE - (1 << 20);
    block.self = &block;
    block.thread = &thread;
    syscall(SYS_arch_prctl, ARCH_SET_GS, &block);
    memory_start();
    return 0;
}

int fresh(void **state)
{
    (void)state;
    memset(&world, 0, sizeof world);
    memset(&thread, 0, sizeof thread);
    file.flags = O_RDWR;
    large.flags = O_RDONLY;
    memory_unmap(enclave.dynamic, enclave.program_end - enclave.dynamic);
    memory_set_brk(enclave.dynamic + 0x10000);
    memset(&world, 0, sizeof world);
    for (int i = 0; i < FILE_LENGTH; i++)
        contents[i] = (uint8_t)(i % 251 + 1);
    if (memory_shares() || file.references != 1 || large.references != 1)
        return -1;
    struct memory_use use;
    memory_usage(&use);
    return use.total ? -1 : 0;
}

uint64_t map(uint64_t hint, uint64_t length, int protection, int flags, int fd,
                    uint64_t offset)
{
    int64_t at =
        sys_mmap(hint, length, (uint64_t)protection, (uint64_t)flags, (uint64_t)fd, offset);
    assert_in_range(at, enclave.dynamic, enclave.program_end);
    assert_int_equal(at % 4096, 0);
    assert_int_equal(user_range((void *)at, length), 0);
    return (uint64_t)at;
}

uint64_t map_anonymous(uint64_t pages, int protection)
{
    return map(0, pages * PAGE_SIZE, protection, ANONYMOUS, -1, 0);
}

bool is_zero(uint64_t at, uint64_t length)
{
    for (uint64_t i = 0; i < length; i++)
        if (((uint8_t *)at)[i])
            return false;
    return true;
}

void time_unshare(void)
{
}

