/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What pipes, event counters and socket pairs do, told line by line: the same natively as in an enclave, whether
 * they stay inside or become the kernel's on the way.
 *
 *   local cases             each kind, case by case
 *   local waiting           threads, signals, poll, select and epoll
 *   local leaving           the same objects before and after something that only the kernel does
 *   local random SEED       any sequence of operations on many of them; some lines make one the kernel's
 *   local pingpong KIND HOW COUNT   two threads and two pipes, events or pairs: "try" (they never sleep), "read", "poll", "epoll"
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TELL(call) told(#call, (call))

static uint8_t source[1 << 20], target[1 << 20];
static void *volatile nowhere; /* which the compiler does not know */
static volatile sig_atomic_t caught;

static long told(const char *what, long result)
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

static void title(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("---- ");
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
}

static void catch(int signal)
{
    caught = signal;
}

static void handle(int signal, int flags)
{
    struct sigaction action = {.sa_handler = catch, .sa_flags = flags};
    sigaction(signal, &action, NULL);
}

static uint64_t hash(const uint8_t *bytes, long n)
{
    uint64_t h = 0xcbf29ce484222325ull;
    for (long i = 0; i < n; i++)
        h = (h ^ bytes[i]) * 0x100000001b3ull;
    return h;
}

static void poll_told(const char *what, int fd)
{
    struct pollfd p = {fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDNORM | POLLWRNORM | POLLRDBAND | POLLWRBAND, 0};
    int n = poll(&p, 1, 0);
    printf("%s: poll %d, 0x%x\n", what, n, (unsigned)p.revents);
}

static void nonblocking(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

/* Something that only the kernel does, and that changes nothing. */
static void leave(int fd)
{
    if (fcntl(fd, F_GETOWN) < 0)
        printf("F_GETOWN: %s\n", strerror(errno));
}

static void close_both(const int fds[2])
{
    close(fds[0]);
    close(fds[1]);
}

/* ---- cases ---- */

static void pipe_sizes(size_t piece)
{
    int p[2];
    long n, total = 0, times = 0;
    pipe2(p, O_NONBLOCK);
    while ((n = write(p[1], source, piece)) > 0) {
        total += n;
        times++;
        if ((size_t)n < piece)
            break;
    }
    printf("pieces of %zu: %ld times, %ld bytes\n", piece, times, total);
    poll_told("full", p[1]);
    int waits = 0;
    ioctl(p[0], FIONREAD, &waits);
    printf("FIONREAD %d\n", waits);
    TELL(read(p[0], target, 100));
    poll_told("after 100", p[1]);
    TELL(write(p[1], source, 1));
    TELL(read(p[0], target, 4096));
    poll_told("after 4096", p[1]);
    TELL(write(p[1], source, 4096));
    TELL(write(p[1], source, 4097));
    TELL(write(p[1], source, 100));
    long rest = 0;
    while ((n = read(p[0], target, 5000)) > 0)
        rest += n;
    printf("rest %ld\n", rest);
    close_both(p);
}

static void pipe_cases(void)
{
    int p[2], n;
    struct stat s, t;
    char link[64] = "", other[64] = "", name[64];
    title("pipe");
    TELL(pipe2(p, O_NONBLOCK | O_CLOEXEC));
    TELL(fcntl(p[0], F_GETFD));
    TELL(fcntl(p[0], F_GETFL));
    TELL(fcntl(p[1], F_GETFL));
    TELL(fcntl(p[1], F_GETPIPE_SZ));
    TELL(fstat(p[0], &s));
    TELL(fstat(p[1], &t));
    printf("mode %o, one inode %d, links %lu, block %ld\n", s.st_mode, s.st_ino == t.st_ino, (unsigned long)s.st_nlink, (long)s.st_blksize);
    snprintf(name, sizeof name, "/proc/self/fd/%d", p[0]);
    readlink(name, link, sizeof link - 1);
    snprintf(name, sizeof name, "/proc/self/fd/%d", p[1]);
    readlink(name, other, sizeof other - 1);
    snprintf(name, sizeof name, "pipe:[%lu]", (unsigned long)s.st_ino);
    printf("links %d %d\n", strcmp(link, name), strcmp(other, name));
    TELL(read(p[0], target, 10));
    TELL(read(p[0], target, 0));
    TELL(write(p[1], source, 0));
    TELL(read(p[1], target, 10));
    TELL(write(p[0], source, 10));
    TELL(lseek(p[0], 0, SEEK_CUR));
    TELL(pread(p[0], target, 1, 0));
    TELL(pwrite(p[1], source, 1, 0));
    TELL(ftruncate(p[1], 0));
    TELL(ioctl(p[0], TIOCGWINSZ, target));
    TELL(isatty(p[0]));
    TELL(ioctl(p[1], FIONREAD, &n));
    TELL(getsockname(p[0], nowhere, nowhere));
    TELL(recv(p[0], target, 1, 0));
    TELL((long)mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, p[0], 0) == -1);
    poll_told("empty, to read", p[0]);
    poll_told("empty, to write", p[1]);
    struct iovec v[3] = {{source, 10}, {source + 10, 0}, {source + 10, 4086}};
    TELL(writev(p[1], v, 3));
    struct iovec w[2] = {{target, 7}, {target + 7, 5000}};
    TELL(readv(p[0], w, 2));
    printf("same %d\n", memcmp(source, target, 4096));
    TELL(write(p[1], nowhere, 5));
    TELL(write(p[1], source, 5));
    TELL(read(p[0], nowhere, 5));
    TELL(read(p[0], target, 50));
    int d = dup(p[1]);
    TELL(close(p[1]));
    TELL(read(p[0], target, 50));
    TELL(write(d, source, 3));
    TELL(close(d));
    poll_told("last bytes", p[0]);
    TELL(read(p[0], target, 50));
    TELL(read(p[0], target, 50));
    poll_told("end", p[0]);
    close(p[0]);
    TELL(pipe(p));
    TELL(write(p[1], source, 50));
    TELL(close(p[0]));
    poll_told("broken", p[1]);
    TELL(write(p[1], source, 50));
    TELL(write(p[1], source, 0));
    signal(SIGPIPE, SIG_IGN);
    TELL(write(p[1], source, 50));
    handle(SIGPIPE, 0);
    close(p[1]);
    TELL(pipe2(p, O_APPEND));
    TELL(pipe2(nowhere, 0));
    for (size_t piece = 1; piece <= 70000; piece = piece * 3 + 1)
        pipe_sizes(piece);
    pipe_sizes(3000);
    pipe_sizes(4096);
    pipe_sizes(65536);
    title("packets (O_DIRECT)");
    TELL(pipe2(p, O_DIRECT | O_NONBLOCK));
    TELL(write(p[1], source, 10));
    TELL(write(p[1], source, 10));
    TELL(read(p[0], target, 100));
    close_both(p);
    title("size");
    TELL(pipe2(p, O_NONBLOCK));
    TELL(write(p[1], source, 30000));
    TELL(fcntl(p[1], F_SETPIPE_SZ, 4096));
    TELL(fcntl(p[1], F_SETPIPE_SZ, 200000));
    TELL(fcntl(p[0], F_GETPIPE_SZ));
    TELL(write(p[1], source + 30000, 300000));
    memset(target, 0, sizeof target);
    long got = read(p[0], target, sizeof target);
    printf("got %ld, same %d\n", got, memcmp(source, target, (size_t)got));
    close_both(p);
}

static void event_cases(void)
{
    uint64_t value, values[2] = {3, 4};
    struct stat s;
    title("eventfd");
    TELL(eventfd(0, 0x12345678));
    int e = eventfd(5, EFD_NONBLOCK | EFD_CLOEXEC);
    TELL(fcntl(e, F_GETFD));
    TELL(fcntl(e, F_GETFL));
    TELL(fstat(e, &s));
    printf("mode %o, links %lu\n", s.st_mode, (unsigned long)s.st_nlink);
    char name[64], link[64] = "";
    snprintf(name, sizeof name, "/proc/self/fd/%d", e);
    TELL(readlink(name, link, sizeof link - 1));
    printf("%s\n", link);
    TELL(open(name, O_RDONLY));
    poll_told("5", e);
    TELL(read(e, &value, 7));
    TELL(read(e, &value, 8));
    printf("value %lu\n", (unsigned long)value);
    poll_told("0", e);
    TELL(read(e, &value, 8));
    TELL(write(e, &values, 7));
    TELL(write(e, nowhere, 8));
    struct iovec v[2] = {{&values[0], 8}, {&values[1], 8}};
    TELL(writev(e, v, 2));
    uint8_t pieces[8];
    struct iovec w[2] = {{pieces, 3}, {pieces + 3, 5}};
    TELL(readv(e, w, 2));
    printf("value %u\n", pieces[0]);
    value = UINT64_MAX;
    TELL(write(e, &value, 8));
    value = UINT64_MAX - 1;
    TELL(write(e, &value, 8));
    poll_told("full", e);
    value = 0;
    TELL(write(e, &value, 8));
    value = 1;
    TELL(write(e, &value, 8));
    TELL(read(e, &value, 8));
    printf("value %lx\n", (unsigned long)value);
    TELL(lseek(e, 3, SEEK_SET));
    TELL(pread(e, &value, 8, 0));
    TELL(ioctl(e, FIONREAD, &value));
    TELL(fcntl(e, F_GETPIPE_SZ));
    TELL(ftruncate(e, 0));
    close(e);
    title("eventfd as a semaphore");
    e = eventfd(2, EFD_NONBLOCK | EFD_SEMAPHORE);
    for (int i = 0; i < 3; i++) {
        value = 77;
        TELL(read(e, &value, 8));
        printf("value %lu\n", (unsigned long)value);
    }
    leave(e);
    value = 3;
    TELL(write(e, &value, 8));
    TELL(read(e, &value, 8));
    printf("value %lu\n", (unsigned long)value);
    close(e);
}

static const char *type_name(int type)
{
    return type == SOCK_STREAM ? "stream" : type == SOCK_DGRAM ? "datagrams" : "packets";
}

static void receive_told(int fd, size_t room, int flags)
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

static void fill_told(int fd, int other, size_t piece)
{
    long n, total = 0, times = 0;
    while ((n = send(fd, source, piece, MSG_DONTWAIT)) > 0) {
        total += n;
        times++;
    }
    printf("pieces of %zu: %ld times, %ld bytes, %s\n", piece, times, total, strerror(errno));
    poll_told("full", fd);
    int waits = -1, out = -1;
    ioctl(other, FIONREAD, &waits);
    ioctl(fd, TIOCOUTQ, &out);
    printf("FIONREAD %d, TIOCOUTQ %d\n", waits, out);
    long got = 0, first = recv(other, target, piece, MSG_DONTWAIT);
    poll_told("after one", fd);
    for (n = first; n > 0; n = recv(other, target, sizeof target, MSG_DONTWAIT))
        got += n;
    printf("got %ld\n", got);
    poll_told("empty", fd);
}

static void pair_cases(int type)
{
    static const int options[] = {SO_TYPE, SO_DOMAIN, SO_PROTOCOL, SO_ERROR, SO_SNDBUF, SO_RCVBUF, SO_ACCEPTCONN, SO_PASSCRED,
                                  SO_REUSEADDR, SO_RCVLOWAT, SO_KEEPALIVE};
    int q[2], n;
    struct stat s, t;
    struct sockaddr_un a;
    socklen_t l;
    title("pair of %s", type_name(type));
    TELL(socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, q));
    TELL(fcntl(q[0], F_GETFD));
    TELL(fcntl(q[1], F_GETFL));
    fstat(q[0], &s);
    fstat(q[1], &t);
    printf("mode %o, block %ld\n", s.st_mode, (long)s.st_blksize);
    l = sizeof a;
    TELL(getsockname(q[0], (struct sockaddr *)&a, &l));
    printf("family %d, length %u\n", a.sun_family, l);
    l = sizeof a;
    TELL(getpeername(q[0], (struct sockaddr *)&a, &l));
    printf("family %d, length %u\n", a.sun_family, l);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        int value = -1;
        l = sizeof value;
        int r = getsockopt(q[0], SOL_SOCKET, options[i], &value, &l);
        printf("option %d: %d, %d, %u\n", options[i], r, value, l);
    }
    struct ucred c;
    l = sizeof c;
    TELL(getsockopt(q[0], SOL_SOCKET, SO_PEERCRED, &c, &l));
    printf("pid %d uid %d gid %d\n", c.pid == getpid(), c.uid == geteuid(), c.gid == getegid());
    close_both(q);
    TELL(socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, q));
    poll_told("fresh", q[0]);
    TELL(recv(q[0], target, 10, 0));
    TELL(recv(q[0], target, 0, 0));
    TELL(read(q[0], target, 0));
    TELL(send(q[0], source, 100, 0));
    TELL(write(q[0], source + 100, 50));
    TELL(ioctl(q[1], FIONREAD, &n));
    printf("FIONREAD %d\n", n);
    receive_told(q[1], 30, MSG_PEEK);
    receive_told(q[1], 130, MSG_PEEK);
    receive_told(q[1], 30, MSG_PEEK | MSG_TRUNC);
    receive_told(q[1], 30, MSG_TRUNC);
    receive_told(q[1], 30, 0);
    receive_told(q[1], 30, MSG_DONTWAIT | MSG_WAITALL);
    receive_told(q[1], 300, MSG_CMSG_CLOEXEC);
    receive_told(q[1], 300, 0);
    receive_told(q[1], 300, 0);
    TELL(send(q[0], source, 0, 0));
    receive_told(q[1], 300, 0);
    TELL(send(q[0], source, 10, MSG_MORE));
    TELL(send(q[0], source, 10, MSG_NOSIGNAL | MSG_DONTWAIT));
    receive_told(q[1], 300, 0);
    receive_told(q[1], 300, 0);
    TELL(send(q[0], nowhere, 10, 0));
    TELL(lseek(q[0], 0, SEEK_SET));
    TELL(pread(q[0], target, 1, 0));
    TELL(isatty(q[0]));
    TELL(shutdown(q[0], 9));
    struct mmsghdr many[3] = {0};
    struct iovec v[3] = {{source, 5}, {source + 5, 6}, {source + 11, 7}};
    for (int i = 0; i < 3; i++)
        many[i].msg_hdr = (struct msghdr){.msg_iov = &v[i], .msg_iovlen = 1};
    TELL(sendmmsg(q[0], many, 3, 0));
    struct iovec w[3] = {{target, 9}, {target + 9, 9}, {target + 18, 9}};
    for (int i = 0; i < 3; i++)
        many[i].msg_hdr = (struct msghdr){.msg_iov = &w[i], .msg_iovlen = 1};
    TELL(recvmmsg(q[1], many, 3, MSG_DONTWAIT, NULL));
    printf("lengths %u %u\n", many[0].msg_len, many[1].msg_len);
    close_both(q);

    TELL(socketpair(AF_UNIX, type, 0, q));
    static const size_t pieces[] = {1, 100, 1000, 3000, 5000, 20000, 65536, 150000};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        fill_told(q[0], q[1], pieces[i]);
    TELL(send(q[0], source, 212960, MSG_DONTWAIT));
    TELL(recv(q[1], target, sizeof target, MSG_DONTWAIT));
    TELL(send(q[0], source, 300000, MSG_DONTWAIT));
    TELL(recv(q[1], target, sizeof target, MSG_DONTWAIT));
    close_both(q);

    for (int how = SHUT_RD; how <= SHUT_RDWR; how++) {
        title("shutdown %d of %s", how, type_name(type));
        socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, q);
        send(q[0], source, 10, 0);
        send(q[1], source, 20, 0);
        TELL(shutdown(q[0], how));
        poll_told("own", q[0]);
        poll_told("other", q[1]);
        receive_told(q[0], 100, 0);
        receive_told(q[0], 100, 0);
        receive_told(q[1], 100, 0);
        receive_told(q[1], 100, 0);
        TELL(send(q[0], source, 1, 0));
        TELL(send(q[1], source, 1, 0));
        TELL(send(q[1], source, 1, MSG_NOSIGNAL));
        TELL(shutdown(q[1], how));
        poll_told("own", q[0]);
        poll_told("other", q[1]);
        close_both(q);
    }
    for (int unread = 0; unread < 2; unread++) {
        title("%s closed%s", type_name(type), unread ? " with something unread" : "");
        for (int order = 0; order < 2; order++) {
            socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, q);
            send(q[1], source, 10, 0);
            if (unread)
                send(q[0], source, 10, 0);
            close(q[1]);
            poll_told("left", q[0]);
            l = sizeof n;
            if (order) {
                TELL(send(q[0], source, 10, 0));
                TELL(send(q[0], source, 10, 0));
            } else {
                TELL(getsockopt(q[0], SOL_SOCKET, SO_ERROR, &n, &l));
                printf("SO_ERROR %s\n", strerror(n));
            }
            receive_told(q[0], 100, 0);
            receive_told(q[0], 100, 0);
            receive_told(q[0], 100, 0);
            TELL(send(q[0], source, 10, 0));
            TELL(send(q[0], source, 10, 0));
            l = sizeof a;
            TELL(getpeername(q[0], (struct sockaddr *)&a, &l));
            poll_told("left", q[0]);
            close(q[0]);
        }
    }
    title("what only the kernel does with %s", type_name(type));
    socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, q);
    send(q[0], source, 100, 0);
    struct timeval soon = {.tv_usec = 20000};
    TELL(setsockopt(q[1], SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon));
    receive_told(q[1], 70, 0);
    receive_told(q[1], 70, 0);
    nonblocking(q[1], false);
    TELL(recv(q[1], target, 10, 0));
    TELL(listen(q[0], 5));
    TELL(accept(q[0], NULL, NULL));
    a = (struct sockaddr_un){.sun_family = AF_UNIX};
    TELL(connect(q[0], (struct sockaddr *)&a, sizeof a));
    TELL(sendto(q[0], source, 1, 0, (struct sockaddr *)&a, sizeof a.sun_family));
    close_both(q);
}

/* ---- files in messages ---- */

static long send_files(int fd, const int *fds, size_t count, size_t bytes)
{
    uint8_t control[CMSG_SPACE(300 * sizeof(int))] = {0};
    struct iovec v = {source, bytes};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(count * sizeof *fds)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(count * sizeof *fds);
    memcpy(CMSG_DATA(c), fds, count * sizeof *fds);
    return sendmsg(fd, &m, 0);
}

/* How many came; fds[]. */
static int receive_files(int fd, int *fds, size_t room, size_t bytes, int flags)
{
    uint8_t control[CMSG_SPACE(300 * sizeof(int))];
    struct iovec v = {target, bytes};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = room ? control : NULL,
                       .msg_controllen = room ? CMSG_LEN(room * sizeof *fds) : 0};
    long n = recvmsg(fd, &m, flags);
    if (n < 0) {
        printf("recvmsg: %s\n", strerror(errno));
        return 0;
    }
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    int count = c ? (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof *fds) : 0;
    if (c)
        memcpy(fds, CMSG_DATA(c), (size_t)count * sizeof *fds);
    printf("recvmsg: %ld, control %zu, flags %x, %d files", n, m.msg_controllen, (unsigned)m.msg_flags, count);
    for (int i = 0; i < count; i++)
        printf(" %d", fcntl(fds[i], F_GETFD));
    printf("\n");
    return count;
}

static void rights_cases(int type, bool outside)
{
    int q[2], p[2], got[300], many[260];
    title("files over %s%s", type_name(type), outside ? " of the kernel" : "");
    socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, q);
    pipe2(p, O_NONBLOCK);
    int e = eventfd(7, EFD_NONBLOCK), three[3] = {p[0], p[1], e};
    write(p[1], "before", 6);
    if (outside)
        leave(q[0]);
    TELL(send_files(q[0], three, 3, 10));
    close_both(p);
    close(e);
    if (receive_files(q[1], got, 3, 4, MSG_CMSG_CLOEXEC) == 3) {
        TELL(read(got[0], target, 100));
        TELL(write(got[1], "after", 5));
        TELL(read(got[0], target, 100));
        uint64_t value = 0;
        TELL(read(got[2], &value, 8));
        printf("value %lu\n", (unsigned long)value);
        for (int i = 0; i < 3; i++)
            close(got[i]);
    }
    receive_files(q[1], got, 3, 100, 0);
    e = eventfd(0, 0);
    TELL(send_files(q[0], &e, 1, 1));
    TELL(send(q[0], source, 2, 0));
    for (int peek = 0; peek < 2; peek++)
        for (int n = receive_files(q[1], got, 1, 100, peek ? 0 : MSG_PEEK); n; n--)
            close(got[n - 1]);
    receive_files(q[1], got, 1, 100, 0);
    TELL(send(q[0], source, 2, 0));
    TELL(send_files(q[0], &e, 1, 1));
    TELL(send_files(q[0], &e, 1, 1));
    for (int i = 0; i < 3; i++)
        for (int n = receive_files(q[1], got, 1, 100, 0); n; n--)
            close(got[n - 1]);
    for (int i = 0; i < 4; i++)
        TELL(send_files(q[0], (int[]){e, e, e}, 3, 1));
    for (int room = 0; room < 4; room++)
        for (int n = receive_files(q[1], got, (size_t)room, 1, 0); n; n--)
            close(got[n - 1]);
    for (int i = 0; i < 260; i++)
        many[i] = e;
    TELL(send_files(q[0], many, 253, 1));
    for (int n = receive_files(q[1], got, 253, 1, 0); n; n--)
        close(got[n - 1]);
    TELL(send_files(q[0], many, 254, 1));
    many[1] = 999;
    TELL(send_files(q[0], many, 2, 1));
    TELL(send_files(q[0], &e, 1, 1));
    int full = e;
    TELL(read(q[1], target, 10));
    /* An end sent over itself, and closed. */
    TELL(send_files(q[0], &q[0], 1, 1));
    if (receive_files(q[1], got, 1, 10, 0) == 1) {
        close(q[0]);
        TELL(send(got[0], source, 5, 0));
        receive_told(q[1], 10, 0);
        close(got[0]);
        receive_told(q[1], 10, 0);
    }
    close(q[1]);
    close(full);
}

static void cases(void)
{
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
    int q[2];
    handle(SIGPIPE, 0);
    pipe_cases();
    event_cases();
    for (int i = 0; i < 3; i++)
        pair_cases(types[i]);
    for (int i = 0; i < 6; i++)
        rights_cases(types[i % 3], i >= 3);
    title("no such pair");
    TELL(socketpair(AF_UNIX, SOCK_STREAM, 77, q));
    TELL(socketpair(AF_INET, SOCK_STREAM, 0, q));
    TELL(socketpair(AF_UNIX, 9, 0, q));
    TELL(socketpair(AF_UNIX, SOCK_STREAM, 0, nowhere));
}

/* ---- waiting ---- */

enum deed { WRITE, READ, CLOSE, LEAVE, SIGNAL, SHUT, ADD, REARM, FORK };

/* What another thread does once the first one has had time to fall asleep; the outcome is the same if it has not. */
struct later {
    pthread_t thread, first;
    enum deed deed[4];
    int fd[4], count;
    long length;
    int epoll;
};

static void *later_run(void *argument)
{
    struct later *l = argument;
    uint64_t one = 1;
    for (int i = 0; i < l->count; i++) {
        usleep(15000);
        struct epoll_event e = {.events = EPOLLIN | (l->deed[i] == REARM ? EPOLLONESHOT : 0), .data.fd = l->fd[i]};
        long n = 0;
        switch (l->deed[i]) {
        case WRITE:
            n = l->length ? write(l->fd[i], source, (size_t)l->length) : write(l->fd[i], &one, sizeof one);
            break;
        case READ:
            for (long left = l->length; left > 0; left -= n)
                if ((n = read(l->fd[i], target, (size_t)left)) <= 0)
                    break;
            break;
        case CLOSE:
            n = close(l->fd[i]);
            break;
        case LEAVE:
            leave(l->fd[i]);
            break;
        case SIGNAL:
            n = pthread_kill(l->first, SIGUSR1);
            break;
        case SHUT:
            n = shutdown(l->fd[i], SHUT_RDWR);
            break;
        case ADD:
            n = epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->fd[i], &e);
            break;
        case REARM:
            n = epoll_ctl(l->epoll, EPOLL_CTL_MOD, l->fd[i], &e);
            break;
        case FORK:
            n = fork();
            if (n == 0)
                _exit(0);
            if (n > 0)
                n = waitpid((pid_t)n, NULL, 0) < 0 ? -1 : 0;
            break;
        }
        if (n < 0)
            printf("deed %d: %s\n", l->deed[i], strerror(errno));
    }
    return NULL;
}

static void later(struct later *l, long length, int count, ...)
{
    va_list arguments;
    *l = (struct later){.first = pthread_self(), .count = count, .length = length};
    va_start(arguments, count);
    for (int i = 0; i < count; i++) {
        l->deed[i] = (enum deed)va_arg(arguments, int);
        l->fd[i] = va_arg(arguments, int);
    }
    va_end(arguments);
    pthread_create(&l->thread, NULL, later_run, l);
}

static void over(struct later *l)
{
    pthread_join(l->thread, NULL);
}

static void pair_of_kind(int kind, int fds[2])
{
    if (kind == 0)
        pipe(fds);
    else if (kind == 1)
        fds[0] = fds[1] = eventfd(0, 0);
    else
        socketpair(AF_UNIX, kind == 2 ? SOCK_STREAM : kind == 3 ? SOCK_SEQPACKET : SOCK_DGRAM, 0, fds);
}

static const char *const kinds[] = {"pipe", "eventfd", "stream", "packets", "datagrams"};

static void waiting_read(int kind)
{
    struct later l;
    int p[2];
    title("a reader of %s waits", kinds[kind]);
    pair_of_kind(kind, p);
    later(&l, 0, 1, WRITE, p[1]);
    TELL(read(p[0], target, 100));
    over(&l);
    later(&l, 0, 2, LEAVE, p[0], WRITE, p[1]);
    TELL(read(p[0], target, 100));
    over(&l);
    close_both(p);
    pair_of_kind(kind, p);
    later(&l, 0, 2, FORK, p[0], WRITE, p[1]);
    TELL(read(p[0], target, 100));
    over(&l);
    close_both(p);
    pair_of_kind(kind, p);
    handle(SIGUSR1, 0);
    later(&l, 0, 1, SIGNAL, 0);
    TELL(read(p[0], target, 100));
    over(&l);
    handle(SIGUSR1, SA_RESTART);
    later(&l, 0, 2, SIGNAL, 0, WRITE, p[1]);
    TELL(read(p[0], target, 100));
    over(&l);
    if (kind != 1 && kind != 4) {
        later(&l, 0, 1, CLOSE, p[1]);
        TELL(read(p[0], target, 100));
        over(&l);
        close(p[0]);
        pair_of_kind(kind, p);
    }
    if (kind >= 2) {
        later(&l, 0, 1, SHUT, p[0]);
        TELL(recv(p[0], target, 100, 0));
        over(&l);
    }
    close_both(p);
}

static void waiting_write(int kind, bool leaves)
{
    struct later l;
    int p[2];
    title("a writer to %s waits%s", kinds[kind], leaves ? ", which becomes the kernel's" : "");
    pair_of_kind(kind, p);
    later(&l, 500000, leaves ? 2 : 1, leaves ? LEAVE : READ, p[0], READ, p[0]);
    TELL(write(p[1], source, 500000));
    over(&l);
    if (!leaves) {
        /* What a writer has got rid of when it is interrupted is less than all. */
        handle(SIGUSR1, SA_RESTART);
        later(&l, 0, 1, SIGNAL, 0);
        long n = write(p[1], source, 500000);
        printf("interrupted: %d\n", n > 0 && n < 500000);
        caught = 0;
        over(&l);
        later(&l, 0, 1, CLOSE, p[0]);
        TELL(write(p[1], source, 500000));
        over(&l);
        close(p[1]);
        return;
    }
    close_both(p);
}

static void waiting_counter(void)
{
    struct later l;
    uint64_t full = UINT64_MAX - 1;
    int e = eventfd(0, 0);
    title("a counter that is full");
    write(e, &full, sizeof full);
    later(&l, 8, 1, READ, e);
    full = 5;
    TELL(write(e, &full, sizeof full));
    over(&l);
    TELL(read(e, &full, sizeof full));
    printf("value %lu\n", (unsigned long)full);
    close(e);
}

static void waiting_all(void)
{
    struct later l;
    int q[2];
    title("MSG_WAITALL");
    socketpair(AF_UNIX, SOCK_STREAM, 0, q);
    later(&l, 10, 3, WRITE, q[1], WRITE, q[1], WRITE, q[1]);
    TELL(recv(q[0], target, 30, MSG_WAITALL));
    over(&l);
    later(&l, 10, 2, WRITE, q[1], CLOSE, q[1]);
    TELL(recv(q[0], target, 30, MSG_WAITALL));
    over(&l);
    close(q[0]);
}

/* A pipe that the kernel has in any case. */
static void kernel_pipe(int p[2])
{
    pipe2(p, O_DIRECT | O_NONBLOCK);
}

static void waiting_poll(int kind)
{
    struct later l;
    int p[2], k[2];
    pair_of_kind(kind, p);
    kernel_pipe(k);
    title("poll and select of %s", kinds[kind]);
    struct pollfd f[3] = {{p[0], POLLIN, 0}, {k[0], POLLIN, 0}, {-1, POLLIN, 0}};
    for (int with = 1; with <= 2; with++) {
        TELL(poll(f, (nfds_t)with, 0));
        TELL(poll(f, (nfds_t)with, 10));
        later(&l, 0, 1, WRITE, p[1]);
        TELL(poll(f, (nfds_t)with, -1));
        over(&l);
        printf("revents %x %x\n", (unsigned)f[0].revents, (unsigned)f[1].revents);
        read(p[0], target, 8);
        handle(SIGUSR1, SA_RESTART);
        later(&l, 0, 1, SIGNAL, 0);
        TELL(poll(f, (nfds_t)with, -1));
        over(&l);
    }
    later(&l, 0, 1, WRITE, k[1]);
    TELL(poll(f, 3, -1));
    over(&l);
    printf("revents %x %x\n", (unsigned)f[0].revents, (unsigned)f[1].revents);
    fd_set in;
    struct timeval soon = {.tv_usec = 10000};
    FD_ZERO(&in);
    FD_SET(p[0], &in);
    TELL(select(p[0] + 1, &in, NULL, NULL, &soon));
    later(&l, 0, 1, WRITE, p[1]);
    FD_ZERO(&in);
    FD_SET(p[0], &in);
    TELL(select(p[0] + 1, &in, NULL, NULL, NULL));
    over(&l);
    FD_SET(k[0], &in);
    TELL(select(64, &in, NULL, NULL, NULL));
    printf("sets %d %d\n", FD_ISSET(p[0], &in) != 0, FD_ISSET(k[0], &in) != 0);
    read(p[0], target, 8);
    later(&l, 0, 2, LEAVE, p[0], WRITE, p[1]);
    TELL(poll(f, 1, -1));
    over(&l);
    printf("revents %x\n", (unsigned)f[0].revents);
    close_both(p);
    close_both(k);
}

static void events_told(const char *what, int ep, int timeout)
{
    struct epoll_event e[64];
    int n = epoll_wait(ep, e, 64, timeout);
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

static void watch(int ep, int operation, int fd, uint32_t events, uint32_t tag)
{
    struct epoll_event e = {.events = events, .data.u32 = tag};
    if (epoll_ctl(ep, operation, fd, &e))
        printf("epoll_ctl %d of %u: %s\n", operation, tag, strerror(errno));
}

static void waiting_epoll(int kind)
{
    struct later l;
    int p[2], k[2], ep = epoll_create1(EPOLL_CLOEXEC), outer = epoll_create1(0);
    uint64_t one = 1;
    pair_of_kind(kind, p);
    kernel_pipe(k);
    nonblocking(p[0], true);
    title("epoll of %s", kinds[kind]);
    watch(ep, EPOLL_CTL_ADD, p[0], EPOLLIN, 1);
    watch(ep, EPOLL_CTL_ADD, p[0], EPOLLIN, 1);
    events_told("nothing", ep, 0);
    events_told("nothing soon", ep, 10);
    write(p[1], &one, 8);
    events_told("level", ep, 0);
    events_told("level", ep, 0);
    read(p[0], target, 8);
    events_told("read", ep, 0);
    later(&l, 0, 1, WRITE, p[1]);
    events_told("waited", ep, -1);
    over(&l);
    read(p[0], target, 8);
    handle(SIGUSR1, SA_RESTART);
    later(&l, 0, 1, SIGNAL, 0);
    events_told("interrupted", ep, -1);
    over(&l);
    watch(ep, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLET, 2);
    events_told("edge, nothing", ep, 0);
    write(p[1], &one, 8);
    events_told("edge", ep, 0);
    events_told("edge, told", ep, 0);
    write(p[1], &one, 8);
    events_told("edge, again", ep, 0);
    watch(ep, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLET, 2);
    events_told("edge, set again", ep, 0);
    read(p[0], target, 64);
    if (kind >= 3)
        read(p[0], target, 64);
    events_told("edge, read", ep, 0);
    later(&l, 0, 1, WRITE, p[1]);
    events_told("edge, waited", ep, -1);
    over(&l);
    events_told("edge, told", ep, 0);
    watch(ep, EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT, 3);
    events_told("once", ep, 0);
    events_told("once, told", ep, 0);
    write(p[1], &one, 8);
    events_told("once, told", ep, 0);
    later(&l, 0, 1, REARM, p[0]);
    l.epoll = ep;
    events_told("once, armed again", ep, -1);
    over(&l);
    while (read(p[0], target, 64) > 0)
        ;
    watch(ep, EPOLL_CTL_MOD, p[0], EPOLLIN, 4);
    watch(ep, EPOLL_CTL_ADD, k[0], EPOLLIN, 5);
    events_told("mixed, nothing", ep, 0);
    write(k[1], &one, 8);
    events_told("mixed, the kernel's", ep, -1);
    write(p[1], &one, 8);
    events_told("mixed, both", ep, -1);
    read(k[0], target, 8);
    events_told("mixed, ours", ep, -1);
    read(p[0], target, 8);
    later(&l, 0, 1, WRITE, p[1]);
    events_told("mixed, waited for ours", ep, -1);
    over(&l);
    read(p[0], target, 8);
    later(&l, 0, 1, WRITE, k[1]);
    events_told("mixed, waited for the kernel's", ep, -1);
    over(&l);
    read(k[0], target, 8);
    watch(outer, EPOLL_CTL_ADD, ep, EPOLLIN, 6);
    events_told("nested, nothing", outer, 0);
    later(&l, 0, 1, WRITE, p[1]);
    events_told("nested, waited", outer, -1);
    over(&l);
    events_told("nested", outer, 0);
    poll_told("nested", outer);
    poll_told("the set", ep);
    read(p[0], target, 8);
    events_told("nested, read", outer, 0);
    struct pollfd f = {ep, POLLIN, 0};
    later(&l, 0, 1, WRITE, p[1]);
    TELL(poll(&f, 1, -1));
    over(&l);
    read(p[0], target, 8);
    watch(ep, EPOLL_CTL_DEL, p[0], 0, 0);
    write(p[1], &one, 8);
    events_told("taken out", ep, 0);
    watch(ep, EPOLL_CTL_DEL, p[0], 0, 0);
    watch(ep, EPOLL_CTL_MOD, p[0], EPOLLIN, 0);
    later(&l, 0, 1, ADD, p[0]);
    l.epoll = ep;
    struct epoll_event e;
    TELL(epoll_wait(ep, &e, 1, -1));
    over(&l);
    printf("the descriptor %d\n", e.data.fd == p[0]);
    watch(ep, EPOLL_CTL_MOD, p[0], EPOLLIN, 7);
    events_told("before it leaves", ep, 0);
    leave(p[0]);
    events_told("after it left", ep, 0);
    read(p[0], target, 8);
    events_told("read", ep, 0);
    later(&l, 0, 1, WRITE, p[1]);
    events_told("waited", ep, -1);
    over(&l);
    close_both(p);
    events_told("closed", ep, 0);
    close_both(k);
    close(ep);
    /* One that leaves while it is waited for, in two sets, and by a set alone. */
    ep = epoll_create1(0);
    pair_of_kind(kind, p);
    watch(ep, EPOLL_CTL_ADD, p[0], EPOLLIN | EPOLLEXCLUSIVE, 1);
    watch(outer, EPOLL_CTL_ADD, p[0], EPOLLIN, 2);
    later(&l, 0, 2, LEAVE, p[0], WRITE, p[1]);
    events_told("left meanwhile", ep, -1);
    over(&l);
    events_told("left meanwhile, the other set", outer, -1);
    close_both(p);
    pair_of_kind(kind, p);
    watch(ep, EPOLL_CTL_ADD, p[0], EPOLLIN, 1);
    later(&l, 0, 2, FORK, p[0], WRITE, p[1]);
    events_told("forked meanwhile", ep, -1);
    over(&l);
    close_both(p);
    close(ep);
    close(outer);
}

static void waiting_room(void)
{
    int p[2], ep = epoll_create1(0);
    title("epoll and room");
    pipe2(p, O_NONBLOCK);
    watch(ep, EPOLL_CTL_ADD, p[1], EPOLLOUT | EPOLLET, 1);
    events_told("room", ep, 0);
    events_told("told", ep, 0);
    TELL(write(p[1], source, 65536));
    events_told("full", ep, 0);
    TELL(read(p[0], target, 100));
    events_told("no page is free", ep, 0);
    TELL(read(p[0], target, 4096));
    events_told("one is", ep, 0);
    events_told("told", ep, 0);
    TELL(close(p[0]));
    events_told("broken", ep, 0);
    close(p[1]);
    for (int type = SOCK_STREAM; type <= SOCK_SEQPACKET; type += SOCK_SEQPACKET - SOCK_STREAM) {
        int q[2];
        socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, q);
        watch(ep, EPOLL_CTL_ADD, q[0], EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP, 2);
        events_told("room", ep, 0);
        while (send(q[0], source, 1000, 0) > 0)
            ;
        events_told("full", ep, 0);
        recv(q[1], target, 1000, 0);
        events_told("still more than a quarter", ep, 0);
        while (recv(q[1], target, 1000, 0) > 0)
            ;
        events_told("empty", ep, 0);
        TELL(send(q[1], source, 5, 0));
        events_told("something came", ep, 0);
        TELL(shutdown(q[1], SHUT_WR));
        events_told("no more comes", ep, 0);
        close(q[1]);
        events_told("closed", ep, 0);
        close(q[0]);
    }
    close(ep);
}

/* Several of each, and what went in comes out. */
static struct {
    int p[2];
    int pieces;
    uint64_t sum;
} crowd;

static void *crowd_writer(void *argument)
{
    (void)argument;
    for (int i = 1; i <= crowd.pieces; i++) {
        uint64_t value = (uint64_t)i;
        if (write(crowd.p[1], &value, sizeof value) != sizeof value)
            perror("write");
    }
    return NULL;
}

static void *crowd_reader(void *argument)
{
    uint64_t value, sum = 0;
    long mode = (long)argument;
    for (;;) {
        struct pollfd f = {crowd.p[0], POLLIN, 0};
        if (mode && poll(&f, 1, -1) < 0)
            perror("poll");
        long n = read(crowd.p[0], &value, sizeof value);
        if (n < 0 && errno == EAGAIN)
            continue;
        if (n < (long)sizeof value || value == UINT32_MAX)
            break;
        sum += value;
    }
    __atomic_add_fetch(&crowd.sum, sum, __ATOMIC_SEQ_CST);
    return NULL;
}

static void crowds(int kind, long mode)
{
    pthread_t writers[4], readers[4];
    uint64_t end = UINT32_MAX;
    title("a crowd at %s, %ld", kinds[kind], mode);
    crowd.pieces = 3000;
    crowd.sum = 0;
    pair_of_kind(kind, crowd.p);
    if (mode)
        nonblocking(crowd.p[0], true);
    for (int i = 0; i < 4; i++)
        pthread_create(&readers[i], NULL, crowd_reader, (void *)mode);
    for (int i = 0; i < 4; i++)
        pthread_create(&writers[i], NULL, crowd_writer, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(writers[i], NULL);
    for (int i = 0; i < 4; i++)
        write(crowd.p[1], &end, sizeof end);
    for (int i = 0; i < 4; i++)
        pthread_join(readers[i], NULL);
    printf("sum %lu\n", (unsigned long)crowd.sum);
    close_both(crowd.p);
}

static void *semaphore_taker(void *argument)
{
    uint64_t one;
    (void)argument;
    for (int i = 0; i < 500; i++)
        if (read(crowd.p[0], &one, sizeof one) == sizeof one)
            __atomic_add_fetch(&crowd.sum, one, __ATOMIC_SEQ_CST);
    return NULL;
}

static void semaphore_crowd(void)
{
    pthread_t takers[4];
    uint64_t left = 2000;
    title("a crowd at a semaphore");
    crowd.sum = 0;
    crowd.p[0] = eventfd(0, EFD_SEMAPHORE);
    for (int i = 0; i < 4; i++)
        pthread_create(&takers[i], NULL, semaphore_taker, NULL);
    for (uint64_t n = 7; left; left -= n) {
        n = n < left ? n : left;
        write(crowd.p[0], &n, sizeof n);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(takers[i], NULL);
    printf("taken %lu\n", (unsigned long)crowd.sum);
    close(crowd.p[0]);
}

static void waiting(void)
{
    handle(SIGPIPE, 0);
    for (int kind = 0; kind < 5; kind++)
        waiting_read(kind);
    for (int leaves = 0; leaves < 2; leaves++) {
        waiting_write(0, leaves);
        waiting_write(2, leaves);
    }
    waiting_counter();
    waiting_all();
    for (int kind = 0; kind < 5; kind++)
        waiting_poll(kind);
    for (int kind = 0; kind < 5; kind++)
        waiting_epoll(kind);
    waiting_room();
    for (long mode = 0; mode < 2; mode++) {
        crowds(0, mode);
        crowds(2, mode);
        crowds(3, mode);
        crowds(4, mode);
    }
    semaphore_crowd();
}

/* ---- leaving ---- */

static long child(int (*run)(const int *fds), const int *fds)
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

static int read_all(const int *fds)
{
    long n, total = 0;
    uint64_t h = 0;
    nonblocking(fds[0], true);
    while ((n = read(fds[0], target, 3000)) > 0) {
        total += n;
        h = h * 31 + hash(target, n);
    }
    printf("the child read %ld, %lx\n", total, h);
    return 3;
}

static int read_some(const int *fds)
{
    TELL(read(fds[0], target, 100));
    return 4;
}

static void leaving_full(int kind)
{
    int p[2];
    long n, total = 0;
    struct stat before, after;
    title("%s that is full, and then is another process's", kinds[kind]);
    pair_of_kind(kind, p);
    nonblocking(p[1], true);
    for (size_t i = 1; (n = write(p[1], source + i, i % 7 == 0 ? 3000 : i % 5 * 200 + 1)) > 0; i++)
        total += n;
    printf("total %ld\n", total);
    fstat(p[0], &before);
    if (kind == 2)
        shutdown(p[1], SHUT_WR);
    TELL(child(read_all, p));
    fstat(p[0], &after);
    printf("the same inode %d\n", before.st_ino == after.st_ino && before.st_dev == after.st_dev);
    nonblocking(p[0], true);
    total = 0;
    while ((n = read(p[0], target, sizeof target)) > 0)
        total += n;
    printf("left %ld\n", total);
    TELL(fcntl(p[1], F_GETFL));
    close_both(p);
}

static int peek(const int *fds)
{
    poll_told("in the child, own", fds[0]);
    TELL(send(fds[0], source, 5, MSG_NOSIGNAL | MSG_DONTWAIT));
    TELL(recv(fds[0], target, 100, MSG_DONTWAIT));
    TELL(recv(fds[0], target, 100, MSG_DONTWAIT));
    TELL(recv(fds[0], target, 100, MSG_DONTWAIT));
    return 0;
}

static void leaving_states(int type)
{
    int q[2];
    title("%s that is half closed, and leaves", type_name(type));
    for (int how = 0; how < 5; how++) {
        socketpair(AF_UNIX, type, 0, q);
        send(q[0], source, 10, 0);
        send(q[1], source, 20, 0);
        if (how < 3)
            shutdown(q[0], how);
        if (how == 3)
            close(q[1]);
        if (how == 4) {
            recv(q[1], target, 100, 0);
            close(q[1]);
        }
        TELL(child(peek, q));
        poll_told("own", q[0]);
        receive_told(q[0], 100, MSG_DONTWAIT);
        close(q[0]);
        if (how < 3)
            close(q[1]);
    }
}

static int take_files(const int *fds)
{
    int got[8];
    if (receive_files(fds[1], got, 8, 100, 0) != 2)
        return 1;
    TELL(read(got[0], target, 100));
    uint64_t value = 0;
    TELL(read(got[1], &value, 8));
    printf("value %lu\n", (unsigned long)value);
    TELL(write(fds[1], "answer", 6));
    return 0;
}

static void leaving_within(void)
{
    int q[2], p[2], inner[2];
    title("what is on its way when it leaves");
    socketpair(AF_UNIX, SOCK_STREAM, 0, q);
    pipe(p);
    int e = eventfd(9, 0), both[2] = {p[0], e};
    write(p[1], source, 77);
    TELL(send_files(q[0], both, 2, 3));
    close(p[0]);
    close(e);
    TELL(child(take_files, q));
    TELL(read(q[0], target, 100));
    close(p[1]);
    close_both(q);
    title("pairs within each other");
    socketpair(AF_UNIX, SOCK_STREAM, 0, q);
    socketpair(AF_UNIX, SOCK_STREAM, 0, inner);
    TELL(send_files(q[0], inner, 1, 1));
    TELL(send_files(inner[0], q, 1, 2));
    leave(q[0]);
    int got[2] = {-1, -1};
    receive_files(q[1], got, 1, 10, 0);
    receive_files(inner[1], got + 1, 1, 10, 0);
    TELL(write(got[0], source, 4));
    TELL(read(inner[1], target, 10));
    TELL(write(got[1], source, 5));
    TELL(read(q[1], target, 10));
    close_both(got);
    close_both(q);
    close_both(inner);
    title("over a socket with a name");
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    socklen_t l = sizeof a;
    bind(listener, (struct sockaddr *)&a, sizeof a.sun_family);
    getsockname(listener, (struct sockaddr *)&a, &l);
    listen(listener, 1);
    q[0] = socket(AF_UNIX, SOCK_STREAM, 0);
    TELL(connect(q[0], (struct sockaddr *)&a, l));
    TELL((q[1] = accept(listener, NULL, NULL)) >= 0);
    pipe(p);
    e = eventfd(3, 0);
    write(p[1], source, 55);
    both[0] = p[0];
    both[1] = e;
    TELL(send_files(q[0], both, 2, 1));
    close(p[0]);
    close(e);
    TELL(take_files(q));
    close_both(q);
    close(listener);
    close(p[1]);
}

static void leaving_calls(void)
{
    int p[2], q[2], k[2];
    char name[64];
    title("calls between files");
    int file = memfd_create("file", 0);
    write(file, source, 5000);
    lseek(file, 100, SEEK_SET);
    pipe2(p, O_NONBLOCK);
    write(p[1], source, 10);
    TELL(splice(file, NULL, p[1], NULL, 1000, 0));
    TELL(read(p[0], target, 5000));
    close_both(p);
    pipe2(p, O_NONBLOCK);
    write(p[1], source, 10);
    TELL(splice(p[0], NULL, file, NULL, 1000, 0));
    TELL(splice(p[0], NULL, file, NULL, 1000, SPLICE_F_NONBLOCK));
    close_both(p);
    pipe2(p, O_NONBLOCK);
    pipe2(q, O_NONBLOCK);
    write(p[1], source, 10);
    TELL(tee(p[0], q[1], 100, 0));
    TELL(read(p[0], target, 100));
    TELL(read(q[0], target, 100));
    close_both(p);
    close_both(q);
    pipe2(p, O_NONBLOCK);
    off_t at = 7;
    TELL(sendfile(p[1], file, &at, 1000));
    TELL(read(p[0], target, 5000));
    close_both(p);
    pipe2(p, O_NONBLOCK);
    struct iovec v = {source, 100};
    TELL(vmsplice(p[1], &v, 1, 0));
    v.iov_base = target;
    TELL(vmsplice(p[0], &v, 1, 0));
    TELL(copy_file_range(p[0], NULL, file, NULL, 10, 0));
    close_both(p);
    title("a pipe opened anew");
    pipe2(p, O_NONBLOCK);
    write(p[1], source, 30);
    snprintf(name, sizeof name, "/proc/self/fd/%d", p[0]);
    TELL((k[0] = open(name, O_RDONLY | O_NONBLOCK)) >= 0);
    TELL(read(k[0], target, 10));
    TELL(read(p[0], target, 10));
    TELL((k[1] = open(name, O_WRONLY | O_NONBLOCK)) >= 0);
    TELL(write(k[1], source, 5));
    TELL(read(p[0], target, 100));
    close_both(p);
    TELL(read(k[0], target, 100));
    close_both(k);
    title("signals on I/O");
    handle(SIGIO, SA_RESTART);
    pipe2(p, O_NONBLOCK);
    TELL(fcntl(p[0], F_SETOWN, getpid()));
    TELL(fcntl(p[0], F_GETOWN) == getpid());
    TELL(fcntl(p[0], F_SETFL, O_ASYNC | O_NONBLOCK));
    TELL(write(p[1], source, 10));
    close_both(p);
    title("control data that only the kernel knows");
    socketpair(AF_UNIX, SOCK_DGRAM, 0, q);
    int on = 1;
    send(q[0], source, 5, 0);
    TELL(setsockopt(q[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
    TELL(send(q[0], source, 10, 0));
    receive_told(q[1], 100, MSG_DONTWAIT);
    char control[CMSG_SPACE(sizeof(struct ucred))];
    v = (struct iovec){target, 100};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    TELL(recvmsg(q[1], &m, 0));
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    struct ucred who = {0};
    if (c)
        memcpy(&who, CMSG_DATA(c), sizeof who);
    printf("credentials %d %d\n", c && c->cmsg_type == SCM_CREDENTIALS, who.pid == getpid());
    close_both(q);
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, q);
    struct ucred self = {getpid(), geteuid(), getegid()};
    m = (struct msghdr){.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){CMSG_LEN(sizeof self), SOL_SOCKET, SCM_CREDENTIALS};
    memcpy(CMSG_DATA(c), &self, sizeof self);
    TELL(sendmsg(q[0], &m, 0));
    TELL(recv(q[1], target, 1000, 0));
    TELL(send(q[0], source, 1, MSG_OOB));
    TELL(recv(q[1], target, 1, MSG_OOB));
    close_both(q);
    close(file);
}

static void leaving_after(void)
{
    int p[2];
    title("what is used by parent and child");
    pipe(p);
    write(p[1], source, 50);
    TELL(child(read_some, p) == 4);
    write(p[1], source, 30);
    TELL(read(p[0], target, 100));
    close_both(p);
}

static void leaving(void)
{
    handle(SIGPIPE, 0);
    for (int kind = 0; kind < 5; kind++)
        if (kind != 1)
            leaving_full(kind);
    leaving_states(SOCK_STREAM);
    leaving_states(SOCK_SEQPACKET);
    leaving_states(SOCK_DGRAM);
    leaving_within();
    leaving_calls();
}

/* ---- any sequence ---- */

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

static void sequence(int steps)
{
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
            usleep(1500); /* what the kernel has may be told a millisecond later than what is inside */
            events_told("events", ep, 0);
        } else if (any(8) == 0) {
            printf("%d child %ld\n", step, child(nothing, NULL));
        }
    }
}

/* ---- two threads ---- */

static struct {
    int to[2], from[2], count;
    char how;
} game;

static void game_get(int fd, int *ep)
{
    uint64_t value;
    struct pollfd f = {fd, POLLIN, 0};
    struct epoll_event e = {.events = EPOLLIN};
    if (game.how == 'p' && poll(&f, 1, -1) != 1)
        perror("poll");
    if (game.how == 'e') {
        if (*ep < 0 && ((*ep = epoll_create1(0)) < 0 || epoll_ctl(*ep, EPOLL_CTL_ADD, fd, &e)))
            perror("epoll");
        if (epoll_wait(*ep, &e, 1, -1) != 1)
            perror("epoll_wait");
    }
    while (read(fd, &value, sizeof value) != sizeof value)
        if (errno != EAGAIN)
            exit(1);
}

static void game_put(int fd)
{
    uint64_t one = 1;
    if (write(fd, &one, sizeof one) != sizeof one)
        perror("write");
}

static void *game_other(void *argument)
{
    int ep = -1;
    for (int i = 0; i < game.count; i++) {
        game_get(game.to[0], &ep);
        game_put(game.from[1]);
    }
    return argument;
}

static void pingpong(int kind)
{
    pthread_t other;
    int ep = -1;
    pair_of_kind(kind, game.to);
    pair_of_kind(kind, game.from);
    if (game.how == 't') {
        nonblocking(game.to[0], true);
        nonblocking(game.from[0], true);
    }
    pthread_create(&other, NULL, game_other, NULL);
    for (int i = 0; i < game.count; i++) {
        game_put(game.to[1]);
        game_get(game.from[0], &ep);
    }
    pthread_join(other, NULL);
    printf("%d there and back\n", game.count);
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
        leaving_after();
    } else if (count == 3 && !strcmp(argument[1], "random")) {
        seed = strtoull(argument[2], NULL, 0);
        sequence(4000);
    } else if (count == 5 && !strcmp(argument[1], "pingpong")) {
        game.how = argument[3][0];
        game.count = atoi(argument[4]);
        pingpong(atoi(argument[2]));
    } else {
        fprintf(stderr, "usage: local cases|waiting|leaving|random SEED|pingpong KIND HOW COUNT\n");
        return 2;
    }
    return 0;
}
