/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rakis-xdpd: the one privileged process. It attaches the steering program to an interface, makes
 * AF_XDP sockets for its clients and steers ports to them. docs/xdpd-protocol.md says how it speaks.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/capability.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "xdp/client.h"
#include "xdp/interface.h"
#include "xdp/privilege.h"
#include "xdp/protocol.h"

#define CLIENTS_MAX STEERING_CLIENTS
#define USERS_MAX 64
#define BUSY_POLL_MOST 10000

struct options {
    const char *interface;
    const char *socket;
    enum xdp_mode mode;
    uid_t users[USERS_MAX];
    size_t user_count;
    int fd; /* the first client's, -1: listen */
    bool quiet;
    uint32_t busy_poll; /* microseconds, 0: not */
};

static struct xdpd {
    struct options options;
    struct steering steering;
    struct interface_addresses addresses;
    char path[sizeof((struct sockaddr_un *)0)->sun_path]; /* of the socket, "": none to remove */
    int signals, netlink, listener;
    struct client *clients[CLIENTS_MAX];
    size_t client_count;
    bool full; /* no file descriptor for another client: do not listen for now */
} xdpd = {.signals = -1, .netlink = -1, .listener = -1};

static const char usage[] =
    "usage: rakis-xdpd -i IFACE [options]\n"
    "Steers UDP datagrams of an interface to AF_XDP sockets of RAKIS enclaves.\n"
    "  -i, --iface IFACE     the interface\n"
    "      --socket PATH     where to listen (default " XDPD_DIRECTORY "/<netns>/<iface>.sock)\n"
    "      --xdp-mode MODE   native, skb, or auto: native where the driver can (default)\n"
    "      --busy-poll USEC  who uses an XSK polls the driver for so long, rather than interrupts\n"
    "      --allow-uid UID   let this user connect too; may be repeated\n"
    "      --fd N            serve this socket too, and end with the last client\n"
    "      --quiet           say nothing but errors\n"
    "      --version, --help\n";

static int bad_option(const char *what, const char *value)
{
    fprintf(stderr, "rakis-xdpd: %s%s%s\n%s", what, value ? ": " : "", value ? value : "", usage);
    return -1;
}

static int number_parse(const char *text, unsigned long most, unsigned long *out)
{
    char *end;
    errno = 0;
    *out = strtoul(text, &end, 10);
    return errno || *end || *text < '0' || *text > '9' || *out > most ? -1 : 0;
}

static int mode_parse(const char *text, enum xdp_mode *out)
{
    static const char *const names[] = {"auto", "native", "skb"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(text, names[i])) {
            *out = (enum xdp_mode)i;
            return 0;
        }
    return -1;
}

/* 0, 1: said what was asked for, -1 after a message. */
static int options_parse(int count, char **arguments, struct options *o)
{
    static const struct option known[] = {
        {"iface", required_argument, NULL, 'i'},   {"socket", required_argument, NULL, 's'},
        {"xdp-mode", required_argument, NULL, 'm'}, {"allow-uid", required_argument, NULL, 'u'},
        {"busy-poll", required_argument, NULL, 'b'},
        {"fd", required_argument, NULL, 'f'},      {"quiet", no_argument, NULL, 'q'},
        {"version", no_argument, NULL, 'v'},       {"help", no_argument, NULL, 'h'},
        {0},
    };
    unsigned long value;
    *o = (struct options){.fd = -1};
    for (int c; (c = getopt_long(count, arguments, "i:h", known, NULL)) != -1;) {
        switch (c) {
        case 'i':
            o->interface = optarg;
            break;
        case 's':
            o->socket = optarg;
            break;
        case 'm':
            if (mode_parse(optarg, &o->mode))
                return bad_option("no such mode", optarg);
            break;
        case 'u':
            if (number_parse(optarg, UINT32_MAX - 1, &value) || o->user_count == USERS_MAX)
                return bad_option("not a user id, or too many", optarg);
            o->users[o->user_count++] = (uid_t)value;
            break;
        case 'b':
            if (number_parse(optarg, BUSY_POLL_MOST, &value) || !value)
                return bad_option("not a number of microseconds, at most 10000", optarg);
            o->busy_poll = (uint32_t)value;
            break;
        case 'f':
            if (number_parse(optarg, 1 << 20, &value))
                return bad_option("not a file descriptor", optarg);
            o->fd = (int)value;
            break;
        case 'q':
            o->quiet = true;
            break;
        case 'v':
            printf("rakis-xdpd, protocol " XDPD_VERSION "\n");
            return 1;
        case 'h':
            fputs(usage, stdout);
            return 1;
        default:
            fputs(usage, stderr);
            return -1;
        }
    }
    if (optind < count)
        return bad_option("what is this", arguments[optind]);
    if (!o->interface)
        return bad_option("which interface", NULL);
    if (o->fd >= 0 && o->socket)
        return bad_option("--socket and --fd exclude each other", NULL);
    return 0;
}

/* Rather now than when a client asks for an XSK. 0, or -1 after a message. */
static int busy_poll_start(uint32_t us)
{
    xdpd.steering.busy_poll = us;
    if (!us)
        return 0;
    int xsk = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
    int error = xsk < 0 ? -errno : steering_xsk(&xdpd.steering, xsk);
    if (xsk >= 0)
        close(xsk);
    if (error)
        fprintf(stderr, "rakis-xdpd: the kernel takes no --busy-poll: %s\n", strerror(-error));
    return error ? -1 : 0;
}

static bool user_allowed(uid_t user)
{
    if (user == 0 || user == getuid())
        return true;
    for (size_t i = 0; i < xdpd.options.user_count; i++)
        if (xdpd.options.users[i] == user)
            return true;
    return false;
}

static unsigned number_free(void)
{
    uint64_t taken = 0;
    for (size_t i = 0; i < xdpd.client_count; i++)
        taken |= 1ull << xdpd.clients[i]->number;
    return (unsigned)__builtin_ctzll(~taken);
}

/* Take the socket of a client. False: it may not speak to us, or there is no room. */
static bool client_take(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    struct client *c = NULL;
    if (xdpd.client_count < CLIENTS_MAX &&
        !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) && user_allowed(peer.uid))
        c = client_new(fd, peer.uid, number_free());
    if (!c) {
        close(fd);
        return false;
    }
    xdpd.clients[xdpd.client_count++] = c;
    return true;
}

static void client_drop(size_t index)
{
    client_free(xdpd.clients[index], &xdpd.steering);
    xdpd.clients[index] = xdpd.clients[--xdpd.client_count];
    xdpd.full = false;
}

static void client_look(size_t index)
{
    struct client *c = xdpd.clients[index];
    enum client_state state = client_serve(c, &xdpd.steering, xdpd.options.interface);
    if (state == CLIENT_STAYS)
        return;
    /* Who hears that it is forgotten, and was the last, finds the interface as it was before. */
    if (xdpd.options.fd >= 0 && xdpd.client_count == 1)
        steering_detach(&xdpd.steering);
    if (state == CLIENT_FINISHES)
        client_finish(c, &xdpd.steering);
    client_drop(index);
}

static void clients_accept(void)
{
    int fd = accept4(xdpd.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        client_take(fd);
    else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
        xdpd.full = xdpd.client_count > 0;
}

static int path_choose(void)
{
    const struct options *o = &xdpd.options;
    struct stat namespace;
    int length;
    if (o->socket) {
        length = snprintf(xdpd.path, sizeof xdpd.path, "%s", o->socket);
    } else {
        if (stat("/proc/self/ns/net", &namespace)) {
            fprintf(stderr, "rakis-xdpd: cannot tell the network namespace: %s\n", strerror(errno));
            return -1;
        }
        length = snprintf(xdpd.path, sizeof xdpd.path, XDPD_SOCKET_FORMAT,
                          (unsigned long)namespace.st_ino, o->interface);
        mkdir(XDPD_DIRECTORY, 0755);
        char directory[sizeof xdpd.path];
        strcpy(directory, xdpd.path);
        *strrchr(directory, '/') = '\0';
        mkdir(directory, 0755);
    }
    if (length >= (int)sizeof xdpd.path) {
        fprintf(stderr, "rakis-xdpd: the path of the socket is too long\n");
        xdpd.path[0] = '\0';
        return -1;
    }
    return 0;
}

/* A socket that nobody listens on any more is left over from a daemon that was killed. */
static bool left_over(const struct sockaddr_un *address)
{
    struct stat there;
    if (lstat(address->sun_path, &there) || !S_ISSOCK(there.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    bool refused = fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) &&
                   errno == ECONNREFUSED;
    close(fd);
    return refused;
}

static int listen_failed(int error)
{
    /* One that a client started for itself can do without others. */
    if (xdpd.options.fd < 0)
        fprintf(stderr, "rakis-xdpd: cannot listen at %s: %s\n", xdpd.path, strerror(error));
    return -1;
}

static int listen_start(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (path_choose())
        return -1;
    strcpy(address.sun_path, xdpd.path);
    if (left_over(&address))
        unlink(xdpd.path);
    xdpd.listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t mask = umask(0177);
    int failed = xdpd.listener < 0 ||
                 bind(xdpd.listener, (const struct sockaddr *)&address, sizeof address);
    int error = errno;
    umask(mask);
    if (failed) {
        listen_failed(error);
        xdpd.path[0] = '\0'; /* not ours to remove */
        return -1;
    }
    /* Others may knock only if some of them are let in: who, their credentials tell. */
    if ((xdpd.options.user_count && chmod(xdpd.path, 0666)) || listen(xdpd.listener, 128))
        return listen_failed(errno);
    return 0;
}

/* What is needed from here on: making XSKs, and before Linux 5.19 changing maps that are open. */
static int privilege_drop(void)
{
    privilege_keep(1ull << CAP_NET_RAW | 1ull << CAP_BPF);
    int error = privilege_calls();
    if (error)
        fprintf(stderr, "rakis-xdpd: cannot give up system calls: %s\n", strerror(-error));
    return error;
}

/* Whoever started us and wants to know is told that clients may come: sd_notify(3). */
static void ready_tell(void)
{
    static const char ready[] = "READY=1";
    const char *where = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = where ? strlen(where) : 0;
    if (length < 2 || length >= sizeof address.sun_path || (*where != '/' && *where != '@'))
        return;
    memcpy(address.sun_path, where, length);
    if (*where == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    sendto(fd, ready, sizeof ready - 1, MSG_NOSIGNAL, (const struct sockaddr *)&address,
           (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
    close(fd);
}

static void limits_raise(void)
{
    /* Kernels before 5.11 charge BPF maps to it. */
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_MEMLOCK, &limit);
    if (!getrlimit(RLIMIT_NOFILE, &limit)) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int signals_start(void)
{
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_SETMASK, &ends, NULL) ||
        (xdpd.signals = signalfd(-1, &ends, SFD_CLOEXEC)) < 0) {
        fprintf(stderr, "rakis-xdpd: cannot wait for signals: %s\n", strerror(errno));
        return -1;
    }
    return 0;
}

static int start(void)
{
    const struct options *o = &xdpd.options;
    unsigned index = if_nametoindex(o->interface);
    if (!index) {
        fprintf(stderr, "rakis-xdpd: no interface '%s': %s\n", o->interface, strerror(errno));
        return -1;
    }
    limits_raise();
    if (signals_start())
        return -1;
    bool carrier = interface_has_carrier(o->interface);
    if (steering_start(&xdpd.steering, o->interface, index, o->mode))
        return -1;
    if (busy_poll_start(o->busy_poll))
        return -1;
    if (carrier)
        interface_wait_carrier(o->interface);
    xdpd.netlink = interface_watch();
    if (xdpd.netlink < 0 || interface_ask(xdpd.netlink, index)) {
        fprintf(stderr, "rakis-xdpd: cannot ask for the addresses of %s: %s\n", o->interface,
                strerror(errno));
        return -1;
    }
    xdpd.addresses.asked = true;
    interface_mac(o->interface, &xdpd.steering);
    while (xdpd.addresses.asked) {
        struct pollfd wait = {.fd = xdpd.netlink, .events = POLLIN};
        if (poll(&wait, 1, 2000) != 1 ||
            !interface_follow(xdpd.netlink, &xdpd.addresses, &xdpd.steering)) {
            fprintf(stderr, "rakis-xdpd: no answer about the addresses of %s\n", o->interface);
            return -1;
        }
    }
    if (listen_start()) {
        if (o->fd < 0)
            return -1;
        if (xdpd.listener >= 0)
            close(xdpd.listener);
        xdpd.listener = -1;
    }
    if (o->fd >= 0 && !client_take(o->fd)) {
        fprintf(stderr, "rakis-xdpd: file descriptor %d is no socket of an allowed user\n", o->fd);
        return -1;
    }
    ready_tell();
    return privilege_drop();
}

/* Until told to end, or the interface goes, or the last client of one that a client started. */
static int serve(void)
{
    for (;;) {
        struct pollfd wait[3 + CLIENTS_MAX] = {
            {.fd = xdpd.signals, .events = POLLIN},
            {.fd = xdpd.netlink, .events = POLLIN},
            {.fd = xdpd.full ? -1 : xdpd.listener, .events = POLLIN},
        };
        size_t clients = xdpd.client_count;
        for (size_t i = 0; i < clients; i++)
            wait[3 + i] = (struct pollfd){.fd = xdpd.clients[i]->socket, .events = POLLIN};
        if (poll(wait, 3 + clients, -1) < 0)
            continue;
        if (wait[0].revents)
            return 0;
        if (wait[1].revents &&
            !interface_follow(xdpd.netlink, &xdpd.addresses, &xdpd.steering)) {
            fprintf(stderr, "rakis-xdpd: interface %s is gone\n", xdpd.options.interface);
            return -1;
        }
        /* From the last: dropping one moves another, which has been looked at, to its place. */
        for (size_t i = clients; i-- > 0;)
            if (wait[3 + i].revents)
                client_look(i);
        if (xdpd.options.fd >= 0 && !xdpd.client_count)
            return 0;
        if (wait[2].revents)
            clients_accept();
    }
}

static void stop(void)
{
    while (xdpd.client_count)
        client_drop(xdpd.client_count - 1);
    if (xdpd.path[0]) {
        unlink(xdpd.path);
        if (!xdpd.options.socket) {
            *strrchr(xdpd.path, '/') = '\0';
            rmdir(xdpd.path); /* unless other interfaces have theirs there */
        }
    }
    steering_stop(&xdpd.steering);
    free(xdpd.addresses.address);
}

int main(int count, char **arguments)
{
    xdpd.steering.link = xdpd.steering.maker = -1;
    int parsed = options_parse(count, arguments, &xdpd.options);
    if (parsed)
        return parsed < 0 ? 2 : 0;
    int failed = start();
    if (!failed) {
        if (!xdpd.options.quiet)
            fprintf(stderr, "rakis-xdpd: attached to %s in %s mode, ready%s%s\n",
                    xdpd.options.interface,
                    xdpd.steering.mode == XDP_MODE_NATIVE ? "native" : "skb",
                    xdpd.path[0] ? " at " : "", xdpd.path);
        failed = serve();
    }
    stop();
    return failed ? 1 : 0;
}
