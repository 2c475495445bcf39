/* SPDX-License-Identifier: Apache-2.0 */
/* AF_XDP sockets: the daemon makes them, we give them memory of the arena and a queue. */
#include "host/xsk.h"

#include <errno.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "host/host.h"
#include "host/plain_syscall.h"
#include "host/xdpd_client.h"

#define XSKS_MAX 256
#define BUSY_MS 200
#define KICK_CALLS 8 /* for one exit */
#define FLUSH_MAX 256 /* system calls for one XSK in one look: 32 packets each */

struct xsk_host {
    int fd;
    struct xdpd *daemon;
    uint64_t queue, room; /* as it was entered */
    const uint32_t *tx_producer, *tx_consumer; /* in the arena */
    uint32_t busy_poll; /* microseconds that who uses it polls its driver for: rakis-xdpd --busy-poll */
    _Atomic uint64_t busy_polls; /* how often that was done */
    uint32_t served; /* the TX consumer index, as the thread that polls last saw it */
    _Atomic bool kicked; /* since the monitor last looked */
};

static struct {
    struct xdpd daemons[INTERFACES_MAX];
    size_t daemon_count;

    pthread_mutex_t steering; /* guards ports; taken before a daemon's */
    struct port_key *ports;   /* that are steered, or would be if the daemons were there */
    size_t port_count, port_space;

    pthread_mutex_t lock; /* of opening */
    struct xsk_host xsks[XSKS_MAX];
    _Atomic size_t xsk_count; /* entries below it do not change */
} all = {.steering = PTHREAD_MUTEX_INITIALIZER, .lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- daemons ---- */

static int interface_check(const char *name, unsigned *index)
{
    struct ifreq request = {0};
    *index = strlen(name) < IF_NAMESIZE ? if_nametoindex(name) : 0;
    if (!*index) {
        fprintf(stderr, "rakis: no interface '%s': see ip link for those there are\n", name);
        return -1;
    }
    strcpy(request.ifr_name, name);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int failed = fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request);
    int error = errno;
    if (fd >= 0)
        close(fd);
    if (failed) {
        fprintf(stderr, "rakis: cannot ask about interface '%s': %s\n", name, strerror(error));
        return -1;
    }
    if (!(request.ifr_flags & IFF_UP)) {
        fprintf(stderr, "rakis: interface '%s' is down: bring it up (ip link set %s up)\n", name,
                name);
        return -1;
    }
    return 0;
}

/* By those who serve where we are told. */
static void daemons_at(const char *path, size_t count)
{
    struct xdpd *each[INTERFACES_MAX];
    char why[600] = "";
    for (size_t i = 0; i < count; i++)
        each[i] = &all.daemons[i];
    if (xdpd_find_at(each, count, path, why, sizeof why))
        fprintf(stderr, "rakis: UDP goes over host sockets: %s\n", why);
    else
        all.daemon_count = count;
}

/* By those who serve where they usually do, or that we start. */
static void daemons_start(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char why[600] = "";
        struct xdpd *d = &all.daemons[all.daemon_count];
        *d = all.daemons[i];
        if (xdpd_start(d, why, sizeof why))
            fprintf(stderr, "rakis: UDP goes over host sockets: %s\n", why);
        else
            all.daemon_count++;
    }
}

static int daemon_returned(struct xdpd *d);

int xsk_host_start(const char *const *names, const struct queue_range *queues, size_t count,
                   const char *path)
{
    if (count > INTERFACES_MAX) {
        fprintf(stderr, "rakis: at most %d interfaces\n", INTERFACES_MAX);
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        struct xdpd *d = &all.daemons[i];
        *d = (struct xdpd){.queues = 0};
        if (interface_check(names[i], &d->index))
            return -1;
        strcpy(d->interface, names[i]);
        if (queues) {
            d->first_queue = queues[i].first;
            d->queues = queues[i].count;
        }
    }
    if (path && count)
        daemons_at(path, count);
    else
        daemons_start(count);
    int error = xdpd_watch_start(all.daemons, all.daemon_count, daemon_returned);
    if (error)
        fprintf(stderr, "rakis: cannot watch rakis-xdpd: %s\n", strerror(-error));
    return all.daemon_count > 0;
}

void xsk_host_stop(void)
{
    monitor_stop();
    xdpd_watch_stop();
    /* Threads of the enclave may still be about: what they ask finds the daemons gone, and the file
     * descriptors of the XSKs close with the process. */
    for (size_t i = 0; i < all.daemon_count; i++)
        xdpd_stop(&all.daemons[i]);
}

void xsk_host_forked(void)
{
    monitor_forked();
    xdpd_watch_forked();
    for (size_t i = 0; i < all.daemon_count; i++) {
        if (all.daemons[i].socket >= 0)
            close(all.daemons[i].socket);
        if (all.daemons[i].map >= 0)
            close(all.daemons[i].map);
    }
    all.daemon_count = all.port_count = 0;
    pthread_mutex_init(&all.steering, NULL);
    atomic_store(&all.xsk_count, 0); /* the enclave closes their descriptors */
}

static struct xdpd *daemon_of(uint64_t interface_index)
{
    for (size_t i = 0; i < all.daemon_count; i++)
        if (all.daemons[i].index == interface_index)
            return &all.daemons[i];
    return NULL;
}

uint64_t xsk_host_queues(uint64_t interface_index, uint64_t there)
{
    const struct xdpd *d = daemon_of(interface_index);
    if (!d || !d->queues)
        return there;
    uint64_t left = there > d->first_queue ? there - d->first_queue : 1; /* there is one, or a message */
    return left < d->queues ? left : d->queues;
}

uint64_t xsk_host_queue(uint64_t interface_index, uint64_t queue)
{
    const struct xdpd *d = daemon_of(interface_index);
    return d ? d->first_queue + queue : queue;
}

bool xsk_host_takes_all(uint64_t interface_index)
{
    const struct xdpd *d = daemon_of(interface_index);
    return d && d->map >= 0;
}

/* Its XSKs take what is steered to them; one that has none, or is gone for good, steers nothing. One that is lost will
 * be told when it is back. */
static int steer(struct xdpd *d, int operation, const struct port_key *key)
{
    if (!__atomic_load_n(&d->xsks, __ATOMIC_ACQUIRE))
        return -EPIPE;
    int error = xdpd_port(d, operation, key);
    return error == -EPIPE && d->lost ? 0 : error;
}

static int steer_all(int operation, const struct port_key *key)
{
    int result = -EPIPE;
    for (size_t i = 0; i < all.daemon_count; i++) {
        int error = steer(&all.daemons[i], operation, key);
        if (error == -EPIPE)
            continue;
        if (!error || operation == PORT_REMOVE) {
            result = result == -EPIPE ? error : result;
            continue;
        }
        /* On all interfaces or on none. */
        while (i-- > 0)
            steer(&all.daemons[i], PORT_REMOVE, key);
        return error;
    }
    return result;
}

/* With the lock. False: no memory. */
static bool port_room(void)
{
    if (all.port_count < all.port_space)
        return true;
    size_t space = all.port_space ? 2 * all.port_space : 64;
    struct port_key *ports = reallocarray(all.ports, space, sizeof *ports);
    if (!ports)
        return false;
    all.ports = ports;
    all.port_space = space;
    return true;
}

static void port_forget(const struct port_key *key)
{
    for (size_t i = all.port_count; i-- > 0;) {
        const struct port_key *known = &all.ports[i];
        if (known->port != key->port || known->address.high != key->address.high ||
            known->address.low != key->address.low)
            continue;
        all.ports[i] = all.ports[--all.port_count];
        return;
    }
}

int port_steer(int operation, const struct port_key *key)
{
    if ((operation != PORT_ADD && operation != PORT_REMOVE) || !key->port || key->port > UINT16_MAX)
        return -EINVAL;
    pthread_mutex_lock(&all.steering);
    int error = operation == PORT_ADD && !port_room() ? -ENOMEM : steer_all(operation, key);
    if (operation == PORT_REMOVE)
        port_forget(key);
    else if (!error)
        all.ports[all.port_count++] = *key;
    pthread_mutex_unlock(&all.steering);
    return error;
}

/* Another daemon is at the place of one that was lost: it is told of our XSKs and ports. */
static int daemon_returned(struct xdpd *d)
{
    int error = 0;
    pthread_mutex_lock(&all.steering);
    size_t xsks = atomic_load(&all.xsk_count);
    for (size_t i = 0; i < xsks && !error; i++)
        if (all.xsks[i].daemon == d)
            error = xdpd_bound_again(d, all.xsks[i].queue, all.xsks[i].room, all.xsks[i].fd);
    for (size_t i = 0; i < all.port_count && !error; i++)
        error = xdpd_port(d, PORT_ADD, &all.ports[i]);
    pthread_mutex_unlock(&all.steering);
    return error;
}

/* ---- one XSK ---- */

/* struct xdp_umem_reg since Linux 6.8; the headers of Debian 12 are older. */
struct umem_reg {
    uint64_t addr, len;
    uint32_t chunk_size, headroom, flags, tx_metadata_len;
};

#define UMEM_TX_METADATA_LEN (1u << 2)

/* With room for metadata before the frames that are sent, where the kernel has that. */
static int umem_register(int fd, struct xsk_setup *s)
{
    struct umem_reg umem = {.addr = (uint64_t)(host.arena + s->umem_offset),
                            .len = s->umem_size,
                            .chunk_size = (uint32_t)s->frame_size,
                            .headroom = (uint32_t)s->headroom,
                            .flags = UMEM_TX_METADATA_LEN,
                            .tx_metadata_len = sizeof(struct xsk_metadata)};
    s->checksums = 1;
    if (!setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &umem, sizeof umem))
        return 0;
    if (errno != EINVAL)
        return -errno;
    s->checksums = 0;
    umem.flags = umem.tx_metadata_len = 0;
    return setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &umem, sizeof umem) ? -errno : 0;
}

/* The packet buffers are locked in memory. */
static int umem_make(int fd, struct xsk_setup *s, const struct xdpd *d)
{
    struct rlimit limit = {0};
    int error = umem_register(fd, s);
    if ((error != -ENOBUFS && error != -ENOMEM) || getrlimit(RLIMIT_MEMLOCK, &limit))
        return error;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (!setrlimit(RLIMIT_MEMLOCK, &limit))
            error = umem_register(fd, s);
    }
    if (error)
        fprintf(stderr,
                "rakis: cannot lock %lu KiB for the packet buffers of %s: RLIMIT_MEMLOCK is %lu "
                "KiB; raise it (ulimit -l) or run with CAP_IPC_LOCK; UDP goes over host sockets\n",
                s->umem_size / 1024, d->interface, (unsigned long)limit.rlim_cur / 1024);
    return error;
}

static const struct {
    int option;
    uint64_t map; /* offset for mmap */
    size_t entry;
} rings[XSK_RINGS] = {
    [XSK_RING_FILL] = {XDP_UMEM_FILL_RING, XDP_UMEM_PGOFF_FILL_RING, sizeof(uint64_t)},
    [XSK_RING_COMPLETION] = {XDP_UMEM_COMPLETION_RING, XDP_UMEM_PGOFF_COMPLETION_RING,
                             sizeof(uint64_t)},
    [XSK_RING_RX] = {XDP_RX_RING, XDP_PGOFF_RX_RING, sizeof(struct xdp_desc)},
    [XSK_RING_TX] = {XDP_TX_RING, XDP_PGOFF_TX_RING, sizeof(struct xdp_desc)},
};

/* Plain memory again where rings were mapped. */
static void rings_unmap(const struct xsk_setup *s, int count)
{
    for (int i = 0; i < count; i++)
        mmap(host.arena + s->ring_offset[i], s->ring_space[i], PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

static int ring_map(int fd, struct xsk_setup *s, int i, const struct xdp_ring_offset *at)
{
    uint64_t length = at->desc + s->entries[i] * rings[i].entry;
    if (length > s->ring_space[i])
        return -EMSGSIZE;
    void *ring = mmap(host.arena + s->ring_offset[i], length, PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, (off_t)rings[i].map);
    if (ring == MAP_FAILED)
        return -errno;
    s->layout[i] = (struct xsk_ring_layout){.producer = at->producer,
                                            .consumer = at->consumer,
                                            .flags = at->flags,
                                            .descriptors = at->desc};
    return 0;
}

static int rings_make(int fd, struct xsk_setup *s)
{
    struct xdp_mmap_offsets offsets;
    socklen_t size = sizeof offsets;
    for (int i = 0; i < XSK_RINGS; i++) {
        uint32_t entries = (uint32_t)s->entries[i];
        if (setsockopt(fd, SOL_XDP, rings[i].option, &entries, sizeof entries))
            return -errno;
    }
    if (getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &size))
        return -errno;
    if (size != sizeof offsets)
        return -EOPNOTSUPP; /* a kernel before 5.4 */
    const struct xdp_ring_offset *at[XSK_RINGS] = {
        [XSK_RING_FILL] = &offsets.fr,
        [XSK_RING_COMPLETION] = &offsets.cr,
        [XSK_RING_RX] = &offsets.rx,
        [XSK_RING_TX] = &offsets.tx,
    };
    for (int i = 0; i < XSK_RINGS; i++) {
        int error = ring_map(fd, s, i, at[i]);
        if (error) {
            rings_unmap(s, i);
            return error;
        }
    }
    return 0;
}

/* Of a frame, for what is received. */
static uint64_t room_of(const struct xsk_setup *s)
{
    return s->frame_size - s->headroom - XSK_HEADROOM_KERNEL;
}

static int queue_bind(int fd, struct xsk_setup *s, struct xdpd *d, uint64_t queue)
{
    const struct sockaddr_xdp address = {.sxdp_family = AF_XDP,
                                         .sxdp_flags = XDP_USE_NEED_WAKEUP,
                                         .sxdp_ifindex = d->index,
                                         .sxdp_queue_id = (uint32_t)queue};
    struct xdp_options options = {0};
    socklen_t size = sizeof options;
    /* The kernel lets go of a queue some time after its last XSK has closed. */
    int error = -EBUSY;
    for (int ms = 0; ms < BUSY_MS && error == -EBUSY; ms++) {
        if (ms)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        error = bind(fd, (const struct sockaddr *)&address, sizeof address) ? -errno : 0;
    }
    if (error)
        return error;
    getsockopt(fd, SOL_XDP, XDP_OPTIONS, &options, &size);
    s->alone = d->map >= 0;
    s->zerocopy = options.flags & XDP_OPTIONS_ZEROCOPY ? 1 : 0;
    /* In copy mode the stack sees to the checksum whatever the card can do; else the driver may not. */
    s->checksums = s->checksums && !s->zerocopy;
    return xdpd_bound(d, queue, room_of(s), fd);
}

static bool setup_sane(const struct xsk_setup *s)
{
    bool sane = arena_pages(s->umem_offset, s->umem_size) && s->queue <= UINT32_MAX &&
                s->frame_size <= UINT32_MAX && s->headroom <= UINT32_MAX &&
                s->headroom + XSK_HEADROOM_KERNEL < s->frame_size;
    for (int i = 0; i < XSK_RINGS; i++)
        sane = sane && arena_pages(s->ring_offset[i], s->ring_space[i]) &&
               s->entries[i] <= 1u << 24;
    return sane;
}

static int setup_make(int fd, struct xsk_setup *s, struct xdpd *d)
{
    uint64_t queue = d->first_queue + s->queue;
    int error = umem_make(fd, s, d);
    if (error)
        return error;
    error = rings_make(fd, s);
    if (!error && (error = queue_bind(fd, s, d, queue)))
        rings_unmap(s, XSK_RINGS);
    if (error == -EBUSY)
        fprintf(stderr, "rakis: queue %lu of %s is in use: UDP that comes by it goes over host sockets\n", queue,
                d->interface);
    else if (error)
        fprintf(stderr, "rakis: cannot use queue %lu of %s: %s; UDP goes over host sockets\n",
                queue, d->interface, strerror(-error));
    return error;
}

static uint32_t busy_poll_of(int fd)
{
    int us = 0;
    socklen_t size = sizeof us;
    return !getsockopt(fd, SOL_SOCKET, SO_BUSY_POLL, &us, &size) && us > 0 ? (uint32_t)us : 0;
}

int64_t xsk_host_open(struct xsk_setup *setup)
{
    struct xdpd *d = daemon_of(setup->interface_index);
    int fd = -1;
    if (!d)
        return -ENODEV;
    if (!setup_sane(setup))
        return -EINVAL;
    pthread_mutex_lock(&all.lock);
    size_t count = atomic_load(&all.xsk_count);
    int error = count == XSKS_MAX ? -ENFILE : monitor_start();
    if (!error)
        error = xdpd_xsk(d, d->first_queue + setup->queue, &fd);
    if (error == -ETOOMANYREFS)
        fprintf(stderr,
                "rakis: rakis-xdpd cannot pass a socket for %s: too many descriptors of its user are "
                "on their way (its RLIMIT_NOFILE counts); UDP goes over host sockets\n",
                d->interface);
    if (!error)
        error = setup_make(fd, setup, d);
    if (error && fd >= 0)
        close(fd);
    if (!error) {
        const uint8_t *tx = host.arena + setup->ring_offset[XSK_RING_TX];
        const struct xsk_ring_layout *layout = &setup->layout[XSK_RING_TX];
        struct xsk_host *x = &all.xsks[count];
        x->fd = fd;
        x->daemon = d;
        x->queue = d->first_queue + setup->queue;
        x->room = room_of(setup);
        x->busy_poll = busy_poll_of(fd);
        x->tx_producer = (const uint32_t *)(tx + layout->producer);
        x->tx_consumer = (const uint32_t *)(tx + layout->consumer);
        setup->index = count;
        atomic_store(&all.xsk_count, count + 1);
        __atomic_fetch_add(&d->xsks, 1, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&all.lock);
    return error ? error : fd;
}

/* ---- transmitting ---- */

static int transmit(int fd)
{
    const uint64_t argument[EXIT_ARGUMENTS] = {(uint64_t)fd, 0, 0, MSG_DONTWAIT | MSG_NOSIGNAL};
    int64_t result = plain_syscall(SYS_sendto, argument);
    return result >= 0 ? 0 : result == -EBUSY || result == -ENOBUFS ? -EAGAIN : (int)result;
}

static bool transmit_left(const struct xsk_host *x)
{
    return __atomic_load_n(x->tx_producer, __ATOMIC_RELAXED) !=
           __atomic_load_n(x->tx_consumer, __ATOMIC_RELAXED);
}

int64_t xsk_host_kick(uint64_t index, bool alone)
{
    if (index >= atomic_load(&all.xsk_count))
        return -EINVAL;
    /* In copy mode the kernel takes 32 packets a call: go on here rather than by another exit. */
    struct xsk_host *x = &all.xsks[index];
    int result = -EAGAIN;
    uint64_t began = __rdtsc();
    atomic_store(&x->kicked, true);
    for (int n = 0; n < KICK_CALLS && result == -EAGAIN && transmit_left(x); n++)
        result = transmit(x->fd);
    if (!alone || transmit_left(x))
        monitor_armed(__rdtsc() - began);
    return result == -EAGAIN && !transmit_left(x) ? 0 : result;
}

void xsk_host_kick_all(void)
{
    size_t count = atomic_load(&all.xsk_count);
    for (size_t i = 0; i < count; i++)
        if (transmit_left(&all.xsks[i]))
            xsk_host_kick(i, false);
}

void xsk_host_drive(const struct pollfd *p, size_t count)
{
    size_t xsks = atomic_load(&all.xsk_count);
    for (size_t i = 0; i < xsks; i++)
        for (size_t j = 0; all.xsks[i].busy_poll && j < count; j++)
            if (p[j].fd == all.xsks[i].fd) {
                (void)recvfrom(p[j].fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
                atomic_fetch_add_explicit(&all.xsks[i].busy_polls, 1, memory_order_relaxed);
            }
}

uint32_t xsk_host_busy_poll(uint64_t index, uint64_t *times)
{
    bool there = index < atomic_load(&all.xsk_count);
    *times = there ? atomic_load(&all.xsks[index].busy_polls) : 0;
    return there ? all.xsks[index].busy_poll : 0;
}

size_t xsk_host_pollfds(uint64_t xsks, struct pollfd out[64])
{
    size_t count = atomic_load(&all.xsk_count), n = 0;
    for (size_t i = 0; i < count && i < 64; i++)
        if (xsks >> i & 1)
            out[n++] = (struct pollfd){.fd = all.xsks[i].fd, .events = POLLIN};
    return n;
}

bool xsk_host_losses(uint64_t index, struct xsk_losses *out)
{
    struct xdp_statistics s = {0};
    socklen_t size = sizeof s;
    if (index >= atomic_load(&all.xsk_count) || getsockopt(all.xsks[index].fd, SOL_XDP, XDP_STATISTICS, &s, &size))
        return false;
    *out = (struct xsk_losses){
        .no_frame = s.rx_dropped, .ring_full = s.rx_ring_full, .invalid = s.rx_invalid_descs + s.tx_invalid_descs};
    return true;
}

bool xsk_host_serve(void)
{
    bool any = false;
    size_t count = atomic_load(&all.xsk_count);
    for (size_t i = 0; i < count; i++) {
        struct xsk_host *x = &all.xsks[i];
        if (transmit_left(x))
            (void)transmit(x->fd);
        uint32_t sent = __atomic_load_n(x->tx_consumer, __ATOMIC_RELAXED);
        any |= sent != x->served;
        x->served = sent;
    }
    return any;
}

uint32_t xsk_host_sent(void)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < atomic_load(&all.xsk_count); i++)
        sum += __atomic_load_n(all.xsks[i].tx_consumer, __ATOMIC_RELAXED);
    return sum;
}

void xsk_host_flush(void)
{
    size_t count = atomic_load(&all.xsk_count);
    for (size_t i = 0; i < count; i++) {
        struct xsk_host *x = &all.xsks[i];
        int error = -EAGAIN;
        if (atomic_exchange(&x->kicked, false))
            continue; /* that took all with it, and the next one will: this would only be in its way */
        for (int n = 0; n < FLUSH_MAX && error == -EAGAIN && transmit_left(x); n++)
            error = transmit(x->fd);
    }
}
