/* SPDX-License-Identifier: Apache-2.0 */
/* Sending, receiving, and what is wrong with calls. */
#include "cases.h"

#include <sys/mman.h>
#include <sys/uio.h>

static char big[70000];
static void *nowhere; /* memory that may not be touched */

static void sizes(void)
{
    static const int table[] = {0, 1, 2, 17, 18, 19, 511, 1200, 1400, 1452, 1453, 1472, 1473, 4000, 9000, 65507};
    static char back[70000];
    int fd = open_socket();
    char text[400] = "";
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        for (int k = 0; k < table[i]; k++)
            big[k] = (char)(k * 7 + table[i]);
        ssize_t sent = send_to(fd, peer_address(PORT_ECHO), big, (size_t)table[i], 0);
        ssize_t n = receive(fd, back, sizeof back);
        bool same = n == table[i] && !memcmp(big, back, (size_t)table[i]);
        snprintf(text + strlen(text), sizeof text - strlen(text), " %zd%s", sent, same ? "" : " differs");
    }
    say("echoes", "%s", text);
    say_result("a payload of 65508", send_to(fd, peer_address(PORT_ECHO), big, 65508, 0));
    say_result("a payload of 65527", send_to(fd, peer_address(PORT_CLOSED), big, 65527, 0));
    say_result("a payload of 65528", send_to(fd, peer_address(PORT_ECHO), big, 65528, 0));
    say_result("a payload of 65536", send_to(fd, peer_address(PORT_ECHO), big, 65536, 0));
    say_result("a payload of 70000", send_to(fd, peer_address(PORT_ECHO), big, 70000, 0));
    close(fd);
}

/* Something to receive: three datagrams of 10 bytes. */
static int three(void)
{
    int fd = open_bound(PORT_OWN);
    burst(PORT_OWN, 3, 10, 64, 0);
    arrives(fd);
    return fd;
}

static void receiving(void)
{
    char bytes[100] = "", text[200];
    int fd = three();
    struct iovec v = {bytes, 4};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    say_result("peek", recv(fd, bytes, 100, MSG_PEEK));
    say_result("peek with MSG_TRUNC", recv(fd, bytes, 3, MSG_PEEK | MSG_TRUNC));
    ssize_t n = recvmsg(fd, &m, MSG_PEEK);
    say("peek into a short buffer", "%zd flags %x", n, (unsigned)m.msg_flags);
    n = recvmsg(fd, &m, 0);
    say("a short buffer", "%zd flags %x '%.4s'", n, (unsigned)m.msg_flags, bytes);
    m.msg_flags = 0;
    n = recvmsg(fd, &m, MSG_TRUNC);
    say("a short buffer with MSG_TRUNC", "%zd flags %x '%.4s'", n, (unsigned)m.msg_flags, bytes);
    say_result("no buffer", recv(fd, bytes, 0, 0));
    say_silence("all three are gone", fd);
    close(fd);

    fd = three();
    char a[3], b[1], c[50];
    static struct iovec several[1025];
    const struct iovec four[] = {{a, 3}, {NULL, 0}, {b, 1}, {c, 50}};
    memcpy(several, four, sizeof four);
    n = readv(fd, several, 4);
    say("several buffers", "%zd '%.3s' '%.1s' '%.6s'", n, a, b, c);
    several[2].iov_base = nowhere;
    say_result("one of them bad", readv(fd, several, 4));
    say_received("that datagram is lost, the next is not", fd);
    several[2].iov_base = b;
    say_result("too many buffers", readv(fd, several, 1025));
    close(fd);

    fd = three();
    struct address from = {.length = 5};
    memset(&from.room, 0x55, sizeof from.room);
    n = recvfrom(fd, bytes, 100, 0, &from.any, &from.length);
    say("room for part of the address", "%zd, %d bytes, the sixth is %x", n, (int)from.length,
        ((uint8_t *)&from.room)[5]);
    socklen_t minus = (socklen_t)-1;
    say_result("a negative room", recvfrom(fd, bytes, 100, 0, &from.any, &minus));
    say_result("read", read(fd, bytes, 100));
    n = recv(fd, bytes, 100, MSG_DONTWAIT);
    snprintf(text, sizeof text, "%zd %s", n, error_name(n < 0 ? errno : 0));
    say("then", "%s", text);
    say_result("pread", pread(fd, bytes, 1, 0));
    say_result("lseek", lseek(fd, 0, SEEK_SET));
    close(fd);
}

static void waiting_times(void)
{
    char byte;
    int fd = open_bound(PORT_OWN);
    struct timeval t = {.tv_usec = 50000};
    struct timespec before, after;
    say_result("MSG_DONTWAIT with nothing there", recv(fd, &byte, 1, MSG_DONTWAIT));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    clock_gettime(CLOCK_MONOTONIC, &before);
    ssize_t n = recv(fd, &byte, 1, 0);
    int error = errno;
    clock_gettime(CLOCK_MONOTONIC, &after);
    double ms = (double)(after.tv_sec - before.tv_sec) * 1e3 + (double)(after.tv_nsec - before.tv_nsec) / 1e6;
    say("SO_RCVTIMEO", "%zd %s, %s", n, error_name(error), ms >= 49 && ms < 1000 ? "in time" : "not in time");
    fcntl(fd, F_SETFL, O_NONBLOCK);
    say_result("O_NONBLOCK", recv(fd, &byte, 1, 0));
    say_result("MSG_WAITALL", recv(fd, &byte, 1, MSG_WAITALL));
    say_result("MSG_ERRQUEUE with nothing there", recv(fd, &byte, 1, MSG_ERRQUEUE));
    say_result("MSG_OOB", recv(fd, &byte, 1, MSG_OOB));
    close(fd);
}

static void wrong_sends(void)
{
    int fd = open_socket();
    struct address peer = peer_address(PORT_SEE), a;
    say_result("send without a destination", send(fd, "x", 1, 0));
    say_result("write without a destination", write(fd, "x", 1));
    a = peer;
    a.length = 8;
    say_result("a short address", send_to(fd, a, "x", 1, 0));
    a.length = 1;
    say_result("an address of one byte", send_to(fd, a, "x", 1, 0));
    a.length = sizeof a.room + 1;
    say_result("an address that is too long", send_to(fd, a, "x", 1, 0));
    a = peer;
    a.any.sa_family = AF_UNIX;
    say_result("another family", send_to(fd, a, "x", 1, 0));
    a.any.sa_family = AF_UNSPEC;
    say_result("no family", send_to(fd, a, "x", 1, 0));
    say_result("no port", send_to(fd, peer_address(0), "x", 1, 0));
    say_result("a bad buffer", send_to(fd, peer, nowhere, 10, 0));
    say_result("a bad buffer of no length", send_to(fd, peer, nowhere, 0, 0));
    say_result("a bad address", sendto(fd, "x", 1, 0, nowhere, sizeof peer.six));
    say_result("MSG_OOB sent", send_to(fd, peer, "x", 1, MSG_OOB));
    say_result("MSG_CONFIRM", send_to(fd, peer, "x", 1, MSG_CONFIRM));
    say_result("MSG_DONTROUTE", send_to(fd, peer, "x", 1, MSG_DONTROUTE));
    say_result("MSG_EOR", send_to(fd, peer, "x", 1, MSG_EOR));
    struct iovec v[2] = {{(void *)"abc", 3}, {nowhere, 3}};
    struct msghdr m = {.msg_name = &peer.any, .msg_namelen = peer.length, .msg_iov = v, .msg_iovlen = 2};
    say_result("one bad buffer of two", sendmsg(fd, &m, 0));
    m.msg_iovlen = 1025;
    say_result("too many buffers sent", sendmsg(fd, &m, 0));
    v[1] = (struct iovec){big, SIZE_MAX};
    m.msg_iovlen = 2;
    say_result("a length beyond all", sendmsg(fd, &m, 0));
    m.msg_iovlen = 0;
    say_result("no buffers sent", sendmsg(fd, &m, 0));
    say_result("on a descriptor that is none", sendto(99, "x", 1, 0, &peer.any, peer.length));
    say_result("listen", listen(fd, 1));
    say_result("accept", accept(fd, NULL, NULL));
    close(fd);
}

static void more(void)
{
    int fd = open_socket();
    say_result("MSG_MORE, first", send_to(fd, peer_address(PORT_ECHO), "first ", 6, MSG_MORE));
    say_result("MSG_MORE, last", send_to(fd, peer_address(PORT_ECHO), "last", 4, 0));
    say_received("one datagram", fd);
    set_int(fd, IPPROTO_UDP, UDP_CORK, 1);
    connect_to(fd, peer_address(PORT_ECHO));
    send(fd, "corked ", 7, 0);
    send(fd, "too", 3, 0);
    set_int(fd, IPPROTO_UDP, UDP_CORK, 0);
    say_received("UDP_CORK", fd);
    struct iovec v[3] = {{(void *)"ga", 2}, {(void *)"the", 3}, {(void *)"red", 3}};
    say_result("writev", writev(fd, v, 3));
    say_received("gathered", fd);
    say_result("write of nothing", write(fd, "", 0));
    say_received("an empty datagram?", fd);
    say_result("send of nothing", send(fd, "", 0, 0));
    say_received("an empty datagram", fd);
    close(fd);
}

static void many_at_once(void)
{
    int fd = open_bound(PORT_OWN);
    struct address peer = peer_address(PORT_ECHO);
    char bytes[8][20], text[200] = "";
    struct iovec v[8];
    struct mmsghdr m[8];
    memset(m, 0, sizeof m);
    for (int i = 0; i < 8; i++) {
        v[i] = (struct iovec){bytes[i], (size_t)i + 1};
        memset(bytes[i], 'a' + i, sizeof bytes[i]);
        m[i].msg_hdr = (struct msghdr){.msg_name = &peer.any, .msg_namelen = peer.length,
                                       .msg_iov = &v[i], .msg_iovlen = 1};
    }
    m[5].msg_hdr.msg_name = NULL;
    m[5].msg_hdr.msg_namelen = 0;
    say_result("sendmmsg up to an error", sendmmsg(fd, m, 8, 0));
    say_result("sendmmsg from an error on", sendmmsg(fd, m + 5, 3, 0));
    for (int i = 0; i < 8; i++) {
        v[i] = (struct iovec){bytes[i], sizeof bytes[i]};
        m[i].msg_hdr = (struct msghdr){.msg_iov = &v[i], .msg_iovlen = 1};
    }
    int total = 0;
    for (int i = 0; i < 20 && total < 5; i++) {
        arrives(fd);
        int n = recvmmsg(fd, m, 8, MSG_WAITFORONE, NULL);
        for (int k = 0; k < n; k++)
            snprintf(text + strlen(text), sizeof text - strlen(text), " %u%c", m[k].msg_len, bytes[k][0]);
        total += n > 0 ? n : 0;
    }
    say("recvmmsg", "%d:%s", total, text);
    say_result("recvmmsg with nothing there", recvmmsg(fd, m, 8, MSG_DONTWAIT, NULL));
    close(fd);
}

static void lengths(void)
{
    int fd = open_bound(PORT_OWN), value = -1;
    ioctl(fd, FIONREAD, &value);
    say("FIONREAD of nothing", "%d", value);
    burst(PORT_OWN, 1, 0, 64, 0);
    burst(PORT_OWN, 1, 33, 64, 0);
    arrives(fd);
    say("FIONREAD of an empty one", "%d %d", ioctl(fd, FIONREAD, &value), value);
    recv(fd, big, sizeof big, 0);
    arrives(fd);
    say("FIONREAD", "%d %d", ioctl(fd, FIONREAD, &value), value);
    say("TIOCOUTQ", "%d %d", ioctl(fd, TIOCOUTQ, &value), value);
    say_result("an ioctl that is none", ioctl(fd, 0x5499, &value));
    int copy = dup(fd);
    close(fd);
    say_received("by a copy of the descriptor", copy);
    close(copy);
    burst(PORT_OWN, 1, 5, 64, 0); /* nobody is there any more */
}

static void offset_of_peeks(void)
{
    char byte[4] = "";
    int fd = three();
    set_int(fd, SOL_SOCKET, SO_PEEK_OFF, 0);
    burst(PORT_OWN, 1, 4, 64, 0);
    recv(fd, big, 100, 0);
    recv(fd, big, 100, 0);
    recv(fd, big, 100, 0);
    arrives(fd);
    say_result("SO_PEEK_OFF: two", recv(fd, byte, 2, MSG_PEEK));
    say_result("SO_PEEK_OFF: the rest", recv(fd, byte, 4, MSG_PEEK));
    close(fd);
}

void cases_basic(void)
{
    nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sizes();
    receiving();
    waiting_times();
    wrong_sends();
    more();
    many_at_once();
    lengths();
    offset_of_peeks();
}
