/* SPDX-License-Identifier: Apache-2.0 */
#include "xdp/maker.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "xdp/pass.h"
#include "xdp/privilege.h"
#include "xdp/steering_maps.h"

#ifndef SO_PREFER_BUSY_POLL
#define SO_PREFER_BUSY_POLL 69
#define SO_BUSY_POLL_BUDGET 70
#endif

#define ANSWER_MS 2000 /* it does nothing else */

#define BUSY_POLL_BUDGET 64 /* packets of one poll, as by an interrupt */

/* What is asked for: 0 for a map; else busy polling, for so many microseconds, of the XSK that comes along. */
typedef uint32_t request;

static int busy_poll(int xsk, uint32_t us)
{
    const struct {
        int name, value;
    } options[] = {{SO_PREFER_BUSY_POLL, 1}, {SO_BUSY_POLL_BUDGET, BUSY_POLL_BUDGET}, {SO_BUSY_POLL, (int)us}};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (setsockopt(xsk, SOL_SOCKET, options[i].name, &options[i].value, sizeof options[i].value))
            return -errno;
    return 0;
}

static void serve_map(int to)
{
    int map = bpf_map_create(BPF_MAP_TYPE_XSKMAP, "client_xsks", sizeof(uint32_t), sizeof(uint32_t), STEERING_QUEUES, NULL);
    int32_t error = map < 0 ? -errno : 0;
    /* The kernel may refuse to carry it. */
    int unsent = pass_send(to, &error, sizeof error, map);
    if (unsent)
        pass_send(to, &(int32_t){unsent}, sizeof error, -1);
    if (map >= 0)
        close(map);
}

static _Noreturn void serve(int from)
{
    request asked;
    int xsk;
    prctl(PR_SET_NAME, "rakis-xdpd-maps");
    privilege_keep(1ull << CAP_NET_ADMIN | 1ull << CAP_BPF);
    for (ssize_t n; (n = pass_receive(from, &asked, sizeof asked, &xsk, 0)) != 0;) {
        if (n == -EINTR)
            continue;
        if (n < 0)
            break;
        if (n == sizeof asked && asked)
            pass_send(from, &(int32_t){busy_poll(xsk, asked)}, sizeof(int32_t), -1);
        else
            serve_map(from);
        if (xsk >= 0)
            close(xsk);
    }
    _exit(0);
}

int maker_start(void)
{
    int sockets[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets))
        return -errno;
    pid_t child = fork();
    if (child == 0) {
        /* Clients are to see the daemon's end by their sockets, the kernel by the link. */
        if (sockets[1] > 3)
            close_range(3, (unsigned)sockets[1] - 1, 0);
        close_range((unsigned)sockets[1] + 1, ~0u, 0);
        serve(sockets[1]);
    }
    int error = child < 0 ? -errno : 0;
    close(sockets[1]);
    if (!error)
        return sockets[0];
    close(sockets[0]);
    return error;
}

/* 0, the error that it answered with, or -errno. *fd: what came along, the caller's to close; -1: nothing. */
static int request_answered(int maker, request what, int with, int *fd)
{
    int32_t error = -EPIPE;
    struct pollfd answered = {.fd = maker, .events = POLLIN};
    *fd = -1;
    int unsent = pass_send(maker, &what, sizeof what, with);
    if (unsent)
        return unsent;
    if (poll(&answered, 1, ANSWER_MS) != 1)
        return -ETIMEDOUT;
    ssize_t length = pass_receive(maker, &error, sizeof error, fd, 0);
    if (length < 0)
        return (int)length;
    return length == sizeof error ? error : -EPROTO;
}

int map_request(int maker)
{
    int map;
    int error = request_answered(maker, 0, -1, &map);
    if (!error)
        return map >= 0 ? map : -EPROTO;
    if (map >= 0)
        close(map);
    return error;
}

int busy_poll_request(int maker, int xsk, uint32_t us)
{
    int nothing;
    int error = request_answered(maker, us, xsk, &nothing);
    if (nothing >= 0)
        close(nothing);
    return error;
}
