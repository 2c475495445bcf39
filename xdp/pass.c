/* SPDX-License-Identifier: Apache-2.0 */
#include "xdp/pass.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* For one descriptor, not a byte more: the kernel closes what else somebody sends. */
#define CONTROL_BYTES CMSG_LEN(sizeof(int))

#define PAUSE_NS 5000000
#define TRIES 40

union control {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
};

int pass_send(int to, const void *message, size_t length, int fd)
{
    struct iovec part = {.iov_base = (void *)message, .iov_len = length};
    struct msghdr packet = {.msg_iov = &part, .msg_iovlen = 1};
    union control control = {0};
    if (fd >= 0) {
        packet.msg_control = &control;
        packet.msg_controllen = CONTROL_BYTES;
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    }
    int tries = 0;
    while (sendmsg(to, &packet, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
        /* Of a user's descriptors only so many may be under way (RLIMIT_NOFILE): others arrive. */
        if (errno == ETOOMANYREFS && tries++ < TRIES)
            nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
        else if (errno != EINTR)
            return -errno;
    }
    return 0;
}

ssize_t pass_receive(int from, void *message, size_t size, int *fd, int flags)
{
    struct iovec part = {.iov_base = message, .iov_len = size};
    union control control = {0};
    struct msghdr packet = {.msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = CONTROL_BYTES};
    *fd = -1;
    ssize_t length;
    while ((length = recvmsg(from, &packet, flags | MSG_CMSG_CLOEXEC)) < 0)
        if (errno != EINTR)
            return -errno;
    const struct cmsghdr *c = CMSG_FIRSTHDR(&packet);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
        c->cmsg_len == CMSG_LEN(sizeof *fd))
        memcpy(fd, CMSG_DATA(c), sizeof *fd);
    if (*fd >= 0 && packet.msg_flags & MSG_CTRUNC) {
        close(*fd);
        *fd = -1;
    }
    return length;
}
