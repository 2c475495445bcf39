/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets before they are connected: names, listening, connecting, errors. */
#include "cases.h"

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int bind_port(int fd, int port)
{
    struct sockaddr_in a = loopback(port);
    return bind(fd, (struct sockaddr *)&a, sizeof a);
}

static int connect_port(int fd, int port)
{
    struct sockaddr_in a = loopback(port);
    return connect(fd, (struct sockaddr *)&a, sizeof a);
}

static int error_of(int fd)
{
    int value = -1;
    socklen_t n = sizeof value;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &n);
    return value;
}

static void making(void)
{
    say_result("socket of no family", socket(99, SOCK_STREAM, 0));
    say_result("socket of no type", socket(AF_INET, 99, 0));
    say_result("socket of another protocol", socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    say_result("socketpair of TCP", socketpair(AF_INET, SOCK_STREAM, 0, (int[2]){0, 0}));
    say_result("socketpair to nowhere", socketpair(AF_UNIX, SOCK_STREAM, 0, (int *)nowhere));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    say("flags", "%x %d", (unsigned)fcntl(fd, F_GETFL), fcntl(fd, F_GETFD));
    close(fd);
    say_result("recv of no descriptor", recv(fd, (char[1]){0}, 1, 0));
    say_result("send to no descriptor", send(fd, "x", 1, 0));
    say_result("listen of none", listen(fd, 1));
    say_result("accept of none", accept(fd, NULL, NULL));
    say_result("shutdown of none", shutdown(fd, SHUT_WR));
    fd = open("/dev/null", O_RDWR);
    say_result("recv of a file", recv(fd, (char[1]){0}, 1, 0));
    say_result("send to a file", send(fd, "x", 1, 0));
    say_result("bind of a file", bind_port(fd, 0));
    say_result("getsockopt of a file", set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1));
    close(fd);
}

static void binding(void)
{
    struct sockaddr_in a = loopback(0);
    struct sockaddr_storage got;
    socklen_t n = sizeof a;
    int one = socket(AF_INET, SOCK_STREAM, 0), two = socket(AF_INET, SOCK_STREAM, 0);
    memset(&got, 0, sizeof got);
    say("the name before", "%d %d", getsockname(one, (struct sockaddr *)&got, &n), ((struct sockaddr_in *)&got)->sin_port);
    say_result("bind", bind_port(one, 0));
    getsockname(one, (struct sockaddr *)&a, &n);
    say("the name", "%d of %u bytes", a.sin_port != 0, n);
    say_result("bind again", bind_port(one, 0));
    say_result("listen", listen(one, 5));
    say_result("listen again", listen(one, 6));
    say_result("bind to its port", bind_port(two, ntohs(a.sin_port)));
    say_result("bind to a short address", bind(two, (struct sockaddr *)&a, 4));
    a.sin_family = 77;
    say_result("bind to an unknown family", bind(two, (struct sockaddr *)&a, sizeof a));
    a = loopback(0);
    a.sin_addr.s_addr = htonl(0x01020304);
    say_result("bind to another's address", bind(two, (struct sockaddr *)&a, sizeof a));
    say_result("bind from nowhere", bind(two, (struct sockaddr *)nowhere, sizeof a));
    n = 4;
    memset(&got, 0xee, sizeof got);
    say_result("getsockname of 4 bytes", getsockname(one, (struct sockaddr *)&got, &n));
    say("its length", "%u, next byte %x", n, ((unsigned char *)&got)[4]);
    n = (socklen_t)-1;
    say_result("getsockname of -1 bytes", getsockname(one, (struct sockaddr *)&got, &n));
    n = sizeof got;
    say_result("getsockname to nowhere", getsockname(one, (struct sockaddr *)nowhere, &n));
    say_result("getpeername before", getpeername(two, (struct sockaddr *)&got, &n));
    say_result("shutdown before", shutdown(two, SHUT_WR));
    say_result("recv before", recv(two, &n, 1, 0));
    say_result("send before", send(two, &n, 1, 0));
    say("SIGPIPE came", "%d times", pipe_signals());
    say_result("accept of one that does not listen", accept(two, NULL, NULL));
    say_poll("poll before", two, POLLIN | POLLOUT);
    close(one);
    close(two);
}

static void accepting(void)
{
    int port, fd = listening(&port);
    char b[64];
    struct sockaddr_in a;
    socklen_t n = sizeof a;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    say_result("accept of nothing", accept(fd, NULL, NULL));
    say_result("accept4 of unknown flags", accept4(fd, NULL, NULL, 0x12345));
    say_poll("poll of nothing", fd, POLLIN | POLLOUT);
    int c = connected_to(port);
    say("poll of a connection", "%d", happens(fd, POLLIN));
    int s = accept4(fd, (struct sockaddr *)&a, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
    say("accept4", "%d, address of %u bytes, family %d", s >= 0, n, a.sin_family);
    struct sockaddr_in own;
    getsockname(c, (struct sockaddr *)&own, &n);
    say("it is the peer's", "%d", own.sin_port == a.sin_port);
    say("flags", "%x %d", (unsigned)fcntl(s, F_GETFL), fcntl(s, F_GETFD));
    say_result("recv of the listening socket", recv(fd, b, 1, 0));
    say_result("getpeername of it", getpeername(fd, (struct sockaddr *)&a, &n));
    close(s);
    close(c);
    c = connected_to(port);
    happens(fd, POLLIN);
    s = accept(fd, NULL, NULL);
    say("flags of accept", "%x %d", (unsigned)fcntl(s, F_GETFL), fcntl(s, F_GETFD));
    close(s);
    close(c);
    c = connected_to(port);
    happens(fd, POLLIN);
    n = sizeof a;
    say_result("accept to nowhere", accept(fd, (struct sockaddr *)nowhere, &n));
    close(c);
    c = connected_to(port);
    int d = connected_to(port);
    put(c, "early");
    close(c);
    happens(fd, POLLIN);
    s = accept(fd, NULL, NULL);
    expect("what came before accept", s, 5);
    say_result("and its end", recv(s, b, 1, 0));
    close(s);
    s = accept(fd, NULL, NULL);
    put(d, "second");
    expect("the second", s, 6);
    close(s);
    close(d);
    c = connected_to(port);
    close(fd);
    say("closing the listening socket is the end of who waits", "%d", happens(c, POLLIN));
    say_result("recv then", recv(c, b, 1, 0));
    close(c);
}

/* Many connections to a socket that is served by epoll, some already given up. */
static void serving(void)
{
    enum { COUNT = 60 };
    int port, fd = listening(&port), c[COUNT], accepted = 0, got = 0, waits = 0;
    int set = epoll_create1(0);
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = 1};
    fcntl(fd, F_SETFL, O_NONBLOCK);
    epoll_ctl(set, EPOLL_CTL_ADD, fd, &e);
    for (int i = 0; i < COUNT; i++) {
        c[i] = connected_to(port);
        put(c[i], "x");
        while (i % 7 == 0 && epoll_wait(set, &e, 1, i ? 1000 : 0) == 1) {
            struct sockaddr_in a = {0}, own;
            socklen_t n = sizeof a;
            int s = accept(fd, (struct sockaddr *)&a, &n);
            char b;
            if (s < 0 && errno == EAGAIN)
                break;
            waits++;
            accepted += s >= 0;
            n = sizeof own;
            getsockname(c[accepted - 1], (struct sockaddr *)&own, &n);
            got += a.sin_port == own.sin_port && happens(s, POLLIN) && recv(s, &b, 1, 0) == 1;
            close(s);
            if (accepted == i + 1)
                break;
        }
    }
    while (accepted < COUNT && epoll_wait(set, &e, 1, 1000) == 1) {
        int s = accept(fd, NULL, NULL);
        char b;
        accepted += s >= 0;
        got += s >= 0 && happens(s, POLLIN) && recv(s, &b, 1, 0) == 1;
        close(s);
    }
    say("served", "%d of them, %d with their byte", accepted, got);
    say_result("then", accept(fd, NULL, NULL));
    say_epoll("nothing waits", set, 5);
    for (int i = 0; i < COUNT; i++)
        close(c[i]);
    c[0] = connected_to(port);
    say("one more", "%d", happens(fd, POLLIN));
    say_epoll("epoll of one more", set, 5);
    close(c[0]);
    int s = accept(fd, NULL, NULL);
    say("one that has gone is still accepted", "%d", s >= 0);
    close(s);
    char b;
    c[0] = connected_to(port);
    say("one more", "%d", epoll_wait(set, &e, 1, 2000));
    say_result("recv of the listening socket", recv(fd, &b, 1, 0));
    say_result("send by it", send(fd, "x", 1, MSG_NOSIGNAL));
    s = accept4(fd, NULL, NULL, SOCK_NONBLOCK);
    say("is accepted", "%d", s >= 0);
    put(c[0], "x");
    say("by poll", "%d", happens(s, POLLIN));
    say_result("recv", recv(s, &b, 1, 0));
    say_result("it does not wait", recv(s, &b, 1, 0));
    close(s);
    close(c[0]);
    for (int i = 0; i < 20; i++) {
        c[0] = connected_to(port);
        epoll_wait(set, &e, 1, 2000);
        close(accept(fd, NULL, NULL));
        close(c[0]);
    }
    for (int i = 0; i < 3; i++)
        c[i] = connected_to(port);
    say("three more", "%d", epoll_wait(set, &e, 1, 2000));
    s = accept(fd, NULL, NULL);
    put(c[0], "first");
    expect("in order", s, 5);
    close(s);
    close(fd);
    fd = -1;
    say("who waits when it is closed", "%d", happens(c[2], POLLIN));
    say_result("is reset", recv(c[2], &b, 1, 0));
    for (int i = 0; i < 3; i++)
        close(c[i]);
    close(set);
}

static void connecting(void)
{
    int port, fd = listening(&port), c = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = loopback(port);
    say_result("connect of a short address", connect(c, (struct sockaddr *)&a, 4));
    say_result("connect from nowhere", connect(c, (struct sockaddr *)nowhere, sizeof a));
    a.sin_family = 77;
    say_result("connect to an unknown family", connect(c, (struct sockaddr *)&a, sizeof a));
    say_result("connect", connect_port(c, port));
    say_result("connect again", connect_port(c, port));
    say_result("listen on it", listen(c, 1));
    close(c);
    c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    say_result("connect that does not wait", connect_port(c, port));
    say("poll of it", "%d", happens(c, POLLOUT));
    say("SO_ERROR", "%s", error_name(error_of(c)));
    say_result("connect once more", connect_port(c, port));
    say_result("and again", connect_port(c, port));
    close(c);
    close(fd);
    c = socket(AF_INET, SOCK_STREAM, 0);
    say_result("connect to a closed port", connect_port(c, port));
    close(c);
    c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    say_result("the same without waiting", connect_port(c, port));
    say("poll of it", "%d", happens(c, POLLOUT));
    say_poll("it is", c, POLLIN | POLLOUT);
    say("SO_ERROR", "%s", error_name(error_of(c)));
    say("and again", "%s", error_name(error_of(c)));
    close(c);
}

static void options(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), value = 0;
    socklen_t n = sizeof value;
    say_result("an unknown level", set_int(fd, 9999, 1, 1));
    say_result("an unknown option", set_int(fd, SOL_SOCKET, 9999, 1));
    say_result("a short value", setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, 2));
    say_result("a value from nowhere", setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, nowhere, 4));
    n = 2;
    say_result("getsockopt of 2 bytes", getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &n));
    say("gives", "%d of %u", value, n);
    say_result("getsockopt to nowhere", getsockopt(fd, SOL_SOCKET, SO_TYPE, nowhere, &n));
    n = (socklen_t)-5;
    say_result("getsockopt of -5 bytes", getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &n));
    struct timeval t = {.tv_usec = 2000000};
    say_result("SO_RCVTIMEO out of range", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
    struct linger l = {1, 3};
    n = sizeof l;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    l.l_linger = 0;
    say_result("SO_LINGER", getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &n));
    say("is", "%d %d", l.l_onoff, l.l_linger);
    close(fd);
}

void cases_names(void)
{
    making();
    binding();
    accepting();
    serving();
    connecting();
    options();
}
