/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UDP by many threads. Datagrams carry a number each, so that none is lost or seen twice unnoticed.
 *
 *   udp_threads one PORT THREADS COUNT       all threads receive on one socket
 *   udp_threads spread PORT THREADS COUNT    each has a socket of its own, all of one port (SO_REUSEPORT)
 *   udp_threads wait PORT THREADS COUNT      the same, each with an epoll set
 *   udp_threads send ADDRESS PORT THREADS COUNT  each sends its part by a socket of its own
 *   udp_threads churn PORT THREADS SECONDS   sockets come and go while others receive, poll and send on them
 *
 * What is received is said when COUNT have come or a second passes without any.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MOST 64
#define NUMBERS_MOST (1 << 24)
#define PAUSE_EVERY 16

static uint32_t count;
static int threads;
static struct sockaddr_in to;
static uint16_t port;
static _Atomic uint8_t seen[NUMBERS_MOST];
static _Atomic uint32_t total, doubled;
static uint32_t of_thread[THREADS_MOST];
static int sockets[THREADS_MOST];
static atomic_bool over;

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

static int bound(bool shares)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_DGRAM, 0), on = 1, room = 8 << 20;
    struct timeval patience = {.tv_usec = 200000};
    if (fd < 0)
        die("socket");
    if (shares && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on))
        die("SO_REUSEPORT");
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    /* Another thread may have sent by it already, taking it for one that is closed: then it is bound. */
    if (bind(fd, (struct sockaddr *)&any, sizeof any) && errno != EINVAL)
        die("bind");
    return fd;
}

static void take(int thread, uint32_t number)
{
    if (number >= NUMBERS_MOST)
        return;
    if (atomic_exchange(&seen[number], 1))
        atomic_fetch_add(&doubled, 1);
    else
        atomic_fetch_add(&total, 1);
    of_thread[thread]++;
}

static void *receive(void *argument)
{
    int thread = (int)(intptr_t)argument;
    uint32_t number;
    while (atomic_load(&total) < count && !atomic_load(&over)) {
        ssize_t n = recv(sockets[thread], &number, sizeof number, 0);
        if (n == sizeof number)
            take(thread, number);
        else if (n < 0 && errno != EAGAIN && errno != EINTR)
            die("recv");
    }
    return NULL;
}

static void *wait_and_receive(void *argument)
{
    int thread = (int)(intptr_t)argument, fd = sockets[thread], set = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};
    uint32_t number;
    epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
    while (atomic_load(&total) < count && !atomic_load(&over)) {
        if (epoll_wait(set, &event, 1, 200) != 1)
            continue;
        while (recv(fd, &number, sizeof number, MSG_DONTWAIT) == sizeof number)
            take(thread, number);
    }
    close(set);
    return NULL;
}

static void receive_all(bool one, void *(*work)(void *))
{
    pthread_t thread[THREADS_MOST];
    for (int i = 0; i < threads; i++)
        sockets[i] = one && i ? sockets[0] : bound(!one);
    for (int i = 0; i < threads; i++)
        pthread_create(&thread[i], NULL, work, (void *)(intptr_t)i);
    puts("ready");
    fflush(stdout);
    uint32_t before = 0, now;
    for (int quiet = 0; (now = atomic_load(&total)) < count && quiet < 10;) {
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
        quiet = now && now == before ? quiet + 1 : 0;
        before = now;
    }
    atomic_store(&over, true);
    for (int i = 0; i < threads; i++)
        pthread_join(thread[i], NULL);
    printf("got %u doubled %u by", atomic_load(&total), atomic_load(&doubled));
    for (int i = 0; i < threads; i++)
        printf(" %u", of_thread[i]);
    puts("");
}

static void *transmit(void *argument)
{
    uint32_t first = (uint32_t)(intptr_t)argument;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    for (uint32_t n = first; n < count; n += (uint32_t)threads) {
        /* Of changing length, so that it is no stream for the kernel to segment. */
        uint32_t payload[4] = {n};
        size_t length = sizeof n * (1 + n / (uint32_t)threads % 3);
        if (sendto(fd, payload, length, 0, (struct sockaddr *)&to, sizeof to) != (ssize_t)length)
            die("sendto");
        if (n / (uint32_t)threads % PAUSE_EVERY == 0)
            nanosleep(&(struct timespec){.tv_nsec = 4000000}, NULL); /* what is sent must not be more than is received */
    }
    close(fd);
    return NULL;
}

/* ---- coming and going ---- */

static _Atomic int target = -1;

/* The descriptor may be another one's by now, or nobody's: any error will do, a crash will not. */
static void *use(void *argument)
{
    unsigned turn = (unsigned)(intptr_t)argument;
    int set = epoll_create1(0);
    char bytes[64];
    while (!atomic_load(&over)) {
        int fd = atomic_load(&target), length;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        struct epoll_event event = {.events = EPOLLIN};
        switch (turn++ % 7) {
        case 0:
            recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
            break;
        case 1:
            recv(fd, bytes, sizeof bytes, 0);
            break;
        case 2:
            poll(&p, 1, 1);
            break;
        case 3:
            epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
            break;
        case 4:
            epoll_wait(set, &event, 1, 1);
            break;
        case 5:
            ioctl(fd, FIONREAD, &length);
            break;
        case 6:
            sendto(fd, bytes, 8, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof to);
            break;
        }
    }
    close(set);
    return NULL;
}

static void interrupt(int signal)
{
    (void)signal;
}

static void come_and_go(int seconds)
{
    const struct sigaction action = {.sa_handler = interrupt};
    pthread_t thread[THREADS_MOST];
    time_t end = time(NULL) + seconds;
    unsigned rounds = 0;
    sigaction(SIGUSR1, &action, NULL);
    inet_pton(AF_INET, "10.78.0.2", &to.sin_addr);
    to.sin_family = AF_INET;
    to.sin_port = htons(9);
    for (int i = 0; i < threads; i++)
        pthread_create(&thread[i], NULL, use, (void *)(intptr_t)i);
    puts("ready");
    fflush(stdout);
    while (time(NULL) < end) {
        int fd = bound(true), other = bound(true);
        atomic_store(&target, rounds % 2 ? fd : other);
        nanosleep(&(struct timespec){.tv_nsec = rounds++ % 8 * 300000}, NULL);
        connect(fd, (struct sockaddr *)&to, sizeof to);
        close(fd);
        close(other);
    }
    atomic_store(&over, true);
    /* Some wait on sockets that nobody knows any more. */
    for (int i = 0; i < threads; i++)
        while (pthread_tryjoin_np(thread[i], NULL)) {
            pthread_kill(thread[i], SIGUSR1);
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        }
    printf("alive after %s rounds\n", rounds > 10 ? "many" : "few");
}

int main(int argc, char **argv)
{
    if (argc == 6 && !strcmp(argv[1], "send")) {
        pthread_t thread[THREADS_MOST];
        to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[3]))};
        inet_pton(AF_INET, argv[2], &to.sin_addr);
        threads = atoi(argv[4]);
        count = (uint32_t)atoi(argv[5]);
        for (int i = 0; i < threads; i++)
            pthread_create(&thread[i], NULL, transmit, (void *)(intptr_t)i);
        for (int i = 0; i < threads; i++)
            pthread_join(thread[i], NULL);
        return 0;
    }
    if (argc != 5)
        return 2;
    port = (uint16_t)atoi(argv[2]);
    threads = atoi(argv[3]);
    count = (uint32_t)atoi(argv[4]);
    if (!strcmp(argv[1], "one"))
        receive_all(true, receive);
    else if (!strcmp(argv[1], "spread"))
        receive_all(false, receive);
    else if (!strcmp(argv[1], "wait"))
        receive_all(false, wait_and_receive);
    else if (!strcmp(argv[1], "churn"))
        come_and_go(atoi(argv[4]));
    else
        return 2;
    return 0;
}
