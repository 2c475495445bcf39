/* SPDX-License-Identifier: Apache-2.0 */
/* Closed ports, datagrams that are too long, the queue of errors. */
#include "cases.h"

#include <linux/errqueue.h>

static bool is_four(void)
{
    return way->family == AF_INET || way->mapped;
}

/* The error of a closed port is there, or two seconds have passed. */
static void refused(int fd)
{
    struct pollfd p = {.fd = fd};
    send(fd, "x", 1, 0);
    poll(&p, 1, 2000);
}

static int error_of(int fd)
{
    int value = -1;
    socklen_t n = sizeof value;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &n);
    return value;
}

static void closed_ports(void)
{
    char byte;
    int fd = open_socket();
    connect_to(fd, peer_address(PORT_CLOSED));
    say_result("send to a closed port", send(fd, "x", 1, 0));
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};
    struct pollfd only = {.fd = fd};
    poll(&only, 1, 2000);
    int ready = poll(&p, 1, 0);
    say("poll then", "%d %x", ready, (unsigned)p.revents);
    say_result("recv then", recv(fd, &byte, 1, MSG_DONTWAIT));
    say_result("recv once more", recv(fd, &byte, 1, MSG_DONTWAIT));
    refused(fd);
    say_result("the next send", send(fd, "x", 1, 0));
    refused(fd);
    int first = error_of(fd), second = error_of(fd);
    say("SO_ERROR", "%s then %s", error_name(first), error_name(second));
    say_result("a send after that", send(fd, "x", 1, 0));
    close(fd);

    fd = open_socket();
    connect_to(fd, peer_address(PORT_CLOSED));
    send(fd, "x", 1, 0);
    struct timeval t = {.tv_sec = 2};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    say_result("a receiver that waits", recv(fd, &byte, 1, 0));
    close(fd);

    /* Soon, whatever else the sender does: a hundred sends a millisecond apart. */
    fd = open_socket();
    connect_to(fd, peer_address(PORT_CLOSED));
    int refusals = 0;
    for (int i = 0; i < 100; i++) {
        if (send(fd, "x", 1, 0) < 0 && errno == ECONNREFUSED)
            refusals++;
        usleep(2000);
    }
    say("of a hundred sends", "%s are refused", refusals >= 20 ? "many" : refusals ? "few" : "none");
    close(fd);

    fd = open_socket();
    for (int i = 0; i < 5; i++)
        send_to(fd, peer_address(PORT_CLOSED), "x", 1, 0);
    usleep(20000);
    say_result("an unconnected socket hears nothing of it", recv(fd, &byte, 1, MSG_DONTWAIT));
    say_result("nor does its next send", send_to(fd, peer_address(PORT_CLOSED), "x", 1, 0));
    close(fd);
}

static void say_error_queue(const char *name, int fd)
{
    _Alignas(8) char control[500];
    char bytes[200] = "", text[500] = "";
    struct address to = {.length = sizeof to.room};
    struct iovec v = {bytes, sizeof bytes};
    struct msghdr m = {.msg_name = &to.any, .msg_namelen = sizeof to.room, .msg_iov = &v, .msg_iovlen = 1,
                       .msg_control = control, .msg_controllen = sizeof control};
    ssize_t n = recvmsg(fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT);
    if (n < 0) {
        say(name, "%s", error_name(errno));
        return;
    }
    to.length = m.msg_namelen;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        struct sock_extended_err e;
        if (!(c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) &&
            !(c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR))
            continue;
        memcpy(&e, CMSG_DATA(c), sizeof e);
        struct address offender = {.length = sizeof offender.four};
        memcpy(&offender.room, CMSG_DATA(c) + sizeof e, c->cmsg_len - CMSG_LEN(sizeof e));
        if (offender.any.sa_family == AF_INET6)
            offender.length = sizeof offender.six;
        snprintf(text, sizeof text, " %s origin %d type %d code %d info %u by %s", error_name((int)e.ee_errno),
                 e.ee_origin, e.ee_type, e.ee_code, e.ee_info, address_text(&offender));
    }
    say(name, "%zd '%.10s' flags %x to %s,%s", n, bytes, (unsigned)m.msg_flags, address_text(&to), text);
}

static int with_queue(void)
{
    int fd = open_socket();
    set_int(fd, IPPROTO_IP, IP_RECVERR, 1);
    if (way->family == AF_INET6)
        set_int(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
    return fd;
}

static void error_queue(void)
{
    char byte;
    int fd = with_queue();
    say_error_queue("an empty queue of errors", fd);
    send_to(fd, peer_address(PORT_CLOSED), "too bad", 7, 0);
    struct pollfd p = {.fd = fd};
    say("IP_RECVERR without a connection", "%d", poll(&p, 1, 2000));
    say_result("the next receive", recv(fd, &byte, 1, MSG_DONTWAIT));
    say_error_queue("the queue of errors", fd);
    say_error_queue("once more", fd);
    send_to(fd, peer_address(PORT_CLOSED), "too bad", 7, 0);
    poll(&p, 1, 2000);
    say_result("the next send", send_to(fd, peer_address(PORT_ECHO), "fine", 4, 0));
    p.revents = 0;
    poll(&p, 1, 0);
    say("still an error for poll", "%x", (unsigned)p.revents);
    say_error_queue("its queue", fd);
    p.revents = 0;
    poll(&p, 1, 0);
    say("no more", "%x", (unsigned)p.revents);
    close(fd);
}

static void too_long(void)
{
    static char bytes[66000];
    int fd = with_queue(), mtu = 0;
    socklen_t n = sizeof mtu;
    connect_to(fd, peer_address(PORT_SEE));
    getsockopt(fd, is_four() ? IPPROTO_IP : IPPROTO_IPV6, is_four() ? IP_MTU : IPV6_MTU, &mtu, &n);
    say("the MTU", "%d", mtu);
    if (is_four())
        set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
    else
        set_int(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO);
    size_t fits = (size_t)mtu - (is_four() ? 28 : 48);
    if (fits > 60000)
        fits = 60000;
    say_result("what just fits", send(fd, bytes, fits, 0));
    say_received("has come", fd);
    if (!way->loopback) {
        say_result("a byte more", send(fd, bytes, fits + 1, 0));
        say_error_queue("and why", fd);
    }
    if (is_four())
        set_int(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
    else
        set_int(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT);
    say_result("in fragments", send(fd, bytes, fits + 1, 0));
    say_received("have come", fd);
    say_result("small, where fragments are allowed", send(fd, bytes, 100, 0));
    say_received("has come too", fd);
    if (!is_four()) {
        set_int(fd, IPPROTO_IPV6, IPV6_DONTFRAG, 1);
        say_result("IPV6_DONTFRAG", send(fd, bytes, fits, 0));
        say_received("has come by it", fd);
        set_int(fd, IPPROTO_IPV6, IPV6_DONTFRAG, 0);
        set_int(fd, IPPROTO_IPV6, IPV6_MTU, 1280);
        say_result("as long as IPV6_MTU", send(fd, bytes, 1280 - 48, 0));
        say_received("has come at once", fd);
        say_result("a byte longer", send(fd, bytes, 1280 - 48 + 1, 0));
        say_received("has come in parts", fd);
    }
    close(fd);
}

/* The program's memory is read before the call returns, and it is told so. */
static void without_copies(void)
{
    static char bytes[1000];
    int fd = open_socket();
    connect_to(fd, peer_address(PORT_ECHO));
    say_result("MSG_ZEROCOPY without the option", send(fd, bytes, 100, MSG_ZEROCOPY));
    receive(fd, bytes, 100);
    say_error_queue("of which nothing is told", fd);
    say_result("SO_ZEROCOPY", set_int(fd, SOL_SOCKET, SO_ZEROCOPY, 1));
    for (int i = 0; i < 3; i++) {
        send(fd, bytes, 500, MSG_ZEROCOPY);
        receive(fd, bytes, 1000);
    }
    struct pollfd p = {.fd = fd};
    say("poll of it", "%d %x", poll(&p, 1, 2000), (unsigned)p.revents);
    unsigned told = 0;
    for (int i = 0; i < 50 && told != 3; i++) {
        _Alignas(8) char control[200];
        struct msghdr m = {.msg_control = control, .msg_controllen = sizeof control};
        if (recvmsg(fd, &m, MSG_ERRQUEUE) < 0) {
            poll(&p, 1, 100);
            continue;
        }
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        struct sock_extended_err e;
        memcpy(&e, CMSG_DATA(c), sizeof e);
        if (!told)
            say("told", "flags %x level %d type %d length %d, errno %u origin %d code %d",
                (unsigned)m.msg_flags, c->cmsg_level, c->cmsg_type, (int)c->cmsg_len, e.ee_errno,
                e.ee_origin, e.ee_code);
        if (e.ee_info != told)
            break;
        told = e.ee_data + 1;
    }
    say("told of", "%u", told);
    p.revents = 0;
    poll(&p, 1, 0);
    say("then no more", "%x", (unsigned)p.revents);
    close(fd);
}

static void shut_down(void)
{
    char byte;
    int fd = open_socket();
    say_result("shutdown of an unconnected socket", shutdown(fd, SHUT_RDWR));
    say_result("its send", send_to(fd, peer_address(PORT_ECHO), "x", 1, 0));
    say_result("its recv", recv(fd, &byte, 1, 0));
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};
    poll(&p, 1, 0);
    say("its poll", "%x", (unsigned)p.revents);
    close(fd);
    fd = open_socket();
    connect_to(fd, peer_address(PORT_ECHO));
    say_result("a shutdown that is none", shutdown(fd, 7));
    say_result("shutdown for writing", shutdown(fd, SHUT_WR));
    say_result("send then", send(fd, "x", 1, MSG_NOSIGNAL));
    say_result("write then", write(fd, "x", 1));
    say_result("recv then", recv(fd, &byte, 1, MSG_DONTWAIT));
    p.fd = fd;
    poll(&p, 1, 0);
    say("poll then", "%x", (unsigned)p.revents);
    close(fd);
    fd = open_socket();
    connect_to(fd, peer_address(PORT_ECHO));
    send(fd, "still there", 11, 0);
    arrives(fd);
    say_result("shutdown for reading", shutdown(fd, SHUT_RD));
    say_result("what is there is received", recv(fd, &byte, 1, MSG_DONTWAIT));
    say_result("then nothing", recv(fd, &byte, 1, MSG_DONTWAIT));
    say_result("a receiver does not wait", recv(fd, &byte, 1, 0));
    say_result("sending goes on", send(fd, "x", 1, 0));
    p.fd = fd;
    poll(&p, 1, 100);
    say("poll of it", "%x", (unsigned)p.revents);
    close(fd);
}

void cases_errors(void)
{
    closed_ports();
    error_queue();
    too_long();
    without_copies();
    shut_down();
}
