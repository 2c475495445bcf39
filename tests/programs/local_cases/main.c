/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What pipes, event counters and socket pairs do, told line by line: the same natively as in an enclave, whether
 * they stay inside or become the kernel's on the way.
 *
 *   local_cases cases             each kind, case by case
 *   local_cases waiting           threads, signals, poll, select and epoll
 *   local_cases leaving           the same objects before and after something that only the kernel does
 *   local_cases random SEED       any sequence of operations on many of them; some lines make one the kernel's
 *   local_cases pingpong KIND HOW COUNT   two threads and two pipes, events or pairs: "try" (they never sleep), "read", "poll",
 *                           "epoll"
 *   local_cases alone KIND COUNT  one thread that talks to itself
 */
#include "local.h"

uint8_t source[1 << 20], target[1 << 20];
void *volatile nowhere;
volatile sig_atomic_t caught;

long told(const char *what, long result)
{
    if (result < 0)
        printf("%s: %s", what, strerror(errno));
    else
        printf("%s: %ld", what, result);
    if (caught)
        printf(", signal %d", caught);
    caught = 0;
    printf("\n");
    return result;
}

void title(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("---- ");
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
}

void catch(int signal)
{
    caught = signal;
}

void handle(int signal, int flags)
{
    struct sigaction action = {.sa_handler = catch, .sa_flags = flags};
    sigaction(signal, &action, NULL);
}

uint64_t hash(const uint8_t *bytes, long n)
{
    uint64_t h = 0xcbf29ce484222325ull;
    for (long i = 0; i < n; i++)
        h = (h ^ bytes[i]) * 0x100000001b3ull;
    return h;
}

void poll_told(const char *what, int fd)
{
    struct pollfd p = {fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDNORM | POLLWRNORM | POLLRDBAND | POLLWRBAND, 0};
    int n = poll(&p, 1, 0);
    printf("%s: poll %d, 0x%x\n", what, n, (unsigned)p.revents);
}

void nonblocking(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

/* Something that only the kernel does, and that changes nothing. */
void leave(int fd)
{
    if (fcntl(fd, F_GETOWN) < 0)
        printf("F_GETOWN: %s\n", strerror(errno));
}

void close_both(const int fds[2])
{
    close(fds[0]);
    close(fds[1]);
}


void pair_of_kind(int kind, int fds[2])
{
    if (kind == 0)
        pipe(fds);
    else if (kind == 1)
        fds[0] = fds[1] = eventfd(0, 0);
    else
        socketpair(AF_UNIX, kind == 2 ? SOCK_STREAM : kind == 3 ? SOCK_SEQPACKET : SOCK_DGRAM, 0, fds);
}

const char *const kinds[] = {"pipe", "eventfd", "stream", "packets", "datagrams"};

void events_told(const char *what, int ep, int timeout)
{
    struct epoll_event e[64];
    int n;
    do /* a machine that was stopped for a while interrupts it too */
        n = epoll_wait(ep, e, 64, timeout);
    while (n < 0 && errno == EINTR && !caught);
    printf("%s: %d", what, n);
    if (n < 0)
        printf(" %s", strerror(errno));
    uint64_t seen = 0;
    uint32_t flags = 0;
    for (int i = 0; i < n; i++) { /* in any order */
        seen |= 1ull << e[i].data.u32;
        flags += e[i].events * (2 * e[i].data.u32 + 1);
    }
    printf(", of %lx, events %x%s\n", (unsigned long)seen, flags, caught ? ", signal" : "");
    caught = 0;
}

void watch(int ep, int operation, int fd, uint32_t events, uint32_t tag)
{
    struct epoll_event e = {.events = events, .data.u32 = tag};
    if (epoll_ctl(ep, operation, fd, &e))
        printf("epoll_ctl %d of %u: %s\n", operation, tag, strerror(errno));
}

long child(int (*run)(const int *fds), const int *fds)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        int status = run(fds);
        fflush(stdout);
        _exit(status);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

const char *type_name(int type)
{
    return type == SOCK_STREAM ? "stream" : type == SOCK_DGRAM ? "datagrams" : "packets";
}

void receive_told(int fd, size_t room, int flags)
{
    char control[256];
    struct sockaddr_storage a;
    struct iovec v = {target, room};
    struct msghdr m = {&a, sizeof a, &v, 1, control, sizeof control, 0};
    memset(target, 0, room);
    long n = recvmsg(fd, &m, flags);
    if (n < 0)
        printf("recvmsg %zu flags %x: %s\n", room, (unsigned)flags, strerror(errno));
    else
        printf("recvmsg %zu flags %x: %ld, name %u, control %zu, flags %x, bytes %lx\n", room, (unsigned)flags, n,
               m.msg_namelen, m.msg_controllen, (unsigned)m.msg_flags, hash(target, n < (long)room ? n : (long)room));
}

int main(int count, char **argument)
{
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    for (size_t i = 0; i < sizeof source; i++)
        source[i] = (uint8_t)(i * 7 + i / 251);
    if (count == 2 && !strcmp(argument[1], "cases")) {
        cases();
    } else if (count == 2 && !strcmp(argument[1], "waiting")) {
        waiting();
    } else if (count == 2 && !strcmp(argument[1], "leaving")) {
        leaving();
    } else if (count == 3 && !strcmp(argument[1], "random")) {
        sequence(strtoull(argument[2], NULL, 0), 4000);
    } else if (count == 5 && !strcmp(argument[1], "pingpong")) {
        pingpong(atoi(argument[2]), argument[3][0], atoi(argument[4]));
    } else if (count == 4 && !strcmp(argument[1], "alone")) {
        alone(atoi(argument[2]), atoi(argument[3]));
    } else {
        fprintf(stderr, "usage: local_cases cases|waiting|leaving|random SEED|pingpong KIND HOW COUNT|alone KIND COUNT\n");
        return 2;
    }
    return 0;
}
