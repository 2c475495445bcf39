/* SPDX-License-Identifier: Apache-2.0 */
#include "host/xdpd_client.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "host/host.h"
#include "xdp/protocol.h"

#define START_MS 5000
#define ANSWER_MS 2000
#define STOP_MS 1000

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- a question and its answer ---- */

/* The descriptor that came along, -1: none. */
static int descriptor_of(struct msghdr *packet)
{
    int fd = -1;
    struct cmsghdr *c = CMSG_FIRSTHDR(packet);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
        c->cmsg_len == CMSG_LEN(sizeof fd))
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
    return fd;
}

/* A message, in time. 0, or -errno: -EPIPE, the other end is closed. */
static int receive(int from, char message[XDPD_MESSAGE_MAX + 1], int *fd, int timeout_ms)
{
    int64_t end = now_ms() + timeout_ms;
    for (;;) {
        int64_t left = end - now_ms();
        struct pollfd wait = {.fd = from, .events = POLLIN};
        int ready = left > 0 ? poll(&wait, 1, (int)left) : 0;
        if (ready < 0 && errno != EINTR)
            return -errno;
        if (ready == 0)
            return -ETIMEDOUT;
        if (ready < 0)
            continue;
        union {
            struct cmsghdr header;
            char space[CMSG_SPACE(sizeof(int))];
        } control;
        struct iovec part = {.iov_base = message, .iov_len = XDPD_MESSAGE_MAX};
        struct msghdr packet = {.msg_iov = &part,
                                .msg_iovlen = 1,
                                .msg_control = control.space,
                                .msg_controllen = sizeof control.space};
        ssize_t length = recvmsg(from, &packet, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (length < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (length <= 0)
            return -EPIPE;
        message[length] = '\0';
        *fd = descriptor_of(&packet);
        return 0;
    }
}

static int transmit(int to, const char *message)
{
    while (send(to, message, strlen(message), MSG_NOSIGNAL) < 0)
        if (errno != EINTR)
            return -errno;
    return 0;
}

/* With the lock held: it went in the middle of its work. */
static void lost(struct xdpd *d)
{
    fprintf(stderr, "rakis: the rakis-xdpd of %s is gone: UDP goes over host sockets\n",
            d->interface);
    close(d->socket);
    d->socket = -1;
}

static int ask(struct xdpd *d, const char *question, const char *good, const char *bad, int *fd)
{
    char message[XDPD_MESSAGE_MAX + 1];
    int came = -1;
    pthread_mutex_lock(&d->lock);
    int error = d->socket < 0 ? -EPIPE : 0;
    if (!error) {
        error = transmit(d->socket, question);
        if (!error)
            error = receive(d->socket, message, &came, ANSWER_MS);
        if (error) {
            lost(d);
            error = -EPIPE;
        }
    }
    pthread_mutex_unlock(&d->lock);

    size_t length = strlen(bad);
    if (!error && strcmp(message, good)) {
        long reason = !strncmp(message, bad, length) && message[length] == ','
                          ? strtol(message + length + 1, NULL, 10)
                          : EPROTO;
        error = reason > 0 && reason < 4096 ? -(int)reason : -EPROTO;
    }
    if (!error && fd && came < 0)
        error = -EPROTO;
    if (came >= 0 && (error || !fd))
        close(came);
    else if (fd)
        *fd = came;
    return error;
}

int xdpd_xsk(struct xdpd *d, uint64_t queue, int *fd)
{
    char question[XDPD_MESSAGE_MAX + 1];
    snprintf(question, sizeof question, XDPD_XSK ",%lu", queue);
    return ask(d, question, XDPD_FD_ACK, XDPD_FD_NAK, fd);
}

int xdpd_bound(struct xdpd *d, uint64_t queue)
{
    char question[XDPD_MESSAGE_MAX + 1];
    snprintf(question, sizeof question, XDPD_BOUND ",%lu", queue);
    return ask(d, question, XDPD_BOUND_OK, XDPD_BOUND_NAK, NULL);
}

int xdpd_port(struct xdpd *d, int operation, const struct port_key *key)
{
    char question[XDPD_MESSAGE_MAX + 1], address[INET6_ADDRSTRLEN];
    const struct ip_address *a = &key->address;
    const uint64_t words[2] = {htobe64(a->high), htobe64(a->low)};
    bool four = a->high == 0 && a->low >> 32 == 0xffff;
    inet_ntop(four ? AF_INET : AF_INET6, (const uint8_t *)words + (four ? 12 : 0), address,
              sizeof address);
    snprintf(question, sizeof question, "%s,%s,%u",
             operation == PORT_ADD ? XDPD_PORT_ADD : XDPD_PORT_DEL, address, (uint16_t)key->port);
    return ask(d, question, XDPD_PORT_OK, XDPD_PORT_NAK, NULL);
}

/* ---- finding or starting it ---- */

/* The first word: an answer says that it is ready for us. */
static int greet(struct xdpd *d, int timeout_ms)
{
    char message[XDPD_MESSAGE_MAX + 1];
    int fd = -1;
    int error = transmit(d->socket, XDPD_CONNECT ",rakis");
    if (!error)
        error = receive(d->socket, message, &fd, timeout_ms);
    if (fd >= 0)
        close(fd);
    if (!error && strcmp(message, XDPD_HOST_OK))
        error = -EPROTO;
    return error;
}

int xdpd_find(struct xdpd *d, char *why, size_t size)
{
    struct stat namespace;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    pthread_mutex_init(&d->lock, NULL);
    d->socket = -1;
    if (stat("/proc/self/ns/net", &namespace))
        return -ENOENT;
    snprintf(address.sun_path, sizeof address.sun_path, XDPD_SOCKET_FORMAT,
             (unsigned long)namespace.st_ino, d->interface);
    d->socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (d->socket < 0)
        return -ENOENT;
    int error = 0;
    if (connect(d->socket, (struct sockaddr *)&address, sizeof address))
        error = errno == ENOENT || errno == ECONNREFUSED ? -ENOENT : -errno;
    else
        error = greet(d, ANSWER_MS);
    if (!error)
        return 0;
    close(d->socket);
    d->socket = -1;
    if (error == -EACCES || error == -EPERM || error == -EPIPE || error == -ECONNRESET)
        snprintf(why, size, "the rakis-xdpd of %s does not allow this user (see its --allow-uid)",
                 d->interface);
    else
        snprintf(why, size, "the rakis-xdpd of %s does not answer: %s", d->interface,
                 strerror(-error));
    return error;
}

bool xdpd_program(char *path, size_t size)
{
    static const char *const places[] = {"xdp/rakis-xdpd", "rakis-xdpd", "../sbin/rakis-xdpd",
                                         "../libexec/rakis/rakis-xdpd"};
    char directory[4096];
    ssize_t length = readlink("/proc/self/exe", directory, sizeof directory - 1);
    if (length <= 0)
        return false;
    directory[length] = '\0';
    *strrchr(directory, '/') = '\0';
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (snprintf(path, size, "%s/%s", directory, places[i]) < (int)size && !access(path, X_OK))
            return true;
    return false;
}

/* In a process of its own: only what is safe there. */
static _Noreturn void become(const char *path, const char *interface, int socket, int errors)
{
    sigset_t none;
    sigemptyset(&none);
    for (int signal = 1; signal <= 64; signal++) {
        struct sigaction plain = {.sa_handler = SIG_DFL};
        sigaction(signal, &plain, NULL);
    }
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid(); /* Ctrl-C in the terminal is ours to act on */
    /* Above the places that they go to, whatever of those is open. */
    socket = fcntl(socket, F_DUPFD, 10);
    errors = fcntl(errors, F_DUPFD, 10);
    int null = open("/dev/null", O_RDWR);
    if (socket < 0 || errors < 0 || null < 0)
        _exit(1);
    dup2(null, 0);
    dup2(null, 1);
    dup2(errors, 2);
    dup2(socket, 3);
    close_range(4, ~0u, 0);
    execl(path, "rakis-xdpd", "-i", interface, "--fd", "3", "--quiet", (char *)NULL);
    dprintf(2, "cannot execute %s: %s\n", path, strerror(errno));
    _exit(1);
}

/* What the child said before it ended, one line without its name. */
static void complaint(int errors, char *why, size_t size)
{
    static const char name[] = "rakis-xdpd: ";
    char text[512];
    size_t length = 0;
    ssize_t n;
    while (length < sizeof text - 1 &&
           (n = read(errors, text + length, sizeof text - 1 - length)) > 0)
        length += (size_t)n;
    text[length] = '\0';
    text[strcspn(text, "\n")] = '\0';
    const char *start = !strncmp(text, name, sizeof name - 1) ? text + sizeof name - 1 : text;
    snprintf(why, size, "%s%s", *start ? start : "rakis-xdpd ended at once",
             strstr(start, "no privilege") ? ", or a rakis-xdpd that allows this user" : "");
}

static void child_kill(const struct xdpd *d)
{
    syscall(SYS_pidfd_send_signal, d->child, SIGKILL, NULL, 0);
}

static void child_end(struct xdpd *d)
{
    struct pollfd ended = {.fd = d->child, .events = POLLIN};
    if (poll(&ended, 1, STOP_MS) == 0) {
        child_kill(d);
        poll(&ended, 1, STOP_MS);
    }
    close(d->child);
    d->child = -1;
}

/*
 * Makes the process by way of another one that ends at once, so that it is not our child: the children of this
 * process are the program's, which waits for any. Its end is known by its closed socket and by its
 * pidfd, which the one in between tells; our end it knows by the socket. 0 or -errno.
 */
static int daemon_make(struct xdpd *d, const char *path, int socket, int errors)
{
    int told[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, told))
        return -errno;
    pid_t child = -1, between = fork();
    if (between == 0) {
        char unused;
        close(told[0]);
        child = fork();
        if (child == 0)
            become(path, d->interface, socket, errors);
        if (child < 0 || write(told[1], &child, sizeof child) != sizeof child)
            _exit(1);
        /* Until then it is our child, and its number nobody else's. */
        while (read(told[1], &unused, 1) < 0 && errno == EINTR)
            ;
        _exit(0);
    }
    int error = between < 0 ? -errno : 0;
    close(told[1]);
    if (!error && read(told[0], &child, sizeof child) == sizeof child)
        d->child = (int)syscall(SYS_pidfd_open, child, 0);
    if (!error && d->child < 0)
        error = child < 0 ? -EAGAIN : -errno;
    close(told[0]);
    if (between > 0)
        waitpid(between, NULL, 0);
    return error;
}

static int start(struct xdpd *d, char *why, size_t size)
{
    char path[4200];
    int sockets[2], errors[2];
    if (!xdpd_program(path, sizeof path)) {
        snprintf(why, size, "there is no rakis-xdpd beside rakis");
        return -1;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets)) {
        snprintf(why, size, "cannot make a socket: %s", strerror(errno));
        return -1;
    }
    if (pipe2(errors, O_CLOEXEC)) {
        snprintf(why, size, "cannot make a pipe: %s", strerror(errno));
        close(sockets[0]);
        close(sockets[1]);
        return -1;
    }
    int error = daemon_make(d, path, sockets[1], errors[1]);
    close(sockets[1]);
    close(errors[1]);
    d->socket = sockets[0];
    if (!error)
        error = greet(d, START_MS);
    if (!error) {
        close(errors[0]);
        return 0;
    }
    close(d->socket);
    d->socket = -1;
    if (d->child < 0) {
        snprintf(why, size, "cannot start rakis-xdpd: %s", strerror(-error));
    } else {
        if (error == -ETIMEDOUT)
            child_kill(d);
        complaint(errors[0], why, size);
        child_end(d);
    }
    close(errors[0]);
    return -1;
}

int xdpd_start(struct xdpd *d, char *why, size_t size)
{
    pthread_mutex_init(&d->lock, NULL);
    d->socket = d->child = -1;
    int error = xdpd_find(d, why, size);
    if (error == -ENOENT)
        error = start(d, why, size);
    return error ? -1 : 0;
}

void xdpd_stop(struct xdpd *d)
{
    pthread_mutex_lock(&d->lock);
    if (d->socket >= 0) {
        char message[XDPD_MESSAGE_MAX + 1];
        int fd = -1;
        /* The answer tells that our ports and XSKs are out of the maps. */
        if (!transmit(d->socket, XDPD_FIN))
            receive(d->socket, message, &fd, STOP_MS);
        if (fd >= 0)
            close(fd);
        close(d->socket);
        d->socket = -1;
    }
    if (d->child >= 0)
        child_end(d);
    pthread_mutex_unlock(&d->lock);
}
