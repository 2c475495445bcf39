/* SPDX-License-Identifier: Apache-2.0 */
/* Private mappings of a file, of which most was not touched yet when something is done with them; prints what must be
 * the same natively. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define LENGTH (1l << 20)
#define READERS 4
#define ROUNDS 40

static char contents[LENGTH];

static int file_with(const char *name, const void *bytes, size_t n)
{
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, bytes, n) != (ssize_t)n) {
        perror(name);
        exit(1);
    }
    return fd;
}

static char *map(int fd, int protection)
{
    char *p = mmap(NULL, LENGTH, protection, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return p;
}

/* In one call with other data, while another file can be written by its mapping. */
static void written(void)
{
    int fd = open("contents", O_RDONLY), other = file_with("other", contents, 65536), out = file_with("out", "", 0);
    char *p = map(fd, PROT_READ), *q = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, other, 0);
    char head[200], back[500];
    memset(head, 'x', sizeof head);
    q[5] = 7;
    struct iovec v[2] = {{head, sizeof head}, {p + 0x80000, 300}};
    printf("%zd written\n", writev(out, v, 2));
    printf("%zd read\n", pread(out, back, sizeof back, 0));
    printf("%s %s\n", memcmp(back, head, 200) ? "wrong" : "right", memcmp(back + 200, contents + 0x80000, 300) ? "wrong" : "right");
    munmap(p, LENGTH);
    munmap(q, 65536);
    close(fd), close(other), close(out);
}

static pthread_barrier_t barrier;
static char *volatile shared;
static int wrong;

static void *reader(void *which)
{
    long me = (long)which;
    for (int round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&barrier);
        if (!me)
            mprotect(shared, LENGTH, PROT_READ | PROT_WRITE);
        else
            for (long at = 0x10000 + me; at < LENGTH; at += 4096)
                if (shared[at] != contents[at])
                    __atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

static void watched(void)
{
    pthread_t t[READERS];
    int fd = open("contents", O_RDONLY);
    pthread_barrier_init(&barrier, NULL, READERS + 1);
    for (long i = 0; i < READERS; i++)
        pthread_create(&t[i], NULL, reader, (void *)i);
    for (int round = 0; round < ROUNDS; round++) {
        shared = map(fd, PROT_READ);
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        munmap(shared, LENGTH);
    }
    for (int i = 0; i < READERS; i++)
        pthread_join(t[i], NULL);
    printf("%d bytes were others\n", wrong);
    close(fd);
}

/* Closing any descriptor of a file ends locks of it: none is closed for the mapping's sake. */
static void locked(void)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open("contents", O_RDONLY), sum = 0, status;
    volatile char *p = map(fd, PROT_READ);
    close(fd);
    fd = open("contents", O_RDWR);
    fcntl(fd, F_SETLK, &lock);
    for (long at = 0; at < LENGTH; at += 4096)
        sum += p[at];
    pid_t child = fork();
    if (!child) {
        fcntl(fd, F_GETLK, &lock);
        _exit(lock.l_type == F_UNLCK);
    }
    waitpid(child, &status, 0);
    printf("the lock is %s (%d)\n", status ? "gone" : "there", sum);
    munmap((void *)p, LENGTH);
    close(fd);
}

static void executed(void)
{
    int status;
    for (int k = 0; k < 16; k++) {
        int fd = open("text", O_RDONLY);
        char *p = map(fd, PROT_READ), *arguments[] = {"sh", "-c", "echo ${#1}", "sh", p + 0x20000 + k * 4096 + 100, NULL};
        fflush(stdout);
        pid_t child = fork();
        if (!child) {
            execv("/bin/sh", arguments);
            perror("execv");
            _exit(1);
        }
        waitpid(child, &status, 0);
        munmap(p, LENGTH);
        close(fd);
    }
}

int main(void)
{
    for (long i = 0; i < LENGTH; i++)
        contents[i] = (char)(i % 251 + 1);
    close(file_with("contents", contents, LENGTH));
    static char text[LENGTH];
    memset(text, 'z', LENGTH);
    text[0x35000] = 0;
    close(file_with("text", text, LENGTH));
    written();
    watched();
    locked();
    executed();
    return 0;
}
