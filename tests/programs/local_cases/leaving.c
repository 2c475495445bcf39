/* SPDX-License-Identifier: Apache-2.0 */
/* Objects before and after something that only the kernel does. */
#include "local.h"



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
    title("an end on its way, and closed when it has come");
    socketpair(AF_UNIX, SOCK_STREAM, 0, q);
    pipe2(p, O_NONBLOCK);
    TELL(send_files(q[0], &p[1], 1, 1));
    close(p[1]);
    TELL(read(p[0], target, 10));
    leave(q[0]);
    TELL(read(p[0], target, 10));
    receive_files(q[1], got, 1, 10, 0);
    close(got[0]);
    TELL(read(p[0], target, 10));
    close(p[0]);
    close_both(q);
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

void leaving(void)
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
    leaving_after();
}
