/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast a program writes or reads a file by calls of one size, as fstime of UnixBench asks: in sequence,
 * from the beginning again at the end, in a file that stays in the page cache.
 *
 *   fstime write|read SIZE SECONDS FILE
 *
 * Prints JSON: "bytes" moved in "seconds", and "file", the file's size. The file is made, and removed.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FILE_BYTES (32ul << 20)
#define LOOK_BYTES (256ul << 10) /* moved between looks at the clock */

static char *buffer;
static size_t size;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void check(ssize_t n, const char *what)
{
    if (n == (ssize_t)size)
        return;
    if (n < 0)
        perror(what);
    else
        fprintf(stderr, "%s moved %zd bytes of %zu\n", what, n, size);
    exit(1);
}

static void rewind_file(int fd)
{
    if (lseek(fd, 0, SEEK_SET)) {
        perror("lseek");
        exit(1);
    }
}

static void move(int fd, int write_it)
{
    if (write_it)
        check(write(fd, buffer, size), "write");
    else
        check(read(fd, buffer, size), "read");
}

int main(int argc, char **argv)
{
    int write_it = argc == 5 && !strcmp(argv[1], "write");
    size = argc == 5 ? strtoul(argv[2], NULL, 0) : 0;
    double seconds = argc == 5 ? strtod(argv[3], NULL) : 0;
    if (!size || size > FILE_BYTES || seconds <= 0 || (!write_it && strcmp(argv[1], "read"))) {
        fprintf(stderr, "usage: %s write|read SIZE SECONDS FILE\n", argv[0]);
        return 2;
    }
    int fd = open(argv[4], O_RDWR | O_CREAT | O_TRUNC, 0600);
    buffer = malloc(size);
    if (fd < 0 || !buffer) {
        perror(argv[4]);
        return 1;
    }
    memset(buffer, 'x', size);
    size_t pieces = FILE_BYTES / size, look = LOOK_BYTES / size + 1, moved = 0;
    for (size_t i = 0; i < pieces && !write_it; i++)
        move(fd, 1);
    rewind_file(fd);
    double begin = now(), time;
    do {
        for (size_t i = 0; i < look; i++, moved++) {
            if (moved && moved % pieces == 0)
                rewind_file(fd);
            move(fd, write_it);
        }
        time = now() - begin;
    } while (time < seconds);
    printf("{\"bytes\": %zu, \"seconds\": %.6f, \"file\": %zu}\n", moved * size, time, pieces * size);
    if (close(fd) || unlink(argv[4])) {
        perror(argv[4]);
        return 1;
    }
    return 0;
}
