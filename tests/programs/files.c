/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What files do, told line by line: the same natively as in an enclave.
 *
 *   files random SEED FILE    any sequence of operations by several descriptors; the file stays
 *   files lines COUNT FILE [END]
 *       short lines to the file, then END: "exit", "abort", "fault", "spin" (for ever, without a
 * call), "say" (a line to standard output, then as spin), "wait" (asleep)
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static uint64_t seed;
static const char *path;
static uint8_t source[1 << 20], target[1 << 20];
static int step;

static uint32_t any(uint32_t below)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(seed >> 33) % below;
}

static uint64_t hash(const uint8_t *bytes, int64_t n)
{
    uint64_t h = 0xcbf29ce484222325ull;
    for (int64_t i = 0; i < n; i++)
        h = (h ^ bytes[i]) * 0x100000001b3ull;
    return h;
}

static void told(const char *what, int64_t result)
{
    if (result < 0)
        printf("%d %s: %s\n", step, what, strerror(errno));
    else
        printf("%d %s: %ld\n", step, what, (long)result);
}

#define OPEN 5
static int fds[OPEN];

static void reopen(int i)
{
    static const int flags[] = {O_RDWR, O_RDWR, O_RDONLY, O_WRONLY, O_RDWR | O_APPEND};
    int how = flags[any(5)] | (any(10) ? 0 : O_TRUNC);
    if (fds[i])
        told("close", close(fds[i]));
    if (i && fds[i - 1] && any(4) == 0)
        fds[i] = dup(fds[i - 1]);
    else
        fds[i] = open(path, how | O_CREAT, 0644);
}

static uint32_t length_any(void)
{
    static const uint32_t usual[] = {1, 13, 256, 1024, 4096, 10000, 65536};
    return any(40) ? usual[any(7)] : any(sizeof source);
}

static void transfer(int i)
{
    uint32_t n = length_any(), kind = any(6), times = any(30);
    off_t at = any(3) ? any(300000) : any(3000000);
    for (uint32_t t = 0; t <= times; t++, at += n) {
        const uint8_t *from = source + any(sizeof source - n + 1);
        struct iovec out[3] = {
            {(void *)from, n / 3}, {(void *)(from + n / 3), n - n / 3}, {NULL, 0}};
        struct iovec in[2] = {{target, n / 2}, {target + n / 2, n - n / 2}};
        int64_t r;
        switch (kind) {
        case 0:
            told("write", write(fds[i], from, n));
            continue;
        case 1:
            told("pwrite", pwrite(fds[i], from, n, at));
            continue;
        case 2:
            told("writev", writev(fds[i], out, 3));
            continue;
        case 3:
            r = read(fds[i], target, n);
            break;
        case 4:
            r = pread(fds[i], target, n, at);
            break;
        default:
            r = readv(fds[i], in, 2);
        }
        told("read", r);
        if (r > 0)
            printf("  %016lx\n", (unsigned long)hash(target, r));
    }
}

static void seek(int i)
{
    static const int whences[] = {SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA, SEEK_HOLE};
    int whence = whences[any(4) ? any(3) : any(5)];
    off_t offset = any(3) ? (off_t)any(400000) - (whence ? 100000 : 1000) : 0;
    told("lseek", lseek(fds[i], offset, whence));
}

static void map(int i)
{
    struct stat s;
    if (fstat(fds[i], &s) || s.st_size < 8192)
        return;
    const uint8_t *at = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE, fds[i], 0);
    if (at == MAP_FAILED) {
        told("mmap", -1);
        return;
    }
    printf("%d mmap: %016lx\n", step, (unsigned long)hash(at, 8192));
    munmap((void *)at, 8192);
}

static void other(int i, int j)
{
    struct stat s;
    off_t at = any(400000);
    switch (any(10)) {
    case 0:
        told("ftruncate", ftruncate(fds[i], at));
        break;
    case 1:
        told("truncate", truncate(path, any(3000000)));
        break;
    case 2:
        told("fstat", fstat(fds[i], &s) ? -1 : s.st_size);
        break;
    case 3:
        told("stat", stat(path, &s) ? -1 : s.st_size);
        break;
    case 4:
        told("fsync", fsync(fds[i]));
        break;
    case 5:
        told("fcntl", fcntl(fds[i], F_SETFL, any(2) ? O_APPEND : 0));
        break;
    case 6:
        told("sendfile", sendfile(fds[j], fds[i], any(2) ? &at : NULL, any(100000)));
        break;
    case 7:
        map(i);
        break;
    case 8:
        told("fallocate", fallocate(fds[i], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, 5000));
        break;
    case 9:
        told("flags", fcntl(fds[i], F_GETFL) & (O_ACCMODE | O_APPEND));
        break;
    }
}

static int random_operations(void)
{
    for (size_t i = 0; i < sizeof source; i++)
        source[i] = (uint8_t)(i * 31 + i / 255 + i / 65537);
    for (int i = 0; i < OPEN; i++)
        reopen(i);
    for (step = 0; step < 300; step++) {
        int i = (int)any(OPEN);
        switch (any(10)) {
        case 0:
            other(i, (int)any(OPEN));
            break;
        case 1:
            seek(i);
            break;
        case 2:
            if (any(3) == 0)
                reopen(i);
            break;
        default:
            transfer(i);
        }
    }
    for (int i = 0; i < OPEN; i++)
        told("close", close(fds[i]));
    return 0;
}

static int lines(int count, const char *end)
{
    char line[64];
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    for (int i = 0; i < count; i++)
        if (write(fd, line, (size_t)snprintf(line, sizeof line, "line %d\n", i)) < 0)
            return 1;
    if (!strcmp(end, "abort"))
        abort();
    if (!strcmp(end, "fault"))
        *(volatile int *)16 = 0;
    if (!strcmp(end, "exit"))
        _exit(0);
    if (!strcmp(end, "wait"))
        for (;;)
            pause();
    if (!strcmp(end, "say") && write(1, "written\n", 8) != 8)
        return 1;
    for (volatile uint64_t n = 0;; n++)
        ;
}

int main(int argc, char **argv)
{
    if (argc >= 4) {
        path = argv[3];
        seed = strtoull(argv[2], NULL, 0);
        if (!strcmp(argv[1], "random"))
            return random_operations();
        if (!strcmp(argv[1], "lines"))
            return lines((int)seed, argc > 4 ? argv[4] : "exit");
    }
    fprintf(stderr, "usage: files random SEED FILE | files lines COUNT FILE [END]\n");
    return 2;
}
