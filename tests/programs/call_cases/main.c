/* SPDX-License-Identifier: Apache-2.0 */
/* call_cases: prints all cases. Files are made in the current directory, and removed. */
#include "cases.h"

#include <sys/mman.h>

char *nowhere, *read_only;
const char *const way_names[WAYS] = {"fresh", "served", "blocking", "local"};
static volatile sig_atomic_t pipes;

void say_bytes(const char *name, long result, const char *bytes)
{
    if (result <= 0)
        say_result(name, result);
    else
        say(name, "%ld %.*s", result, result > 40 ? 40 : (int)result, bytes);
}

static void die(const char *what)
{
    printf("%s: %s: %s\n", where, what, strerror(errno));
    exit(1);
}

int listening(int *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 100) ||
        getsockname(fd, (struct sockaddr *)&a, &n))
        die("listening");
    *port = ntohs(a.sin_port);
    return fd;
}

int connected_to(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a))
        die("connect");
    set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    return fd;
}

static void connect_local(struct pair *p)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    strcpy(a.sun_path, "cases.socket");
    unlink(a.sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    p->c = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 5) ||
        connect(p->c, (struct sockaddr *)&a, sizeof a) || (p->s = accept(fd, NULL, NULL)) < 0)
        die("a local socket");
    close(fd);
    unlink(a.sun_path);
}

int set_int(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value);
}

void put(int fd, const char *text)
{
    size_t n = strlen(text);
    if (send(fd, text, n, MSG_NOSIGNAL) != (ssize_t)n)
        die("send");
}

void expect(const char *name, int fd, size_t n)
{
    char bytes[64];
    size_t done = 0;
    while (done < n) {
        if (!happens(fd, POLLIN))
            break;
        ssize_t k = recv(fd, bytes + done, n - done, 0);
        if (k <= 0)
            break;
        done += (size_t)k;
    }
    say(name, "%.*s", (int)done, bytes);
}

bool happens(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    return poll(&p, 1, 2000) == 1;
}

bool arrives(const struct pair *p)
{
    struct epoll_event e;
    char byte;
    if (p->set >= 0)
        return epoll_wait(p->set, &e, 1, 2000) == 1;
    if (p->way != WAY_BLOCKING)
        return happens(p->s, POLLIN);
    for (int i = 0; i < 2000; i++) {
        if (recv(p->s, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN)
            return true;
        usleep(1000);
    }
    return false;
}

static void set_blocking(int fd, bool blocking)
{
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

/* As a server and its client do for a while. */
static void serve(struct pair *p)
{
    char bytes[16];
    if (p->way == WAY_BLOCKING)
        set_blocking(p->s, true);
    for (int i = 0; i < 20; i++) {
        put(p->c, "request");
        if (p->set >= 0 && !arrives(p))
            die("epoll_wait");
        if (recv(p->s, bytes, sizeof bytes, 0) != 7 || send(p->s, "answer", 6, 0) != 6)
            die("serving");
        if (recv(p->c, bytes, 6, MSG_WAITALL) != 6)
            die("being served");
    }
    set_blocking(p->s, false);
}

struct pair pair_make(enum way way)
{
    struct pair p = {-1, -1, -1, way};
    if (way == WAY_LOCAL) {
        connect_local(&p);
    } else {
        int port, fd = listening(&port);
        p.c = connected_to(port);
        p.s = accept(fd, NULL, NULL);
        close(fd);
        set_int(p.s, IPPROTO_TCP, TCP_NODELAY, 1);
    }
    set_blocking(p.s, false);
    if (way == WAY_SERVED || way == WAY_LOCAL) {
        struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP, .data.u64 = 7};
        p.set = epoll_create1(EPOLL_CLOEXEC);
        if (epoll_ctl(p.set, EPOLL_CTL_ADD, p.s, &e))
            die("epoll_ctl");
    }
    if (way != WAY_FRESH) {
        struct timeval t = {.tv_sec = 5};
        setsockopt(p.c, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
        serve(&p);
    }
    return p;
}

void pair_drop(struct pair *p)
{
    if (p->s >= 0)
        close(p->s);
    if (p->c >= 0)
        close(p->c);
    if (p->set >= 0)
        close(p->set);
    p->s = p->c = p->set = -1;
}

void say_poll(const char *name, int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    int n = poll(&p, 1, 0);
    say(name, "%d %x", n, (unsigned)p.revents);
}

static int by_data(const void *a, const void *b)
{
    uint64_t x = ((const struct epoll_event *)a)->data.u64, y = ((const struct epoll_event *)b)->data.u64;
    return x < y ? -1 : x > y;
}

void say_epoll(const char *name, int set, int most)
{
    struct epoll_event e[32];
    char text[400] = "";
    int n = epoll_wait(set, e, most, 0);
    if (n > 0)
        qsort(e, (size_t)n, sizeof *e, by_data);
    for (int i = 0; i < n; i++)
        sprintf(text + strlen(text), " %lu:%x", (unsigned long)e[i].data.u64, e[i].events);
    if (n < 0)
        say_result(name, n);
    else
        say(name, "%d%s", n, text);
}

static void on_pipe(int signal)
{
    (void)signal;
    pipes++;
}

int pipe_signals(void)
{
    int n = pipes;
    pipes = 0;
    return n;
}

int main(void)
{
    struct sigaction act = {.sa_handler = on_pipe};
    sigaction(SIGPIPE, &act, NULL);
    alarm(100);
    nowhere = mmap(NULL, 0x10000, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    read_only = mmap(NULL, 0x1000, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (enum way way = 0; way < WAYS; way++) {
        char name[32];
        where = name;
        snprintf(name, sizeof name, "%s, receiving", way_names[way]);
        cases_receive(way);
        snprintf(name, sizeof name, "%s, sending", way_names[way]);
        cases_send(way);
        snprintf(name, sizeof name, "%s, the end", way_names[way]);
        cases_ends(way);
        snprintf(name, sizeof name, "%s, state", way_names[way]);
        cases_state(way);
        snprintf(name, sizeof name, "%s, much", way_names[way]);
        cases_ahead(way);
    }
    where = "names";
    cases_names();
    where = "epoll";
    cases_epoll();
    where = "files";
    cases_files();
    where = "places";
    cases_places();
    return 0;
}
