/* SPDX-License-Identifier: Apache-2.0 */
/* Any sequence of operations on many of them. */
#include "local.h"

static uint64_t seed;

static uint32_t any(uint32_t below)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(seed >> 33) % below;
}

#define OBJECTS 12

static struct object {
    int kind, fd[2];
} objects[OBJECTS];

static void object_new(struct object *o)
{
    for (int i = 0; i < 2; i++)
        if (o->fd[i] >= 0 && (i == 0 || o->fd[1] != o->fd[0]))
            close(o->fd[i]);
    o->kind = (int)any(6);
    if (o->kind == 5)
        o->fd[0] = o->fd[1] = eventfd(any(3), EFD_NONBLOCK | EFD_SEMAPHORE);
    else
        pair_of_kind(o->kind, o->fd);
    nonblocking(o->fd[0], true);
    nonblocking(o->fd[1], true);
}

/* Of several reasons not to send a datagram kernels tell one or another. */
static const char *why(int kind)
{
    bool any_of = errno == EMSGSIZE || errno == ENOTCONN || errno == EPIPE;
    return kind >= 3 && any_of ? "cannot be sent" : strerror(errno);
}

static void transfer(int step, struct object *o)
{
    static const uint32_t usual[] = {0, 1, 8, 8, 100, 1000, 4096, 5000, 20000, 70000, 250000};
    uint32_t n = any(4) ? usual[any(11)] : any(6000), side = any(2), kind = any(8);
    int fd = o->fd[side];
    n = n || o->kind != 3 ? n : 1; /* an empty packet that is left unread is something to some kernels only */
    struct iovec out[3] = {{source, n / 3}, {source + n / 3, n - n / 3}, {NULL, 0}}, in[2] = {{target, n / 2}, {target + n / 2, n - n / 2}};
    uint64_t value = any(20) ? any(5) : UINT64_MAX - any(3);
    long r;
    memset(target, 0, n);
    if (o->kind == 1 || o->kind == 5) {
        r = kind < 4 ? write(fd, &value, 8) : read(fd, target, 8);
    } else if (kind < 2) {
        r = write(fd, source + any(1000), n);
    } else if (kind == 2) {
        r = writev(fd, out, 3);
    } else if (kind == 3) {
        r = o->kind ? recv(fd, target, n, MSG_PEEK | (any(2) ? MSG_TRUNC : 0)) : read(fd, target, n);
    } else if (kind == 4) {
        r = readv(fd, in, 2);
    } else if (kind == 5 && o->kind) {
        r = any(2) ? send(fd, source, n, MSG_NOSIGNAL) : recv(fd, target, n, any(2) ? MSG_TRUNC : MSG_WAITALL);
    } else {
        r = read(fd, target, n);
    }
    printf("%d object %d, %s, side %u, way %u, %u: %ld %s, %lx\n", step, (int)(o - objects),
           o->kind == 5 ? "semaphore" : kinds[o->kind], side, kind, n, r, r < 0 ? why(o->kind) : "",
           r > 0 && kind > 2 ? hash(target, r < (long)n ? r : (long)n) : 0);
}

static void state(int step, struct object *o)
{
    int waits = -1;
    struct pollfd f[2] = {{o->fd[0], POLLIN | POLLOUT | POLLRDHUP, 0}, {o->fd[1], POLLIN | POLLOUT | POLLRDHUP, 0}};
    int n = poll(f, 2, 0);
    int r = ioctl(o->fd[0], FIONREAD, &waits);
    printf("%d object %d, state: %d, %x %x, %d %d\n", step, (int)(o - objects), n, (unsigned)f[0].revents, (unsigned)f[1].revents, r, r ? 0 : waits);
}

static int nothing(const int *fds)
{
    (void)fds;
    return 0;
}

void sequence(uint64_t with, int steps)
{
    seed = with;
    int ep = epoll_create1(0);
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < OBJECTS; i++) {
        objects[i] = (struct object){0, {-1, -1}};
        object_new(&objects[i]);
    }
    for (int step = 0; step < steps; step++) {
        struct object *o = &objects[any(OBJECTS)];
        uint32_t what = any(100);
        if (what < 70) {
            transfer(step, o);
        } else if (what < 80) {
            state(step, o);
        } else if (what < 84) {
            object_new(o);
            printf("%d object %d, new\n", step, (int)(o - objects));
        } else if (what < 86) {
            printf("%d object %d, closed\n", step, (int)(o - objects));
            close(o->fd[0]);
            o->fd[0] = o->fd[1] == o->fd[0] ? -1 : o->fd[0];
            if (o->fd[0] >= 0)
                o->fd[0] = -1;
            else
                o->fd[1] = -1;
        } else if (what < 88 && o->kind >= 2 && o->kind <= 4) {
            int side = (int)any(2), how = (int)any(3);
            printf("%d object %d, shutdown of %d, %d: %d\n", step, (int)(o - objects), side, how, shutdown(o->fd[side], how));
        } else if (what < 91) {
            printf("%d object %d, leaves\n", step, (int)(o - objects));
            if (o->fd[1] >= 0)
                leave(o->fd[1]);
        } else if (what < 96) {
            watch(ep, any(3) ? EPOLL_CTL_ADD : any(2) ? EPOLL_CTL_MOD : EPOLL_CTL_DEL, o->fd[any(2)],
                  EPOLLIN | (any(2) ? EPOLLOUT : 0) | (any(3) ? 0 : EPOLLONESHOT), (uint32_t)(o - objects));
        } else if (what < 99) {
            events_told("events", ep, 0);
        } else if (any(8) == 0) {
            printf("%d child %ld\n", step, child(nothing, NULL));
        }
    }
}
