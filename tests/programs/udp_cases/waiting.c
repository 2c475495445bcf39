/* SPDX-License-Identifier: Apache-2.0 */
/* Who waits: poll, select, epoll, threads, signals. */
#include "cases.h"

#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>

static void polls(void)
{
    int fd = open_bound(PORT_OWN);
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLPRI | POLLRDNORM | POLLWRNORM};
    say("poll of an idle socket", "%d %x", poll(&p, 1, 0), (unsigned)p.revents);
    p.events = POLLIN;
    say("poll for reading only", "%d %x", poll(&p, 1, 10), (unsigned)p.revents);
    burst(PORT_OWN, 2, 10, 64, 0);
    say("poll when there is something", "%d %x", poll(&p, 1, 2000), (unsigned)p.revents);
    p.events = POLLIN | POLLOUT | POLLRDNORM;
    poll(&p, 1, 0);
    say("and for writing", "%x", (unsigned)p.revents);
    char byte;
    recv(fd, &byte, 1, 0);
    arrives(fd);
    poll(&p, 1, 0);
    say("one is left", "%x", (unsigned)p.revents);
    recv(fd, &byte, 1, 0);
    poll(&p, 1, 0);
    say("none is left", "%x", (unsigned)p.revents);

    fd_set readable, writable;
    FD_ZERO(&readable);
    FD_ZERO(&writable);
    FD_SET(fd, &readable);
    FD_SET(fd, &writable);
    struct timeval t = {.tv_sec = 1};
    int n = select(fd + 1, &readable, &writable, NULL, &t);
    say("select", "%d %d %d", n, FD_ISSET(fd, &readable) != 0, FD_ISSET(fd, &writable) != 0);
    burst(PORT_OWN, 1, 10, 64, 0);
    FD_ZERO(&readable);
    FD_SET(fd, &readable);
    t = (struct timeval){.tv_sec = 2};
    n = select(fd + 1, &readable, NULL, NULL, &t);
    say("select for reading", "%d %d", n, FD_ISSET(fd, &readable) != 0);
    close(fd);
}

/* A datagram of the host's way must not hide behind readiness for writing. */
static void loopback_and_writing(void)
{
    int fd = open_bound(PORT_OWN), from = open_socket();
    struct address here = address_of(way->family == AF_INET ? "127.0.0.1"
                                     : way->mapped          ? "::ffff:127.0.0.1"
                                                            : "::1", PORT_OWN);
    struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};
    send_to(from, here, "loop", 4, 0);
    for (int i = 0; i < 1000 && !(p.revents & POLLIN); i++)
        poll(&p, 1, 0);
    say("readable beside writable", "%x", (unsigned)p.revents);
    say_received("by loopback", fd);
    close(from);
    close(fd);
}

static void epolls(void)
{
    struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.u64 = 42}, out[4];
    int fd = open_bound(PORT_OWN), set = epoll_create1(EPOLL_CLOEXEC);
    char byte;
    say_result("epoll_ctl", epoll_ctl(set, EPOLL_CTL_ADD, fd, &e));
    say_result("an idle one", epoll_wait(set, out, 4, 10));
    burst(PORT_OWN, 2, 10, 64, 0);
    int n = epoll_wait(set, out, 4, 2000);
    say("edge-triggered", "%d %x %d", n, out[0].events, (int)out[0].data.u64);
    usleep(10000);
    while (epoll_wait(set, out, 4, 20) > 0)
        continue;
    say_result("no new edge", epoll_wait(set, out, 4, 20));
    burst(PORT_OWN, 1, 10, 64, 0);
    n = epoll_wait(set, out, 4, 2000);
    say("another edge", "%d %x", n, out[0].events);
    while (recv(fd, &byte, 1, MSG_DONTWAIT) >= 0)
        continue;
    e.events = EPOLLIN | EPOLLOUT | EPOLLONESHOT;
    say_result("EPOLL_CTL_MOD", epoll_ctl(set, EPOLL_CTL_MOD, fd, &e));
    n = epoll_wait(set, out, 4, 100);
    say("one shot", "%d %x", n, out[0].events);
    say_result("spent", epoll_wait(set, out, 4, 20));
    e.events = EPOLLIN;
    epoll_ctl(set, EPOLL_CTL_MOD, fd, &e);
    burst(PORT_OWN, 1, 10, 64, 0);
    n = epoll_wait(set, out, 4, 2000);
    say("level-triggered", "%d %x", n, out[0].events);
    say_result("still", epoll_wait(set, out, 4, 0));
    recv(fd, &byte, 1, 0);
    say_result("no longer", epoll_wait(set, out, 4, 20));
    close(fd);
    say_result("a closed socket leaves the set", epoll_wait(set, out, 4, 20));
    close(set);
}

static int shared_fd;

static void *receiver(void *result)
{
    char bytes[20];
    *(long *)result = recv(shared_fd, bytes, sizeof bytes, 0);
    return NULL;
}

static void threads(void)
{
    pthread_t thread[4];
    long result[4];
    shared_fd = open_bound(PORT_OWN);
    for (int i = 0; i < 4; i++)
        pthread_create(&thread[i], NULL, receiver, &result[i]);
    usleep(20000);
    burst(PORT_OWN, 4, 10, 64, 0);
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    say("four threads receive one each", "%ld %ld %ld %ld", result[0], result[1], result[2], result[3]);
    pthread_create(&thread[0], NULL, receiver, &result[0]);
    usleep(20000);
    shutdown(shared_fd, SHUT_RD);
    pthread_join(thread[0], NULL);
    say("shutdown wakes a receiver", "%ld", result[0]);
    close(shared_fd);
}

static void on_alarm(int signal)
{
    (void)signal;
}

static void signals(void)
{
    char byte;
    int fd = open_bound(PORT_OWN);
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval soon = {.it_value.tv_usec = 30000}, never = {0};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &soon, NULL);
    say_result("a signal interrupts recv", recv(fd, &byte, 1, 0));
    struct pollfd p = {.fd = fd, .events = POLLIN};
    setitimer(ITIMER_REAL, &soon, NULL);
    say_result("and poll", poll(&p, 1, 2000));
    struct timeval t = {.tv_usec = 200000};
    action.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &action, NULL);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    setitimer(ITIMER_REAL, &soon, NULL);
    say_result("one with a time limit, for all SA_RESTART", recv(fd, &byte, 1, 0));
    setitimer(ITIMER_REAL, &never, NULL);
    close(fd);
}

static void notification(void)
{
    int fd = open_bound(PORT_OWN);
    struct timespec limit = {.tv_sec = 2};
    sigset_t io;
    sigemptyset(&io);
    sigaddset(&io, SIGIO);
    sigprocmask(SIG_BLOCK, &io, NULL);
    say_result("F_SETOWN", fcntl(fd, F_SETOWN, getpid()));
    say_result("O_ASYNC", fcntl(fd, F_SETFL, O_ASYNC));
    say("F_GETFL", "%x", (unsigned)fcntl(fd, F_GETFL));
    burst(PORT_OWN, 1, 10, 64, 0);
    say("a signal comes", "%s", sigtimedwait(&io, NULL, &limit) == SIGIO ? "SIGIO" : "none");
    say_received("with the datagram", fd);
    fcntl(fd, F_SETFL, 0);
    close(fd);
}

/* A descriptor that goes by way of another socket, and comes back. */
static void passed_on(void)
{
    int pair[2], fd = open_bound(PORT_OWN), back = -1;
    char byte = 'x';
    _Alignas(8) char control[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec v = {&byte, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control,
                       .msg_controllen = sizeof control};
    socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof fd), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    say_result("SCM_RIGHTS", sendmsg(pair[0], &m, 0));
    say_result("received", recvmsg(pair[1], &m, 0));
    c = CMSG_FIRSTHDR(&m);
    if (c)
        memcpy(&back, CMSG_DATA(c), sizeof back);
    burst(PORT_OWN, 2, 10, 64, 0);
    say_received("by the descriptor that was passed", back);
    say_received("by the old one", fd);
    close(fd);
    burst(PORT_OWN, 1, 10, 64, 0);
    say_received("when that is closed", back);
    close(back);
    close(pair[0]);
    close(pair[1]);
}

static void spliced(void)
{
    int fd = open_socket(), file = memfd_create("spliced", 0), pipes[2];
    off_t offset = 2;
    connect_to(fd, peer_address(PORT_ECHO));
    say_result("a file", write(file, "in a file", 9));
    say_result("sendfile", sendfile(fd, file, &offset, 7));
    say_received("sent from it", fd);
    if (pipe(pipes))
        return;
    say_result("a pipe", write(pipes[1], "in a pipe", 9));
    say_result("splice", splice(pipes[0], NULL, fd, NULL, 9, 0));
    say_received("spliced", fd);
    close(pipes[0]);
    close(pipes[1]);
    close(file);
    close(fd);
}

void cases_waiting(void)
{
    polls();
    loopback_and_writing();
    epolls();
    threads();
    signals();
    notification();
    passed_on();
    spliced();
}
