/* SPDX-License-Identifier: Apache-2.0 */
/* Files in messages. */
#include "local.h"

long send_files(int fd, const int *fds, size_t count, size_t bytes)
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
int receive_files(int fd, int *fds, size_t room, size_t bytes, int flags)
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

void rights_cases(int type, bool outside)
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
