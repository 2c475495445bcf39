/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP as servers use it: an epoll server and a client in one program, over loopback, each in a thread. What
 * each sees is printed; natively and in the enclave it must be the same.
 *
 *     streams PORT
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int port, client_saw, left_open, wait_pipe[2];
static size_t sent_so_far;
static FILE *said; /* what the server has to say comes after all else */

#define CHECK(call)                                                                                \
    do {                                                                                           \
        if ((call) < 0) {                                                                          \
            printf("line %d: %s: %s\n", __LINE__, #call, strerror(errno));                         \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static struct sockaddr_in address(void)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int connected(void)
{
    struct sockaddr_in a = address();
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd);
    CHECK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one));
    CHECK(connect(fd, (struct sockaddr *)&a, sizeof a));
    return fd;
}

static void send_all(int fd, const void *data, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t k = send(fd, (const char *)data + done, n - done, MSG_NOSIGNAL);
        CHECK(k);
        done += (size_t)k;
    }
}

static void receive_all(int fd, void *data, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t k = recv(fd, (char *)data + done, n - done, 0);
        CHECK(k);
        if (!k) {
            printf("the end after %zu of %zu bytes\n", done, n);
            exit(1);
        }
        done += (size_t)k;
    }
}

/* ---- the server ---- */

#define COMMAND 8 /* bytes of each: a letter and a number */

struct connection {
    int fd, served;
    char command[COMMAND];
    size_t have;
    char *out;
    size_t out_length, out_done;
    size_t piece; /* send so much at once; 0: all */
};

static int set, wake, listening_fd;
static pthread_t server;

static void watch(struct connection *c, uint32_t events, int operation)
{
    struct epoll_event e = {.events = events, .data.ptr = c};
    CHECK(epoll_ctl(set, operation, c->fd, &e));
}

static void finish(struct connection *c)
{
    CHECK(epoll_ctl(set, EPOLL_CTL_DEL, c->fd, NULL));
    CHECK(close(c->fd));
    free(c->out);
    free(c);
}

/* False: the connection is gone. */
static int flush(struct connection *c)
{
    while (c->out_done < c->out_length) {
        size_t left = c->out_length - c->out_done;
        ssize_t n = send(c->fd, c->out + c->out_done, c->piece && c->piece < left ? c->piece : left, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            watch(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
            return 1;
        }
        if (n < 0) {
            fprintf(said, "server: send: %s\n", strerror(errno));
            finish(c);
            return 0;
        }
        c->out_done += (size_t)n;
    }
    if (c->out)
        watch(c, EPOLLIN, EPOLL_CTL_MOD);
    free(c->out);
    c->out = NULL;
    c->piece = 0;
    c->out_length = c->out_done = 0;
    return 1;
}

static int answer(struct connection *c, size_t n)
{
    c->out = malloc(n);
    c->out_length = n;
    for (size_t i = 0; i < n; i++)
        c->out[i] = (char)(i * 7 + n);
    return flush(c);
}

static void *tell_from_thread(void *context)
{
    struct connection *c = context;
    send_all(c->fd, "by a thread", 11);
    return NULL;
}

/* e: echo n bytes of a pattern. p: peek first. t: another thread answers. w: MSG_WAITALL. f: FIONREAD.
 * m: send, then compute until the client has it. s: shut down. z: the thread ends, and
 * leaves the connection to others. l: linger and close (a reset). b: poll it by poll(2). d: answer by a duplicate.
 * q: n bytes in pieces of 4 KiB, each when epoll says that there is room. k: look twice at what is there. h: send much
 * and then wait for something else. */
static int serve(struct connection *c)
{
    size_t n = (size_t)strtoul(c->command + 1, NULL, 10);
    char bytes[16];
    c->served++;
    switch (c->command[0]) {
    case 'e':
        return answer(c, n);
    case 'p':
        CHECK(recv(c->fd, bytes, 4, MSG_PEEK));
        fprintf(said, "server: peeked %.4s\n", bytes);
        CHECK(recv(c->fd, bytes, 4, MSG_WAITALL));
        fprintf(said, "server: then %.4s\n", bytes);
        return answer(c, 1);
    case 'f': {
        int waiting = -1;
        struct pollfd p = {c->fd, POLLIN, 0};
        CHECK(poll(&p, 1, 5000));
        usleep(20000);
        CHECK(ioctl(c->fd, FIONREAD, &waiting));
        fprintf(said, "server: %d bytes wait\n", waiting);
        CHECK(recv(c->fd, bytes, (size_t)waiting, 0));
        return answer(c, 1);
    }
    case 't': {
        pthread_t other;
        pthread_create(&other, NULL, tell_from_thread, c);
        pthread_join(other, NULL);
        return 1;
    }
    case 'q':
        c->piece = 4096;
        return answer(c, n);
    case 'k': {
        char first[200], again[200];
        ssize_t k;
        while ((k = recv(c->fd, first, sizeof first, MSG_PEEK)) < 200)
            CHECK(k);
        CHECK(recv(c->fd, again, sizeof again, MSG_PEEK));
        fprintf(said, "server: %s", memcmp(first, again, sizeof first) ? "two different looks\n" : "");
        CHECK(recv(c->fd, again, sizeof again, 0));
        fprintf(said, "%s\n", memcmp(first, again, sizeof first) ? "other bytes than it was shown" : "what it was shown");
        return answer(c, 1);
    }
    case 'h': {
        char *much = calloc(1, n), byte;
        size_t done = 0;
        for (ssize_t k; done < n && (k = send(c->fd, much, n - done < 4096 ? n - done : 4096, MSG_NOSIGNAL)) > 0;)
            done += (size_t)k;
        free(much);
        __atomic_store_n(&sent_so_far, done, __ATOMIC_RELEASE);
        CHECK(read(wait_pipe[0], &byte, 1)); /* until all that has been received */
        return 1;
    }
    case 'b': {
        struct pollfd p = {c->fd, POLLOUT, 0};
        int k = poll(&p, 1, 5000);
        fprintf(said, "server: poll %d, %x\n", k, p.revents);
        return answer(c, 1);
    }
    case 'd': {
        int twin = dup(c->fd);
        send_all(twin, "twin", 4);
        close(twin);
        return 1;
    }
    case 'm': {
        time_t until = time(NULL) + 10;
        send_all(c->fd, "now", 3);
        while (!__atomic_load_n(&client_saw, __ATOMIC_RELAXED) && time(NULL) < until)
            ;
        fprintf(said, "server: it was %s while this computed\n",
                __atomic_load_n(&client_saw, __ATOMIC_RELAXED) ? "seen" : "not seen");
        return 1;
    }
    case 'z':
        left_open = c->fd;
        watch(c, 0, EPOLL_CTL_DEL);
        CHECK(close(listening_fd));
        CHECK(close(set));
        CHECK(set = epoll_create1(0));
        return -1;
    case 's':
        send_all(c->fd, "last words", 10);
        CHECK(shutdown(c->fd, SHUT_WR));
        return 1;
    case 'c':
        send_all(c->fd, "closing", 7);
        finish(c);
        return 0;
    case 'l': {
        struct linger l = {1, 0};
        CHECK(setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof l));
        finish(c);
        return 0;
    }
    case 'g': {
        int error = -1;
        socklen_t length = sizeof error;
        CHECK(getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length));
        fprintf(said, "server: SO_ERROR %d\n", error);
        return answer(c, 1);
    }
    }
    fprintf(said, "server: unknown command %c\n", c->command[0]);
    exit(1);
}

static void readable(struct connection *c)
{
    for (;;) {
        ssize_t n = recv(c->fd, c->command + c->have, COMMAND - c->have, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            if (c->served % 10 != 5 && c->served < 50)
                fprintf(said, "server: %s after %d commands\n", n ? strerror(errno) : "the end", c->served);
            finish(c);
            return;
        }
        c->have += (size_t)n;
        if (c->have < COMMAND)
            continue;
        c->have = 0;
        int goes_on = serve(c);
        if (goes_on < 0)
            pthread_exit(NULL);
        if (!goes_on)
            return;
    }
}

static void *serve_all(void *unused)
{
    struct connection listening = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)};
    struct connection waking = {.fd = wake};
    struct sockaddr_in a = address();
    int one = 1;
    CHECK(setsockopt(listening.fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    CHECK(bind(listening.fd, (struct sockaddr *)&a, sizeof a));
    CHECK(listen(listening.fd, 1000));
    listening_fd = listening.fd;
    watch(&listening, EPOLLIN, EPOLL_CTL_ADD);
    watch(&waking, EPOLLIN, EPOLL_CTL_ADD);
    CHECK(write(wake + 0, &(uint64_t){1}, 8)); /* seen first by this loop itself */
    for (;;) {
        struct epoll_event e[16];
        int n = epoll_wait(set, e, 16, 10000);
        CHECK(n);
        for (int i = 0; i < n; i++) {
            struct connection *c = e[i].data.ptr;
            uint64_t value;
            if (c == &waking) {
                CHECK(read(wake, &value, sizeof value));
                if (value >= 1000)
                    return unused;
            } else if (c == &listening) {
                struct connection *new = calloc(1, sizeof *new);
                new->fd = accept4(listening.fd, NULL, NULL, SOCK_NONBLOCK);
                CHECK(new->fd);
                CHECK(setsockopt(new->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one));
                watch(new, EPOLLIN, EPOLL_CTL_ADD);
            } else if (e[i].events & EPOLLOUT && c->out) {
                flush(c);
            } else {
                readable(c);
            }
        }
    }
}

/* ---- the client ---- */

static void command(int fd, char what, size_t n)
{
    char text[COMMAND + 1];
    snprintf(text, sizeof text, "%c%-7zu", what, n);
    send_all(fd, text, COMMAND);
}

static void echo(int fd, size_t n)
{
    char *bytes = malloc(n);
    command(fd, 'e', n);
    receive_all(fd, bytes, n);
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != (char)(i * 7 + n)) {
            printf("byte %zu of %zu is wrong\n", i, n);
            exit(1);
        }
    free(bytes);
}

/* So that the server's side is what a server's is in the long run. */
static int warm(void)
{
    int fd = connected();
    for (int i = 0; i < 20; i++)
        echo(fd, 10);
    return fd;
}

static void expect(int fd, const char *what)
{
    char bytes[64] = {0};
    receive_all(fd, bytes, strlen(what));
    printf("client: %s\n", bytes);
}

static void expect_end(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, 0);
    printf("client: %s\n", n < 0 ? strerror(errno) : n ? "a byte" : "the end");
    close(fd);
}

static void sizes(void)
{
    int fd = warm();
    for (size_t n = 1; n < 3000; n += 97)
        echo(fd, n);
    static const size_t table[] = {4095, 4096, 4097, 8192, 16383, 16384, 16385, 30000, 32768,
                                   40000, 65535, 65536, 65537, 100000, 1000000, 3000000};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        echo(fd, table[i]);
        echo(fd, 3);
    }
    close(fd);
    printf("sizes: good\n");
}

/* Many commands before any answer is read. */
static void pipelined(void)
{
    int fd = warm();
    char bytes[10];
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 500; i++)
            command(fd, 'e', 10);
        for (int i = 0; i < 500; i++)
            receive_all(fd, bytes, 10);
    }
    close(fd);
    printf("pipelined: good\n");
}

/* The peer does not read for a while. */
static void slow(void)
{
    int fd = warm();
    size_t n = 9000000;
    char *bytes = malloc(n);
    command(fd, 'e', n);
    usleep(50000);
    receive_all(fd, bytes, n);
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != (char)(i * 7 + n))
            exit(1);
    free(bytes);
    echo(fd, 5);
    close(fd);
    printf("slow: good\n");
}

/* The server has more to send than there is room for, in small pieces, and gets room a little at a time. */
static void in_pieces(void)
{
    size_t n = 9000000;
    char *bytes = malloc(n);
    int fd = warm();
    command(fd, 'q', n);
    for (size_t done = 0; done < n; done += 300000) {
        usleep(2000);
        receive_all(fd, bytes + done, n - done < 300000 ? n - done : 300000);
    }
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != (char)(i * 7 + n))
            exit(1);
    free(bytes);
    echo(fd, 5);
    close(fd);
    printf("in pieces: good\n");
}

/* What was taken to be sent is sent, whatever the server waits for since. */
static void left_behind(void)
{
    size_t n = 9000000;
    char *bytes = malloc(n);
    int fd = warm();
    command(fd, 'h', n);
    while (!(n = __atomic_load_n(&sent_so_far, __ATOMIC_ACQUIRE)))
        usleep(1000);
    usleep(20000);
    receive_all(fd, bytes, n);
    free(bytes);
    CHECK(write(wait_pipe[1], "x", 1));
    echo(fd, 5);
    close(fd);
    printf("left behind: good\n");
}

static void many(void)
{
    enum { COUNT = 300 };
    static int fds[COUNT];
    for (int i = 0; i < COUNT; i++)
        fds[i] = connected();
    for (int round = 0; round < 30; round++)
        for (int i = 0; i < COUNT; i++)
            echo(fds[i], (size_t)(1 + (i * 31 + round * 17) % 5000));
    for (int i = 0; i < COUNT; i++) {
        for (int k = 0; k < 5; k++)
            echo(fds[i], 9); /* 35 commands: the end of them is not worth a line */
        close(fds[i]);
    }
    printf("many: good\n");
}

static void odd_ways(void)
{
    int fd = warm();
    char byte;
    send_all(fd, "p0      abcd", 12);
    receive_all(fd, &byte, 1);
    char shown[COMMAND + 201];
    snprintf(shown, sizeof shown, "k%-7d%0200d", 0, 7);
    send_all(fd, shown, COMMAND + 200);
    receive_all(fd, &byte, 1);
    command(fd, 'f', 0);
    send_all(fd, "12345", 5);
    receive_all(fd, &byte, 1);
    for (int i = 0; i < 12; i++)
        echo(fd, 20);
    command(fd, 'm', 0);
    expect(fd, "now");
    __atomic_store_n(&client_saw, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < 12; i++)
        echo(fd, 20);
    command(fd, 't', 0);
    expect(fd, "by a thread");
    for (int i = 0; i < 12; i++)
        echo(fd, 20);
    command(fd, 'b', 0);
    receive_all(fd, &byte, 1);
    for (int i = 0; i < 12; i++)
        echo(fd, 20);
    command(fd, 'd', 0);
    expect(fd, "twin");
    command(fd, 'g', 0);
    receive_all(fd, &byte, 1);
    command(fd, 's', 0);
    expect(fd, "last words");
    command(fd, 'g', 0); /* it still listens */
    expect_end(fd);
}

static void endings(void)
{
    int fd = warm();
    command(fd, 'c', 0);
    expect(fd, "closing");
    expect_end(fd);
    fd = warm();
    command(fd, 'l', 0);
    expect_end(fd);
    fd = warm();
    struct linger l = {1, 0};
    CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l));
    close(fd); /* a reset at the server */
    fd = warm();
    CHECK(shutdown(fd, SHUT_WR));
    expect_end(fd);
    usleep(50000);
}

/* What has come for a thread that ends is there for another, whatever else goes on meanwhile. */
static void inherited(void)
{
    enum { LEFT = 3000 };
    char text[COMMAND + LEFT + 1], got[LEFT];
    int fd = warm();
    snprintf(text, sizeof text, "z%-7d", 0);
    for (int i = 0; i < LEFT; i++)
        text[COMMAND + i] = (char)(i * 11);
    send_all(fd, text, COMMAND + LEFT);
    pthread_join(server, NULL);
    int ours = left_open;
    pthread_create(&server, NULL, serve_all, NULL);
    usleep(100000);
    pipelined(); /* the new thread has a ring, and fills its buffers */
    receive_all(ours, got, LEFT);
    printf("inherited: %s\n", memcmp(got, text + COMMAND, LEFT) ? "something else" : "good");
    send_all(ours, "still here", 10);
    expect(fd, "still here");
    send_all(fd, "and there", 9);
    expect(ours, "and there");
    close(ours);
    expect_end(fd);
}

int main(int count, char **words)
{
    port = count > 1 ? atoi(words[1]) : 7400;
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    char *text = NULL;
    size_t text_size;
    said = open_memstream(&text, &text_size);
    set = epoll_create1(0);
    wake = eventfd(0, EFD_NONBLOCK);
    CHECK(set);
    CHECK(wake);
    CHECK(pipe(wait_pipe));
    pthread_create(&server, NULL, serve_all, NULL);
    usleep(100000);
    sizes();
    pipelined();
    slow();
    in_pieces();
    left_behind();
    many();
    odd_ways();
    endings();
    inherited();
    uint64_t stop = 1000;
    CHECK(write(wake, &stop, sizeof stop));
    pthread_join(server, NULL);
    fclose(said);
    printf("%sdone\n", text);
    return 0;
}
