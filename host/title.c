/* SPDX-License-Identifier: Apache-2.0 */
/* By what name and arguments ps(1) and its like know this process: those of the program that it runs. */
#include "host/title.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAME_SIZE 16
#define FIELD_START_CODE 26 /* of /proc/self/stat */
#define FIELD_START_DATA 45
#define FIELD_END 51
#define PAGE 4096ul

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *arguments; /* where they are now, if not where the kernel put them */
static size_t arguments_size;

/* The first thread of the process is named by its file, as it is not the calling one; that by its own. */
static void name_set(const char *name)
{
    char path[48];
    prctl(PR_SET_NAME, name);
    snprintf(path, sizeof path, "/proc/self/task/%d/comm", (int)getpid());
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)!write(fd, name, strlen(name));
    close(fd);
}

/* What prctl(PR_SET_MM_MAP) wants to be told anew: 0 or -errno. */
static int map_read(struct prctl_mm_map *map)
{
    char text[2048], *p;
    uint64_t field[FIELD_END + 1] = {0};
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    if (!(p = strrchr(text, ')')))
        return -EPROTO;
    p += 4; /* ") S" */
    for (int i = 4; i <= FIELD_END; i++)
        field[i] = strtoull(p, &p, 10);
    *map = (struct prctl_mm_map){
        .start_code = field[FIELD_START_CODE],
        .end_code = field[FIELD_START_CODE + 1],
        .start_stack = field[FIELD_START_CODE + 2],
        .start_data = field[FIELD_START_DATA],
        .end_data = field[FIELD_START_DATA + 1],
        .start_brk = field[FIELD_START_DATA + 2],
        .brk = (uint64_t)sbrk(0),
        .arg_start = field[FIELD_START_DATA + 3],
        .arg_end = field[FIELD_START_DATA + 4],
        .env_start = field[FIELD_START_DATA + 5],
        .env_end = field[FIELD_START_DATA + 6],
        .exe_fd = (uint32_t)-1,
    };
    return 0;
}

/* A place of our own for them; the kernel reads it from then on. Where it may not be changed they stay. */
static void arguments_set(const char *strings, size_t size)
{
    struct prctl_mm_map map;
    size_t room = (size + PAGE - 1) & ~(PAGE - 1);
    char *new = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (new == MAP_FAILED)
        return;
    memcpy(new, strings, size);
    bool set = !map_read(&map);
    map.arg_start = (uint64_t)new;
    map.arg_end = (uint64_t)new + size;
    set = set && !prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0);
    if (!set) {
        munmap(new, room);
        return;
    }
    if (arguments)
        munmap(arguments, arguments_size);
    arguments = new;
    arguments_size = room;
}

void title_set(const char *name, const char *strings, size_t size)
{
    char copy[NAME_SIZE] = "";
    strncpy(copy, name, sizeof copy - 1);
    pthread_mutex_lock(&lock);
    if (size)
        arguments_set(strings, size);
    name_set(copy); /* last: who waits for the name finds its arguments */
    pthread_mutex_unlock(&lock);
}
