/* SPDX-License-Identifier: Apache-2.0 */
/* A connection: how it ends, and what can be asked of it. */
#include "cases.h"

#include <sys/sendfile.h>

static int error_of(int fd)
{
    int value = -1;
    socklen_t n = sizeof value;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &n);
    return value;
}

static void reset_by(int fd)
{
    struct linger l = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    close(fd);
}

static void peer_finishes(enum way way)
{
    struct pair p = pair_make(way);
    char b[64];
    put(p.c, "last");
    shutdown(p.c, SHUT_WR);
    arrives(&p);
    say_bytes("what came before the end", recv(p.s, b, sizeof b, 0), b);
    arrives(&p);
    if (p.set >= 0)
        say_epoll("epoll at the end", p.set, 5);
    say_bytes("the end", recv(p.s, b, sizeof b, 0), b);
    say_result("and once more", recv(p.s, b, sizeof b, 0));
    say_result("a peek at the end", recv(p.s, b, sizeof b, MSG_PEEK));
    say_result("MSG_WAITALL at the end", recv(p.s, b, sizeof b, MSG_WAITALL));
    say_poll("poll at the end", p.s, POLLIN | POLLOUT | POLLRDHUP);
    say_result("sending still works", send(p.s, "reply", 5, 0));
    expect("and is received", p.c, 5);
    say("SO_ERROR", "%s", error_name(error_of(p.s)));
    say_result("shutdown", shutdown(p.s, SHUT_WR));
    expect("the peer sees", p.c, 1);
    say_poll("poll when both have ended", p.s, POLLIN | POLLOUT | POLLRDHUP);
    pair_drop(&p);
}

static void we_finish(enum way way)
{
    struct pair p = pair_make(way);
    char b[64];
    put(p.s, "all");
    say_result("shutdown for writing", shutdown(p.s, SHUT_WR));
    expect("what was sent", p.c, 3);
    say_result("the peer sees", recv(p.c, b, sizeof b, 0));
    say_result("send after that", send(p.s, "x", 1, 0));
    say("SIGPIPE came", "%d times", pipe_signals());
    say_result("send without signal", send(p.s, "x", 1, MSG_NOSIGNAL));
    say("SIGPIPE came", "%d times", pipe_signals());
    put(p.c, "still");
    arrives(&p);
    say_bytes("receiving works", recv(p.s, b, sizeof b, 0), b);
    say_poll("poll", p.s, POLLIN | POLLOUT | POLLRDHUP);
    say_result("shutdown again", shutdown(p.s, SHUT_WR));
    say_result("shutdown of both", shutdown(p.s, SHUT_RDWR));
    say_result("recv then", recv(p.s, b, sizeof b, 0));
    say_result("shutdown of an unknown kind", shutdown(p.s, 3));
    pair_drop(&p);
    p = pair_make(way);
    say_result("shutdown for reading", shutdown(p.s, SHUT_RD));
    say_result("recv then", recv(p.s, b, sizeof b, 0));
    say_poll("poll then", p.s, POLLIN | POLLOUT | POLLRDHUP);
    say_result("send then", send(p.s, "ok", 2, 0));
    expect("is received", p.c, 2);
    pair_drop(&p);
}

static void resets(enum way way)
{
    struct pair p = pair_make(way);
    char b[64];
    if (way == WAY_LOCAL) {
        pair_drop(&p);
        return;
    }
    reset_by(p.c);
    p.c = -1;
    arrives(&p);
    if (p.set >= 0)
        say_epoll("epoll of a reset", p.set, 5);
    say_result("recv of a reset", recv(p.s, b, sizeof b, 0));
    say_result("and once more", recv(p.s, b, sizeof b, 0));
    say_result("send then", send(p.s, "x", 1, 0));
    say("SIGPIPE came", "%d times", pipe_signals());
    say_poll("poll then", p.s, POLLIN | POLLOUT | POLLRDHUP);
    pair_drop(&p);

    p = pair_make(way);
    reset_by(p.c);
    p.c = -1;
    arrives(&p);
    say("SO_ERROR of a reset", "%s", error_name(error_of(p.s)));
    say("and once more", "%s", error_name(error_of(p.s)));
    say_result("recv then", recv(p.s, b, sizeof b, 0));
    pair_drop(&p);

    p = pair_make(way);
    put(p.c, "unread");
    arrives(&p);
    say_bytes("some of it", recv(p.s, b, 2, 0), b);
    close(p.s);
    p.s = -1;
    say("a close with bytes unread is", "%d", happens(p.c, POLLIN));
    say_result("at the peer", recv(p.c, b, sizeof b, 0));
    pair_drop(&p);

    p = pair_make(way);
    put(p.s, "lingers");
    reset_by(p.s);
    p.s = -1;
    happens(p.c, POLLHUP);
    ssize_t n = recv(p.c, b, sizeof b, 0);
    say("SO_LINGER of 0 is a reset", "%d", n == 7 ? recv(p.c, b, 1, 0) < 0 && errno == ECONNRESET : n < 0 && errno == ECONNRESET);
    pair_drop(&p);
}

static void peer_is_gone(enum way way)
{
    struct pair p = pair_make(way);
    char b[64];
    put(p.c, "bye");
    close(p.c);
    p.c = -1;
    arrives(&p);
    say_bytes("the last bytes", recv(p.s, b, sizeof b, 0), b);
    arrives(&p);
    say_result("the end", recv(p.s, b, sizeof b, 0));
    if (way != WAY_LOCAL) {
        say_result("a first send is taken", send(p.s, "x", 1, 0));
        for (int i = 0; i < 100 && send(p.s, "x", 1, MSG_NOSIGNAL) >= 0; i++)
            usleep(10000);
        say("a later one is not", "%s", error_name(errno));
    } else {
        say_result("a first send", send(p.s, "x", 1, MSG_NOSIGNAL));
    }
    say_result("with a signal", send(p.s, "x", 1, 0));
    say("SIGPIPE came", "%d times", pipe_signals());
    pair_drop(&p);

    p = pair_make(way);
    put(p.s, "farewell");
    close(p.s);
    p.s = -1;
    expect("what was sent before close", p.c, 8);
    say_result("then", recv(p.c, b, sizeof b, 0));
    pair_drop(&p);
}

static void files_to_nobody(enum way way)
{
    struct pair p = pair_make(way);
    int fd = open("/proc/self/exe", O_RDONLY);
    (void)pipe_signals();
    shutdown(p.s, SHUT_WR);
    say_result("sendfile after shutdown", sendfile(p.s, fd, NULL, 100));
    say("signals", "%d", pipe_signals());
    close(fd);
    pair_drop(&p);
}

void cases_ends(enum way way)
{
    files_to_nobody(way);
    peer_finishes(way);
    we_finish(way);
    resets(way);
    peer_is_gone(way);
}

/* ---- what can be asked of it ---- */

static void say_option(const char *name, int fd, int level, int option)
{
    int value = -1;
    socklen_t n = sizeof value;
    int error = getsockopt(fd, level, option, &value, &n);
    if (error)
        say_result(name, error);
    else
        say(name, "%d of %u bytes", value, n);
}

static void say_waiting(const char *name, int fd)
{
    int n = -1;
    if (ioctl(fd, FIONREAD, &n))
        say_result(name, -1);
    else
        say(name, "%d", n);
}

static void *send_from(void *context)
{
    say_result("send by another thread", send(*(int *)context, "thread", 6, 0));
    return NULL;
}

static void *receive_from(void *context)
{
    char b[16];
    say_bytes("recv by another thread", recv(*(int *)context, b, sizeof b, 0), b);
    return NULL;
}

static void others(enum way way)
{
    struct pair p = pair_make(way);
    char b[64];
    pthread_t thread;
    put(p.c, "for another");
    arrives(&p);
    say_bytes("some here", recv(p.s, b, 4, 0), b);
    pthread_create(&thread, NULL, receive_from, &p.s);
    pthread_join(thread, NULL);
    put(p.s, "here ");
    pthread_create(&thread, NULL, send_from, &p.s);
    pthread_join(thread, NULL);
    put(p.s, " here");
    expect("in order", p.c, 16);
    int twin = dup(p.s);
    put(p.c, "twins");
    arrives(&p);
    say_bytes("recv by a duplicate", recv(twin, b, 2, 0), b);
    say_bytes("and by the first", recv(p.s, b, sizeof b, 0), b);
    close(p.s);
    p.s = twin;
    put(p.c, "alone");
    happens(twin, POLLIN);
    say_bytes("recv when the first is closed", recv(twin, b, sizeof b, 0), b);
    if (p.set >= 0) {
        put(p.c, "x");
        happens(twin, POLLIN);
        say_epoll("the set still has it", p.set, 5);
    }
    pair_drop(&p);
}

void cases_state(enum way way)
{
    struct pair p = pair_make(way);
    char b[64];
    say_poll("poll of nothing", p.s, POLLIN | POLLOUT | POLLPRI | POLLRDHUP);
    say_waiting("FIONREAD of nothing", p.s);
    put(p.c, "waiting");
    arrives(&p);
    say_waiting("FIONREAD", p.s);
    say_poll("poll", p.s, POLLIN | POLLOUT | POLLRDNORM);
    say_bytes("recv", recv(p.s, b, 3, 0), b);
    say_waiting("FIONREAD of the rest", p.s);
    say_bytes("recv of it", recv(p.s, b, sizeof b, 0), b);
    say_poll("poll when all is read", p.s, POLLIN | POLLOUT);
    say("F_GETFL", "%x", (unsigned)fcntl(p.s, F_GETFL));
    say_result("F_SETFL", fcntl(p.s, F_SETFL, O_NONBLOCK));
    say_option("SO_TYPE", p.s, SOL_SOCKET, SO_TYPE);
    say_option("SO_DOMAIN", p.s, SOL_SOCKET, SO_DOMAIN);
    say_option("SO_PROTOCOL", p.s, SOL_SOCKET, SO_PROTOCOL);
    say_option("SO_ACCEPTCONN", p.s, SOL_SOCKET, SO_ACCEPTCONN);
    say_option("SO_ERROR", p.s, SOL_SOCKET, SO_ERROR);
    say_option("SO_RCVLOWAT", p.s, SOL_SOCKET, SO_RCVLOWAT);
    say_option("TCP_NODELAY", p.s, IPPROTO_TCP, TCP_NODELAY);
    say_option("an unknown option", p.s, SOL_SOCKET, 9999);
    say_result("SO_KEEPALIVE", set_int(p.s, SOL_SOCKET, SO_KEEPALIVE, 1));
    say_option("is set", p.s, SOL_SOCKET, SO_KEEPALIVE);
    struct stat st;
    say_result("fstat", fstat(p.s, &st));
    say("is", "%o", st.st_mode & S_IFMT);
    say_result("lseek", lseek(p.s, 0, SEEK_SET));
    say_result("ftruncate", ftruncate(p.s, 0));
    say_result("fsync", fsync(p.s));
    say_result("listen", way == WAY_LOCAL ? 0 : listen(p.s, 1));
    say_result("accept", accept(p.s, NULL, NULL));
    say_result("SO_RCVLOWAT of 5", set_int(p.s, SOL_SOCKET, SO_RCVLOWAT, 5));
    if (way != WAY_LOCAL) {
        put(p.c, "abc");
        usleep(20000);
        say_poll("poll of too little", p.s, POLLIN);
        put(p.c, "def");
        say("poll of enough", "%d", happens(p.s, POLLIN));
        say_bytes("recv", recv(p.s, b, sizeof b, 0), b);
    }
    pair_drop(&p);
    others(way);
}
