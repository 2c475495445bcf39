/* SPDX-License-Identifier: Apache-2.0 */
#include "xdp/maker.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "xdp/pass.h"
#include "xdp/privilege.h"
#include "xdp/steering_maps.h"

#define ANSWER_MS 2000 /* it does nothing else */

static _Noreturn void serve(int from)
{
    char byte;
    prctl(PR_SET_NAME, "rakis-xdpd-maps");
    privilege_keep(1ull << CAP_NET_ADMIN | 1ull << CAP_BPF);
    for (ssize_t n; (n = recv(from, &byte, 1, 0)) != 0;) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            break;
        int map = bpf_map_create(BPF_MAP_TYPE_XSKMAP, "client_xsks", sizeof(uint32_t),
                                 sizeof(uint32_t), STEERING_QUEUES, NULL);
        int32_t error = map < 0 ? -errno : 0;
        /* The kernel may refuse to carry it. */
        int unsent = pass_send(from, &error, sizeof error, map);
        if (unsent)
            pass_send(from, &(int32_t){unsent}, sizeof error, -1);
        if (map >= 0)
            close(map);
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

int map_request(int maker)
{
    int32_t error = -EPIPE;
    int map = -1;
    struct pollfd answered = {.fd = maker, .events = POLLIN};
    if (send(maker, "", 1, MSG_NOSIGNAL) < 0)
        return -errno;
    if (poll(&answered, 1, ANSWER_MS) != 1)
        return -ETIMEDOUT;
    ssize_t length = pass_receive(maker, &error, sizeof error, &map, 0);
    if (length < 0)
        return (int)length;
    if (length == sizeof error && !error && map >= 0)
        return map;
    if (map >= 0)
        close(map);
    return error ? error : -EPROTO;
}
