/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The UDP/IP stack with sockets open, by the system calls that a program makes, while packets, other answers
 * of the host and its clock come as the input says. Payloads that the fuzzer makes name themselves, so that
 * what is received can be told to be whole, unchanged between two looks, and for who receives it.
 */
#include "fuzz/input.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <linux/sockios.h>

#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/user.h"
#include "enclave/lib/lib.h"
#include "enclave/net/bytes.h"
#include "enclave/net/checksum.h"
#include "enclave/net/net.h"
#include "enclave/net/udp.h"
#include "enclave/os/file.h"
#include "enclave/os/files.h"
#include "enclave/os/local.h"
#include "enclave/os/syscall_files.h"
#include "enclave/os/time.h"
#include "enclave/os/udp_socket.h"
#include "tests/unit/net_world.h"

#define SOCKETS WORLD_HOST_SOCKETS
#define PAYLOADS 512
#define NAME 0xf0220000u
#define PAYLOAD_MAX 1472u
#define ROOM_MAX 4096u
#define MESSAGES 6

static struct input *input;

#define CALL(name) int64_t sys_##name(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t)
CALL(bind);
CALL(connect);
CALL(getsockopt);
CALL(recvmmsg);
CALL(recvmsg);
CALL(sendmsg);
CALL(setsockopt);
CALL(shutdown);

/* ---- what os/socket.c stands on besides the world ---- */

static struct file *file[SOCKETS];

struct file *file_get(int fd)
{
    struct file *f = fd >= 0 && fd < SOCKETS ? file[fd] : NULL;
    if (f)
        f->references++;
    return f;
}

int64_t iovecs_take(struct iovecs *v, uint64_t user, uint64_t count)
{
    uint64_t total = 0;
    v->v = calloc(count ? count : 1, sizeof *v->v);
    v->count = (int)count;
    memcpy(v->v, (const void *)user, count * sizeof *v->v);
    for (uint64_t i = 0; i < count; i++)
        total += v->v[i].iov_len;
    return (int64_t)total;
}

int64_t iovecs_one(struct iovecs *v, uint64_t user, uint64_t length)
{
    const struct iovec one = {(void *)user, length};
    return iovecs_take(v, (uint64_t)&one, 1);
}

void iovecs_drop(struct iovecs *v)
{
    free(v->v);
}

uint64_t time_monotonic_ns(void)
{
    return fuzz_tsc;
}

const struct file_ops host_socket_ops = {.name = "socket"};

#define NEVER(...)                                                                                 \
    {                                                                                              \
        REQUIRE(!"of another kind of file");                                                       \
        return __VA_ARGS__;                                                                        \
    }

int host_socket(int family, int type, int protocol) NEVER((void)family, (void)type, (void)protocol, -1)
int host_socketpair(int fds[2], int family, int type, int protocol)
    NEVER((void)fds, (void)family, (void)type, (void)protocol, -1)
int host_attach_filter(int fd, int name, const void *instructions, uint16_t count)
    NEVER((void)fd, (void)name, (void)instructions, (void)count, -1)
int64_t host_socket_discard(struct file *f, uint64_t length, int flags)
    NEVER((void)f, (void)length, (void)flags, -1)
int64_t host_socket_receive(struct file *f, const struct iovec *v, int count, int flags)
    NEVER((void)f, (void)v, (void)count, (void)flags, -1)
int64_t file_install_or_put(struct file *f, int flags) NEVER((void)f, (void)flags, -1)
int files_install_pair(struct file *a, struct file *b, int flags, int fds[2], uint64_t user)
    NEVER((void)a, (void)b, (void)flags, (void)fds, (void)user, -1)
struct file *host_file_adopt(int host_fd) NEVER((void)host_fd, NULL)
int file_install(struct file *f, int from, bool close_on_exec)
    NEVER((void)f, (void)from, (void)close_on_exec, -1)
void file_hold(struct file *f) NEVER((void)f)
bool local_wanted(void) NEVER(false)
int local_pair(int type, int flags, struct file *ends[2]) NEVER((void)type, (void)flags, (void)ends, -1)
int host_fd_of(struct file *f)
{
    return f->host_fd;
}
int file_cache_surrender(struct file *f);
int file_cache_surrender(struct file *f)
{
    (void)f;
    return 0;
}

/* ---- the model ---- */

/* A payload that the fuzzer has made. */
struct made {
    uint32_t length;
    uint16_t source_port;
    struct ip_address source;
    bool odd;      /* its packet was changed: anything may become of it */
    bool received; /* not only looked at */
    bool by_host;
};

static struct {
    struct made made[PAYLOADS];
    uint32_t count;
    uint64_t delivered; /* packets that the XSK has got */
    struct udp_name name[SOCKETS], before[SOCKETS];
    uint32_t tail[SOCKETS];
    uint64_t queued;          /* by sockets that are closed */
    uint8_t peeked[SOCKETS][ROOM_MAX];
    int64_t peeks[SOCKETS]; /* bytes there, -1: none */
} model;

static struct udp_endpoint *endpoint_of(int i)
{
    return &socket_of(file[i])->endpoint;
}

static uint8_t pattern(uint32_t name, uint32_t at)
{
    return at < 4 ? (uint8_t)(name >> 8 * at) : (uint8_t)(name * 31 + at);
}

static struct made *make_payload(uint8_t *to, uint32_t length)
{
    if (model.count == PAYLOADS)
        return NULL;
    for (uint32_t i = 0; i < length; i++)
        to[i] = pattern(NAME + model.count, i);
    struct made *m = &model.made[model.count++];
    *m = (struct made){.length = length};
    return m;
}

/* The payload that these bytes begin with, if it is one of those made. */
static struct made *made_of(const uint8_t *bytes, uint64_t length)
{
    uint32_t name = 0;
    if (length < sizeof name)
        return NULL;
    memcpy(&name, bytes, sizeof name);
    return name - NAME < model.count ? &model.made[name - NAME] : NULL;
}

/* ---- what must hold after each step ---- */

static bool takes(const struct udp_name *n, const struct udp_packet *p)
{
    if (!(ip_is_four(p->destination) ? n->four : n->six))
        return false;
    if (!ip_is_any(n->address) && !ip_equal(n->address, p->destination))
        return false;
    return !n->peer_port || (n->peer_port == p->source_port && ip_equal(n->peer, p->source));
}

static int check_queue(int i)
{
    const struct udp_endpoint *e = endpoint_of(i);
    uint64_t charged = 0;
    int frames = 0;
    REQUIRE(e->tail - e->head <= e->capacity && !(e->capacity & (e->capacity - 1)));
    for (uint32_t at = e->head; at != e->tail; at++) {
        const struct udp_packet *p = &e->queue[at & (e->capacity - 1)];
        charged += p->length + UDP_CHARGE;
        frames += p->xsk != NULL;
        REQUIRE(!p->xsk == !!p->inside);
        /* What has come since came for the name that the socket had, or has now. */
        if ((int32_t)(at - model.tail[i]) >= 0)
            REQUIRE(takes(&model.before[i], p) || takes(&e->name, p));
    }
    REQUIRE(charged == e->charged);
    model.tail[i] = e->tail;
    return frames;
}

static void check(void)
{
    uint64_t counted = model.queued;
    int frames = 0;
    for (int i = 0; i < SOCKETS; i++) {
        if (!file[i])
            continue;
        frames += check_queue(i);
        counted += endpoint_of(i)->counters.packets_in;
        model.before[i] = endpoint_of(i)->name;
    }
    REQUIRE(frames == world.frames_out);
    REQUIRE(world.frames_taken == 0);
    for (int cause = 0; cause < DROP_COUNT; cause++)
        counted += world_drops((enum drop_cause)cause);
    counted += (uint64_t)world.neighbour.count; /* the host has those */
    REQUIRE(counted + (uint64_t)world_waiting_by(0) == model.delivered);
}

/* ---- addresses ---- */

static const struct ip_address addresses[] = {
    {0, 0xffff0a000002}, {0, 0xffff0a000001},   {0x20010db800000000, 2}, {0x20010db800000000, 1},
    {0, 0xffff00000000}, {0, 0},                {0, 0xffff7f000001},     {0, 1},
    {0, 0xffff0a0000ff}, {0, 0xffffffffffff},   {0, 0xffffe0000001},     {0xff02000000000000, 1},
    {0xfe80000000000000, 2}, {0xfe80000000000000, 1}, {0, 0xffff0b000001},
};
static const uint16_t ports[] = {53, 5201, 40000, 0, 5201 + 256};

static struct ip_address some_address(void)
{
    uint8_t how = take8(input);
    if (how >= 250)
        return (struct ip_address){take64(input), take64(input)};
    return addresses[how % ARRAY_SIZE(addresses)];
}

static uint16_t some_port(void)
{
    uint8_t how = take8(input);
    return how >= 250 ? take16(input) : ports[how % ARRAY_SIZE(ports)];
}

static socklen_t some_sockaddr(int i, struct sockaddr_storage *out)
{
    struct ip_address a = some_address();
    uint16_t port = some_port();
    uint8_t how = take8(input);
    memset(out, 0, sizeof *out);
    if (file[i] && socket_of(file[i])->six) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
        in6->sin6_family = how == 255 ? AF_UNSPEC : AF_INET6;
        in6->sin6_port = htons(port);
        in6->sin6_scope_id = how % 16 == 1 ? INTERFACE_INDEX : how % 16 == 2 ? 3 : 0;
        store_ip(in6->sin6_addr.s6_addr, a);
        return how == 254 ? take8(input) % sizeof *in6 : sizeof *in6;
    }
    struct sockaddr_in *in = (struct sockaddr_in *)out;
    in->sin_family = how == 255 ? AF_UNSPEC : AF_INET;
    in->sin_port = htons(port);
    in->sin_addr.s_addr = htonl(ip_to_four(a));
    return how == 254 ? take8(input) % sizeof *in : sizeof *in;
}

/* ---- steps ---- */

static int some_socket(void)
{
    return take8(input) % SOCKETS;
}

static void step_open(void)
{
    uint8_t how = take8(input);
    for (int i = 0; i < SOCKETS; i++) {
        if (file[i])
            continue;
        int host = how % 2 ? world_host_socket_six() : world_host_socket();
        file[i] = udp_socket_file(host, how % 2 ? AF_INET6 : AF_INET, O_RDWR | O_NONBLOCK);
        REQUIRE(file[i]);
        model.before[i] = (struct udp_name){.port = 0};
        model.tail[i] = 0;
        model.peeks[i] = -1;
        return;
    }
}

static void close_socket(int i)
{
    if (!file[i])
        return;
    /* What is still in the ring came for it: releasing it takes it in, and drops it with the queue. */
    net_catch_up();
    model.queued += endpoint_of(i)->counters.packets_in;
    file_put(file[i]);
    file[i] = NULL;
}

static void step_bind(void)
{
    struct sockaddr_storage a;
    int i = some_socket();
    socklen_t n = some_sockaddr(i, &a);
    sys_bind((uint64_t)i, (uint64_t)&a, n, 0, 0, 0);
}

static void step_connect(void)
{
    struct sockaddr_storage a;
    int i = some_socket();
    socklen_t n = some_sockaddr(i, &a);
    sys_connect((uint64_t)i, (uint64_t)&a, n, 0, 0, 0);
}

static void step_option(void)
{
    static const struct {
        int level, name;
    } options[] = {
        {SOL_SOCKET, SO_RCVBUF},          {SOL_SOCKET, SO_REUSEPORT},      {SOL_SOCKET, SO_TIMESTAMP},
        {SOL_SOCKET, SO_TIMESTAMPNS},     {SOL_SOCKET, SO_BINDTOIFINDEX},  {SOL_SOCKET, SO_ZEROCOPY},
        {SOL_SOCKET, SO_RCVTIMEO},        {SOL_SOCKET, SO_SNDTIMEO},       {SOL_SOCKET, SO_MARK},
        {SOL_SOCKET, SO_PEEK_OFF},        {IPPROTO_IP, IP_TTL},            {IPPROTO_IP, IP_TOS},
        {IPPROTO_IP, IP_PKTINFO},         {IPPROTO_IP, IP_RECVTTL},        {IPPROTO_IP, IP_RECVTOS},
        {IPPROTO_IP, IP_RECVERR},         {IPPROTO_IP, IP_MTU_DISCOVER},   {IPPROTO_IPV6, IPV6_V6ONLY},
        {IPPROTO_IPV6, IPV6_UNICAST_HOPS}, {IPPROTO_IPV6, IPV6_TCLASS},    {IPPROTO_IPV6, IPV6_RECVPKTINFO},
        {IPPROTO_IPV6, IPV6_RECVHOPLIMIT}, {IPPROTO_IPV6, IPV6_RECVTCLASS}, {IPPROTO_IPV6, IPV6_FLOWINFO},
        {IPPROTO_IPV6, IPV6_AUTOFLOWLABEL}, {IPPROTO_IPV6, IPV6_RECVERR},  {IPPROTO_UDP, UDP_SEGMENT},
        {IPPROTO_UDP, UDP_GRO},           {IPPROTO_UDP, UDP_CORK},         {IPPROTO_IP, IP_TRANSPARENT},
        {SOL_SOCKET, SO_TIMESTAMPING},    {SOL_SOCKET, SO_ERROR},
    };
    int i = some_socket(), option = take8(input) % (int)ARRAY_SIZE(options);
    uint8_t how = take8(input);
    uint64_t value[2] = {how >= 200 ? take32(input) : how, 0};
    socklen_t n = how == 199 ? take8(input) % 17 : how == 198 ? 16 : 4;
    if (how == 197)
        sys_getsockopt((uint64_t)i, (uint64_t)options[option].level, (uint64_t)options[option].name,
                       (uint64_t)value, (uint64_t)&n, 0);
    else
        sys_setsockopt((uint64_t)i, (uint64_t)options[option].level, (uint64_t)options[option].name,
                       (uint64_t)value, n, 0);
}

static bool room_for_packet(void)
{
    return world.frames_out + world_waiting_by(0) < WORLD_FRAMES - 8;
}

static void step_packet(void)
{
    uint8_t payload[PAYLOAD_MAX], frame[WORLD_FRAME_SIZE];
    struct udp_fields f = {
        .source_mac = PEER_MAC,
        .destination_mac = OUR_MAC,
        .source = some_address(),
        .destination = some_address(),
        .source_port = some_port(),
        .destination_port = some_port(),
        .ttl = 33,
        .tos = 0x28,
        .flow_label = 0x12345,
    };
    uint32_t length = take16(input) % (PAYLOAD_MAX + 1), overhead = udp_overhead(f.destination);
    uint8_t how = take8(input);
    struct made *m = room_for_packet() ? make_payload(payload, length) : NULL;
    if (!m)
        return;
    m->source = f.source;
    m->source_port = f.source_port;
    m->odd = ip_is_four(f.source) != ip_is_four(f.destination) && !ip_is_four(f.destination);
    if (ip_is_four(f.destination) && !ip_is_four(f.source))
        m->odd = true;
    f.length = (uint16_t)length;
    f.payload_sum = (uint16_t)checksum_sum(payload, length);
    f.half_sum = how & 1;
    udp_build(frame, &f);
    if (how & 2)
        store_be16(frame + overhead - 2, 0);
    memcpy(frame + overhead, payload, length);
    for (uint8_t n = how >> 4 & 3; n; n--) {
        uint32_t at = take16(input) % (overhead + length);
        if (at >= overhead && at < overhead + 4)
            continue; /* a payload keeps its name */
        frame[at] = take8(input);
        m->odd = true;
    }
    world_receive_frame(frame, overhead + length);
    model.delivered++;
}

static void step_frame(void)
{
    uint8_t frame[WORLD_FRAME_SIZE];
    size_t length = take16(input) % 1700u;
    take_bytes(input, frame, length);
    if (!room_for_packet())
        return;
    world_receive_frame(frame, length);
    model.delivered++;
}

/* A message with room for so many bytes in several buffers, each of its own size. */
struct message {
    struct msghdr m;
    struct iovec v[3];
    struct sockaddr_storage name;
    uint8_t *control;
    size_t room, control_room;
};

static void message_make(struct message *g)
{
    uint8_t how = take8(input);
    memset(g, 0, sizeof *g);
    g->m.msg_iovlen = how % 4;
    for (size_t i = 0; i < g->m.msg_iovlen; i++) {
        size_t n = how & 4 ? take16(input) % (ROOM_MAX / 3) : take8(input);
        g->v[i] = (struct iovec){malloc(n), n};
        g->room += n;
    }
    g->m.msg_iov = g->v;
    if (how & 8) {
        g->m.msg_name = &g->name;
        g->m.msg_namelen = how & 16 ? take8(input) % (sizeof g->name + 1) : sizeof g->name;
    }
    if (how & 32) {
        g->control_room = take8(input);
        g->control = malloc(g->control_room);
        g->m.msg_control = g->control;
        g->m.msg_controllen = g->control_room;
    }
}

static void message_drop(struct message *g)
{
    for (size_t i = 0; i < ARRAY_SIZE(g->v); i++)
        free(g->v[i].iov_base);
    free(g->control);
}

static uint64_t message_bytes(const struct message *g, int64_t length, uint8_t bytes[ROOM_MAX])
{
    uint64_t done = 0;
    for (size_t i = 0; i < g->m.msg_iovlen && done < (uint64_t)length; i++) {
        size_t n = MIN(g->v[i].iov_len, (size_t)length - done);
        memcpy(bytes + done, g->v[i].iov_base, n);
        done += n;
    }
    return done;
}

static void check_sender(const struct message *g, int i, const struct made *m)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)&g->name;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&g->name;
    if (m->by_host || !g->m.msg_name)
        return;
    bool six = socket_of(file[i])->six;
    REQUIRE(g->m.msg_namelen == (six ? sizeof *in6 : sizeof *in));
    if (!(g->m.msg_name && g->room))
        return;
    if (six)
        REQUIRE(ip_equal(load_ip(in6->sin6_addr.s6_addr), m->source) &&
                ntohs(in6->sin6_port) == m->source_port);
    else
        REQUIRE(ntohl(in->sin_addr.s_addr) == ip_to_four(m->source) &&
                ntohs(in->sin_port) == m->source_port);
}

/* What has been received: payloads whole and in one piece, or cut where the room ends. */
static void check_received(const struct message *g, int i, int64_t result, int flags, bool whole_name)
{
    uint8_t bytes[ROOM_MAX];
    uint64_t got = message_bytes(g, result, bytes), at = 0;
    REQUIRE(g->m.msg_controllen <= g->control_room);
    REQUIRE(result <= (int64_t)g->room || (flags & MSG_TRUNC));
    if (model.peeks[i] >= 0)
        REQUIRE(!memcmp(model.peeked[i], bytes, MIN((uint64_t)model.peeks[i], got)));
    model.peeks[i] = -1;
    if (flags & MSG_PEEK) {
        model.peeks[i] = (int64_t)got;
        memcpy(model.peeked[i], bytes, got);
    }
    struct made *m = made_of(bytes, got);
    if (!m || m->odd)
        return;
    if (whole_name)
        check_sender(g, i, m);
    do {
        uint64_t n = MIN(m->length, got - at);
        for (uint64_t b = 0; b < n; b++)
            REQUIRE(bytes[at + b] == pattern(NAME + (uint32_t)(m - model.made), (uint32_t)b));
        REQUIRE(!m->received);
        m->received = !(flags & MSG_PEEK);
        at += n;
        m = made_of(bytes + at, got - at);
    } while (m && !m->odd && socket_of(file[i])->coalesces);
    if (!socket_of(file[i])->coalesces) {
        m = made_of(bytes, got);
        REQUIRE(!!(g->m.msg_flags & MSG_TRUNC) == (got < m->length));
        REQUIRE((uint64_t)result == (flags & MSG_TRUNC ? m->length : got));
    }
}

static int some_receive_flags(void)
{
    uint8_t how = take8(input);
    return MSG_DONTWAIT | (how & 1 ? MSG_PEEK : 0) | (how & 2 ? MSG_TRUNC : 0) |
           (how % 32 == 31 ? MSG_ERRQUEUE : 0);
}

static void step_receive(void)
{
    struct message g;
    int i = some_socket(), flags = some_receive_flags();
    message_make(&g);
    bool whole_name = g.m.msg_namelen == sizeof g.name;
    int64_t result = sys_recvmsg((uint64_t)i, (uint64_t)&g.m, (uint64_t)flags, 0, 0, 0);
    REQUIRE(file[i] || result == -EBADF);
    if (result >= 0 && !(flags & MSG_ERRQUEUE))
        check_received(&g, i, result, flags, whole_name);
    message_drop(&g);
}

static void step_receive_many(void)
{
    struct message g[MESSAGES];
    struct mmsghdr v[MESSAGES];
    int i = some_socket(), flags = some_receive_flags() & ~(MSG_ERRQUEUE | MSG_PEEK);
    for (int n = 0; n < MESSAGES; n++) {
        message_make(&g[n]);
        v[n] = (struct mmsghdr){.msg_hdr = g[n].m};
    }
    int64_t count =
        sys_recvmmsg((uint64_t)i, (uint64_t)v, MESSAGES, (uint64_t)flags | MSG_WAITFORONE, 0, 0);
    REQUIRE(count != 0 && count <= MESSAGES);
    for (int64_t n = 0; n < count; n++) {
        bool whole_name = g[n].m.msg_namelen == sizeof g[n].name;
        g[n].m = v[n].msg_hdr;
        check_received(&g[n], i, v[n].msg_len, flags, whole_name);
    }
    for (int n = 0; n < MESSAGES; n++)
        message_drop(&g[n]);
}

static void step_read(void)
{
    uint8_t bytes[64];
    struct iovec v = {bytes, take8(input) % sizeof bytes};
    int i = some_socket();
    if (file[i] && file[i]->ops->read(file[i], &v, 1, -1, 0) >= 0)
        model.peeks[i] = -1;
}

static void step_poll(void)
{
    int i = some_socket();
    uint32_t events = take16(input);
    struct poll_wait wait = {.host_fd = -1, .reported = take8(input) % 32, .fresh = take8(input) % 2};
    if (!file[i])
        return;
    uint32_t ready = file[i]->ops->poll(file[i], events, &wait);
    REQUIRE(!(ready & ~(events | POLLERR | POLLHUP)));
    REQUIRE(!(events & POLLIN) || (ready & POLLIN) || udp_endpoint_empty(endpoint_of(i)));
}

/* Control data: elements with headers that are right, or any bytes. */
static size_t some_control(uint8_t control[256])
{
    static const struct {
        int level, type;
        uint8_t size;
    } elements[] = {
        {IPPROTO_IP, IP_PKTINFO, sizeof(struct in_pktinfo)},
        {IPPROTO_IP, IP_TTL, 4},
        {IPPROTO_IP, IP_TOS, 4},
        {IPPROTO_IPV6, IPV6_PKTINFO, sizeof(struct in6_pktinfo)},
        {IPPROTO_IPV6, IPV6_HOPLIMIT, 4},
        {IPPROTO_IPV6, IPV6_TCLASS, 4},
        {IPPROTO_IPV6, IPV6_DONTFRAG, 4},
        {IPPROTO_UDP, UDP_SEGMENT, 2},
    };
    size_t at = 0;
    for (uint8_t n = take8(input) % 5; n; n--) {
        uint8_t how = take8(input);
        const typeof(elements[0]) *e = &elements[how % ARRAY_SIZE(elements)];
        struct cmsghdr header = {.cmsg_len = CMSG_LEN(e->size), .cmsg_level = e->level, .cmsg_type = e->type};
        if (how >= 240)
            take_bytes(input, &header, sizeof header);
        if (at + CMSG_SPACE(e->size) > 256)
            break;
        memset(control + at, 0, CMSG_SPACE(e->size));
        memcpy(control + at, &header, sizeof header);
        take_bytes(input, control + at + sizeof header, how & 0x40 ? e->size : MIN(e->size, 2));
        at += CMSG_SPACE(e->size);
    }
    return at;
}

static void check_sent(const uint8_t *payload, uint64_t length)
{
    uint64_t at = 0;
    for (int i = 0; i < world.sent; i++) {
        struct world_datagram d = world_sent(i);
        REQUIRE(d.length <= length - at && !memcmp(d.bytes, payload + at, d.length));
        at += d.length;
    }
    REQUIRE(!world.sent || at == length || world.sent == 64);
}

static void step_send(void)
{
    uint8_t payload[PAYLOAD_MAX + 1024], control[256];
    struct sockaddr_storage name;
    int i = some_socket();
    uint8_t how = take8(input);
    uint32_t length = take16(input) % sizeof payload;
    for (uint32_t n = 0; n < length; n++)
        payload[n] = (uint8_t)(n * 7 + how);
    /* In two buffers, of their own size each. */
    uint32_t first = how & 1 ? length / 3 : length;
    uint8_t *a = malloc(first), *b = malloc(length - first);
    memcpy(a, payload, first);
    memcpy(b, payload + first, length - first);
    struct iovec v[2] = {{a, first}, {b, length - first}};
    struct msghdr m = {.msg_iov = v, .msg_iovlen = how & 1 ? 2 : 1};
    if (how & 2) {
        m.msg_name = &name;
        m.msg_namelen = some_sockaddr(i, &name);
    }
    if (how & 4) {
        m.msg_control = control;
        m.msg_controllen = some_control(control);
    }
    int flags = MSG_DONTWAIT | (how & 8 ? MSG_ZEROCOPY : 0) | (how & 16 ? MSG_CONFIRM : 0) |
                ((how & 0xe0) == 0xe0 ? MSG_MORE : 0);
    world.sent = 0;
    int64_t result = sys_sendmsg((uint64_t)i, (uint64_t)&m, (uint64_t)flags, 0, 0, 0);
    REQUIRE(result <= (int64_t)length);
    if (result >= 0)
        check_sent(payload, length);
    free(a);
    free(b);
}

static void step_ask(void)
{
    static const uint64_t commands[] = {FIONREAD, SIOCGSTAMP_OLD, SIOCGSTAMPNS_OLD, FIONBIO, FIOASYNC};
    int i = some_socket();
    uint64_t answer[4];
    uint8_t how = take8(input);
    if (!file[i])
        return;
    file[i]->ops->ioctl(file[i], commands[how % ARRAY_SIZE(commands)], (uint64_t)answer);
}

static void step_host(void)
{
    uint8_t payload[PAYLOAD_MAX];
    int i = some_socket();
    uint8_t how = take8(input);
    if (!file[i])
        return;
    struct world_host_socket *h = &world.host[file[i]->host_fd - WORLD_FIRST_DESCRIPTOR];
    if (how >= 200) {
        h->error = -(how - 199);
        return;
    }
    uint32_t length = take16(input) % sizeof payload;
    struct made *m = h->queued < (int)ARRAY_SIZE(h->queue) ? make_payload(payload, length) : NULL;
    if (!m)
        return;
    m->by_host = true;
    world_host_receive(file[i]->host_fd, PEER_ADDRESS, 53, payload, length);
}

/* Answers of the host about its network: a word of them becomes another. */
static void step_answers(void)
{
    uint8_t how = take8(input), where = take8(input);
    uint64_t value = how & 8 ? take64(input) : take8(input);
    uint64_t *route = (uint64_t *)(how & 1 ? &world.route : &world.route_six);
    uint64_t *list = (uint64_t *)&world.interfaces;
    switch (how & 6) {
    case 0:
        route[where % (sizeof world.route / 8)] = value;
        break;
    case 2:
        list[where % (1 + sizeof world.interfaces.interface[0] / 8)] = value;
        break;
    case 4:
        world.route_error = value % 4096 ? -(int)(value % 4096) : 0;
        break;
    case 6:
        world.port_error = value % 2 ? -ENOSPC : 0;
        break;
    }
}

static void step_machine(void)
{
    uint8_t how = take8(input);
    switch (how % 6) {
    case 0:
    case 1:
        fuzz_tsc += 1ull << take8(input) % 40;
        break;
    case 2:
        world_scribble();
        break;
    case 3:
        world.frames_low = how & 8 ? 300 : 0;
        break;
    case 4:
        world.transmit_full = how & 8;
        break;
    case 5:
        world.segments.blocked = how & 8;
        world.segments.error = how & 16 ? ECONNREFUSED : 0;
        break;
    }
}

static void step(void)
{
    switch (take8(input) % 22) {
    case 0:
        step_open();
        break;
    case 1:
        step_bind();
        break;
    case 2:
        step_connect();
        break;
    case 3:
        step_option();
        break;
    case 4:
        close_socket(some_socket());
        break;
    case 5:
    case 6:
    case 7:
        step_packet();
        break;
    case 8:
        step_frame();
        break;
    case 9:
    case 10:
        step_receive();
        break;
    case 11:
        step_receive_many();
        break;
    case 12:
        step_poll();
        break;
    case 13:
    case 14:
        step_send();
        break;
    case 15:
        step_ask();
        break;
    case 16:
        sys_shutdown((uint64_t)some_socket(), take8(input) % 4, 0, 0, 0, 0);
        break;
    case 17:
        step_host();
        break;
    case 18:
        step_answers();
        break;
    case 19:
        step_machine();
        break;
    case 20:
        net_catch_up();
        break;
    case 21:
        step_read();
        break;
    }
    check();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};
    input = &in;
    fuzz_tsc += 100000000000; /* nothing is remembered of the last world */
    memset(&model, 0, sizeof model);
    world_start();
    uint8_t how = take8(input);
    world.checksums = how & 1;
    world.zerocopy = how & 2;
    world.segments.offered = how & 4;
    while (!input_over(input))
        step();
    for (int i = 0; i < SOCKETS; i++)
        close_socket(i);
    net_catch_up();
    check();
    world_end();
    return 0;
}
