/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of datagrams as one: UDP_SEGMENT, UDP_GRO. */
#include "cases.h"

static char bytes[66000];

/* The lengths of what the peer echoes, in order. */
static void say_echoes(const char *name, int fd, ssize_t sent, int count)
{
    static char back[66000];
    char text[600] = "";
    if (sent < 0) {
        say(name, "%s", error_name(errno));
        return;
    }
    for (int i = 0; i < count; i++) {
        ssize_t n = receive(fd, back, sizeof back);
        snprintf(text + strlen(text), sizeof text - strlen(text), " %zd", n);
        if (n < 0)
            break;
    }
    say(name, "%zd:%s", sent, text);
}

static ssize_t send_row(int fd, uint16_t segment, size_t length)
{
    _Alignas(8) char control[CMSG_SPACE(sizeof segment)] = {0};
    struct address peer = peer_address(PORT_ECHO);
    struct iovec v = {bytes, length};
    struct msghdr m = {.msg_name = &peer.any, .msg_namelen = peer.length, .msg_iov = &v, .msg_iovlen = 1,
                       .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = IPPROTO_UDP;
    c->cmsg_type = UDP_SEGMENT;
    c->cmsg_len = CMSG_LEN(sizeof segment);
    memcpy(CMSG_DATA(c), &segment, sizeof segment);
    return sendmsg(fd, &m, 0);
}

static void segments(void)
{
    int fd = open_socket();
    send_to(fd, peer_address(PORT_ECHO), "x", 1, 0);
    receive(fd, bytes, 10);
    say_echoes("a row of three", fd, send_row(fd, 1000, 2500), 3);
    say_echoes("a row of one", fd, send_row(fd, 1000, 1000), 1);
    say_echoes("shorter than its segment", fd, send_row(fd, 1000, 10), 1);
    say_echoes("a segment of 0", fd, send_row(fd, 0, 100), 1);
    say_echoes("of bytes", fd, send_row(fd, 1, 8), 8);
    if (!way->loopback)
        say_echoes("segments that do not fit", fd, send_row(fd, 1500, 3000), 2);
    say_echoes("ten", fd, send_row(fd, 1200, 12000), 10);
    say_result("too many", send_row(fd, 1, 60000));
    set_int(fd, IPPROTO_UDP, UDP_SEGMENT, 700);
    say_echoes("by an option", fd, send_to(fd, peer_address(PORT_ECHO), bytes, 2000, 0), 3);
    connect_to(fd, peer_address(PORT_ECHO));
    say_echoes("by an option, connected", fd, send(fd, bytes, 1500, 0), 3);
    say_echoes("the message goes before the option", fd, send_row(fd, 1000, 2000), 2);
    say_echoes("and may take it back", fd, send_row(fd, 0, 1400), 1);
    set_int(fd, IPPROTO_UDP, UDP_SEGMENT, 0);
    say_echoes("no option again", fd, send(fd, bytes, 1400, 0), 1);
    close(fd);
}

/* However they are joined: the same bytes, and what is told of them is true. */
static void coalesced(void)
{
    int fd = open_bound(PORT_OWN), count = 0;
    size_t total = 0;
    bool good = true;
    set_int(fd, IPPROTO_UDP, UDP_GRO, 1);
    burst(PORT_OWN, 26, 500, 64, 0);
    while (total < 26 * 500) {
        _Alignas(8) char control[100];
        struct iovec v = {bytes, sizeof bytes};
        struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control,
                           .msg_controllen = sizeof control};
        int segment = 0;
        if (!arrives(fd))
            break;
        ssize_t n = recvmsg(fd, &m, 0);
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        if (c && c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO)
            memcpy(&segment, CMSG_DATA(c), sizeof segment);
        good &= n > 0 && n % 500 == 0 && (n == 500 || segment == 500) && !m.msg_flags;
        for (ssize_t i = 0; i < n; i++)
            good &= bytes[i] == (char)('a' + (total + (size_t)i) / 500);
        total += n > 0 ? (size_t)n : 0;
        count++;
    }
    say("UDP_GRO", "%zu bytes, %s", total, good ? "as they were sent" : "not as they were sent");
    burst(PORT_OWN, 3, 100, 64, 0);
    arrives(fd);
    usleep(5000);
    total = 0;
    while (total < 300) {
        ssize_t n = receive(fd, bytes, 100);
        if (n != 100)
            break;
        total += (size_t)n;
    }
    say("with room for one at a time", "%s", way->loopback || total == 300 ? "all" : "not all");
    close(fd);
}

void cases_rows(void)
{
    segments();
    coalesced();
}
