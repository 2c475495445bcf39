/* SPDX-License-Identifier: Apache-2.0 */
#include "host/address.h"
#include "host/xdpd_client.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/bpf.h>
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
#include "xdp/pass.h"
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
        ssize_t length = pass_receive(from, message, XDPD_MESSAGE_MAX, fd, MSG_DONTWAIT);
        if (length == -EAGAIN)
            continue;
        if (length <= 0)
            return -EPIPE;
        message[length] = '\0';
        return 0;
    }
}

/* With the lock held: it went in the middle of its work. */
static void lost(struct xdpd *d)
{
    fprintf(stderr, "rakis: the rakis-xdpd of %s is gone: UDP goes over host sockets\n",
            d->interface);
    close(d->socket);
    d->socket = -1;
    d->lost = *d->path;
}

void xdpd_look(struct xdpd *d)
{
    pthread_mutex_lock(&d->lock);
    struct pollfd closed = {.fd = d->socket};
    if (d->socket >= 0 && poll(&closed, 1, 0) == 1)
        lost(d);
    pthread_mutex_unlock(&d->lock);
}

/* `fd`: where a descriptor is to come along. `with`: goes along with the question, -1: none. */
static int ask(struct xdpd *d, const char *question, int with, const char *good, const char *bad, int *fd)
{
    char message[XDPD_MESSAGE_MAX + 1];
    int came = -1;
    pthread_mutex_lock(&d->lock);
    int error = d->socket < 0 ? -EPIPE : 0;
    if (!error) {
        error = pass_send(d->socket, question, strlen(question), with);
        bool gone = error && error != -EBADF && error != -ETOOMANYREFS; /* of `with` */
        if (!error) {
            error = receive(d->socket, message, &came, ANSWER_MS);
            gone = error;
        }
        if (gone) {
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

/* Without a daemon we make it ourselves. */
static int xsk_make(const struct xdpd *d, int *fd)
{
    *fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (*fd >= 0)
        return 0;
    int error = -errno;
    if (error == -EPERM)
        fprintf(stderr, "rakis: no privilege for AF_XDP on %s: with a device plugin rakis needs "
                        "CAP_NET_RAW; UDP goes over host sockets\n", d->interface);
    return error;
}

int xdpd_xsk(struct xdpd *d, uint64_t queue, int *fd)
{
    char question[XDPD_MESSAGE_MAX + 1];
    if (d->map >= 0)
        return xsk_make(d, fd);
    snprintf(question, sizeof question, XDPD_XSK ",%lu", queue);
    return ask(d, question, -1, XDPD_FD_ACK, XDPD_FD_NAK, fd);
}

static int map_enter(const struct xdpd *d, uint64_t queue, int fd)
{
    const uint32_t key = (uint32_t)queue, value = (uint32_t)fd;
    union bpf_attr change = {.map_fd = (uint32_t)d->map,
                             .key = (uint64_t)&key,
                             .value = (uint64_t)&value};
    if (!syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &change, sizeof change))
        return 0;
    int error = -errno;
    if (error == -EPERM)
        fprintf(stderr, "rakis: no privilege for the map of the device plugin: before Linux 5.19 "
                        "rakis needs CAP_BPF\n");
    return error;
}

int xdpd_bound(struct xdpd *d, uint64_t queue, uint64_t room, int fd)
{
    char question[XDPD_MESSAGE_MAX + 1];
    if (d->map >= 0)
        return map_enter(d, queue, fd);
    snprintf(question, sizeof question, XDPD_BOUND ",%lu,%lu", queue, room);
    return ask(d, question, -1, XDPD_BOUND_OK, XDPD_BOUND_NAK, NULL);
}

int xdpd_bound_again(struct xdpd *d, uint64_t queue, uint64_t room, int fd)
{
    char question[XDPD_MESSAGE_MAX + 1];
    snprintf(question, sizeof question, XDPD_BOUND ",%lu,%lu", queue, room);
    return ask(d, question, fd, XDPD_BOUND_OK, XDPD_BOUND_NAK, NULL);
}

int xdpd_port(struct xdpd *d, int operation, const struct port_key *key)
{
    char question[XDPD_MESSAGE_MAX + 1], address[INET6_ADDRSTRLEN];
    const struct ip_address *a = &key->address;
    if (d->map >= 0)
        return 0;
    const uint64_t words[2] = {htobe64(a->high), htobe64(a->low)};
    bool four = address_is_four(*a);
    inet_ntop(four ? AF_INET : AF_INET6, (const uint8_t *)words + (four ? 12 : 0), address,
              sizeof address);
    snprintf(question, sizeof question, "%s,%s,%u",
             operation == PORT_ADD ? XDPD_PORT_ADD : XDPD_PORT_DEL, address, (uint16_t)key->port);
    int proof = operation == PORT_ADD && key->socket <= INT32_MAX ? (int)key->socket : -1;
    return ask(d, question, proof, XDPD_PORT_OK, XDPD_PORT_NAK, NULL);
}

/* ---- finding or starting it ---- */

/* One question over a socket that nobody else uses yet. 0 or -errno; `answer` is what came. */
static int converse(int socket, const char *question, char answer[XDPD_MESSAGE_MAX + 1], int *fd,
                    int timeout_ms)
{
    *fd = -1;
    int error = pass_send(socket, question, strlen(question), -1);
    return error ? error : receive(socket, answer, fd, timeout_ms);
}

/* The same, of an answer that brings no descriptor. */
static int converse_plain(int socket, const char *question, char answer[XDPD_MESSAGE_MAX + 1],
                          int timeout_ms)
{
    int fd;
    int error = converse(socket, question, answer, &fd, timeout_ms);
    if (fd >= 0)
        close(fd);
    return error;
}

/* The first word: an answer says that it is ready for us. A device plugin knows pods by their host name. */
static int greet(int socket, int timeout_ms)
{
    char question[XDPD_MESSAGE_MAX + 1], answer[XDPD_MESSAGE_MAX + 1], name[HOST_NAME_MAX + 1] = "";
    if (gethostname(name, sizeof name - 1) || !*name)
        strcpy(name, "rakis");
    if (snprintf(question, sizeof question, XDPD_CONNECT ",%s", name) >= (int)sizeof question)
        return -ENAMETOOLONG;
    int error = converse_plain(socket, question, answer, timeout_ms);
    if (!error && !strcmp(answer, XDPD_HOST_NAK))
        return -EKEYREJECTED;
    return !error && strcmp(answer, XDPD_HOST_OK) ? -EPROTO : error;
}

static void why_not(int error, const char *who, char *why, size_t size)
{
    if (error == -EACCES || error == -EPERM || error == -EPIPE || error == -ECONNRESET)
        snprintf(why, size, "%s does not allow this user (see its --allow-uid)", who);
    else if (error == -EKEYREJECTED)
        snprintf(why, size, "%s does not know this pod by its host name", who);
    else
        snprintf(why, size, "%s does not answer: %s", who, strerror(-error));
}

/* A socket that is connected and has said its name; -ENOENT: nobody is there; -errno. */
static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (snprintf(address.sun_path, sizeof address.sun_path, "%s", path) >=
        (int)sizeof address.sun_path)
        return -ENAMETOOLONG;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int error = 0;
    if (connect(fd, (struct sockaddr *)&address, sizeof address))
        error = errno == ENOENT || errno == ECONNREFUSED ? -ENOENT : -errno;
    else
        error = greet(fd, ANSWER_MS);
    if (!error)
        return fd;
    close(fd);
    return error;
}

/* A device plugin's map of an interface. 0 or -errno. */
static int map_ask(int socket, struct xdpd *d)
{
    char question[XDPD_MESSAGE_MAX + 1], answer[XDPD_MESSAGE_MAX + 1];
    snprintf(question, sizeof question, XDPD_MAP ",%s", d->interface);
    int error = converse(socket, question, answer, &d->map, ANSWER_MS);
    if (!error && (strcmp(answer, XDPD_FD_ACK) || d->map < 0))
        error = strcmp(answer, XDPD_FD_NAK) ? -EPROTO : -ENODEV;
    return error;
}

/* What remains of the handshake with a device plugin, which ends it. */
static int plugin_ask(int socket, struct xdpd *const *d, size_t count, const char *who, char *why,
                      size_t size)
{
    char answer[XDPD_MESSAGE_MAX + 1];
    int error = converse_plain(socket, XDPD_VERSION_REQUEST, answer, ANSWER_MS);
    if (error) {
        why_not(error, who, why, size);
    } else if (strcmp(answer, XDPD_VERSION)) {
        error = -EPROTO;
        snprintf(why, size, "%s speaks version '%s', not " XDPD_VERSION, who, answer);
    }
    for (size_t i = 0; i < count && !error; i++) {
        error = map_ask(socket, d[i]);
        if (error == -ENODEV)
            snprintf(why, size, "%s has no interface %s for us", who, d[i]->interface);
        else if (error)
            why_not(error, who, why, size);
    }
    if (!error && (converse_plain(socket, XDPD_FIN, answer, STOP_MS) || strcmp(answer, XDPD_FIN_ACK)))
        snprintf(why, size, "%s does not end the handshake", who); /* we have what we want */
    close(socket);
    for (size_t i = 0; i < count && error; i++)
        if (d[i]->map >= 0) {
            close(d[i]->map);
            d[i]->map = -1;
        }
    return error;
}

static void clear(struct xdpd *d)
{
    pthread_mutex_init(&d->lock, NULL);
    d->socket = d->child = d->map = -1;
}

int xdpd_find_at(struct xdpd *const *d, size_t count, const char *path, char *why, size_t size)
{
    char who[sizeof((struct sockaddr_un *)0)->sun_path + 16], answer[XDPD_MESSAGE_MAX + 1];
    snprintf(who, sizeof who, "who listens at %s", path);
    for (size_t i = 0; i < count; i++)
        clear(d[i]);
    int fd = connect_to(path);
    if (fd == -ENOENT)
        snprintf(why, size, "nobody listens at %s", path);
    else if (fd < 0)
        why_not(fd, who, why, size);
    if (fd < 0)
        return -1;
    if (converse_plain(fd, XDPD_PORTS_REQUEST, answer, ANSWER_MS) || strcmp(answer, XDPD_PORTS))
        return plugin_ask(fd, d, count, who, why, size) ? -1 : 0;
    if (count == 1) {
        d[0]->socket = fd;
        strcpy(d[0]->path, path);
        return 0;
    }
    close(fd);
    snprintf(why, size, "a rakis-xdpd listens at %s, which serves one interface only", path);
    return -1;
}

/* Whoever may write to /tmp could listen where a device plugin does. */
static bool trusted(const char *path)
{
    struct stat there;
    return !lstat(path, &there) && S_ISSOCK(there.st_mode) &&
           (there.st_uid == 0 || there.st_uid == geteuid());
}

int xdpd_find(struct xdpd *d, char *why, size_t size)
{
    struct stat namespace;
    char who[64];
    clear(d);
    if (stat("/proc/self/ns/net", &namespace))
        return -ENOENT;
    snprintf(d->path, sizeof d->path, XDPD_SOCKET_FORMAT, (unsigned long)namespace.st_ino, d->interface);
    int fd = connect_to(d->path);
    if (fd >= 0) {
        d->socket = fd;
        return 0;
    }
    /* One that was about to end when we came. */
    if ((fd == -EPIPE || fd == -ECONNRESET) && access(d->path, F_OK))
        fd = -ENOENT;
    snprintf(who, sizeof who, "the rakis-xdpd of %s", d->interface);
    if (fd != -ENOENT)
        why_not(fd, who, why, size);
    return fd;
}

bool xdpd_return(struct xdpd *d)
{
    char answer[XDPD_MESSAGE_MAX + 1];
    int fd = connect_to(d->path);
    if (fd < 0)
        return false;
    bool ours = !converse_plain(fd, XDPD_PORTS_REQUEST, answer, ANSWER_MS) && !strcmp(answer, XDPD_PORTS);
    if (!ours) {
        close(fd);
        return false;
    }
    pthread_mutex_lock(&d->lock);
    d->socket = fd;
    d->lost = false;
    pthread_mutex_unlock(&d->lock);
    return true;
}

bool xdpd_plugin(const char *interface, char *path, size_t size)
{
    snprintf(path, size, XDPD_PLUGIN_FORMAT, interface);
    return trusted(path);
}

/* It serves one connection in its life: nobody asks it who does not mean to use it. */
static int plugin_find(struct xdpd *d, char *why, size_t size)
{
    char path[sizeof((struct sockaddr_un *)0)->sun_path], who[64];
    if (!xdpd_plugin(d->interface, path, sizeof path))
        return -ENOENT;
    snprintf(who, sizeof who, "the device plugin of %s", d->interface);
    int fd = connect_to(path);
    if (fd >= 0)
        return plugin_ask(fd, &d, 1, who, why, size);
    if (fd != -ENOENT)
        why_not(fd, who, why, size);
    return fd;
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
        error = greet(d->socket, START_MS);
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
    int error = xdpd_find(d, why, size);
    if (error == -ENOENT)
        error = plugin_find(d, why, size);
    if (error == -ENOENT)
        error = start(d, why, size);
    return error ? -1 : 0;
}

void xdpd_stop(struct xdpd *d)
{
    pthread_mutex_lock(&d->lock);
    if (d->socket >= 0) {
        char message[XDPD_MESSAGE_MAX + 1];
        /* The answer tells that our ports and XSKs are out of the maps, and the program off the
         * interface if we were the last client. One that we started serves others if there are any. */
        if (converse_plain(d->socket, XDPD_FIN, message, STOP_MS) && d->child >= 0)
            child_end(d);
        close(d->socket);
        d->socket = -1;
    }
    if (d->child >= 0)
        close(d->child);
    d->child = -1;
    if (d->map >= 0)
        close(d->map);
    d->map = -1;
    pthread_mutex_unlock(&d->lock);
}
