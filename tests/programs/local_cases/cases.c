/* SPDX-License-Identifier: Apache-2.0 */
/* Each kind, case by case. */
#include "local.h"

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

void cases(void)
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
