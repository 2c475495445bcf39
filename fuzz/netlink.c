/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel tells of interfaces, addresses, routes and neighbours by netlink, and what becomes of it: read
 * outside, told to the enclave, checked there and used. Or the host makes its answers up.
 */
#include "fuzz/input.h"

#include <sanitizer/asan_interface.h>
#include <stdarg.h>

/* The calls of host/netinfo.c are answered from the input. */
#define socket fuzz_socket
#define bind fuzz_bind
#define setsockopt fuzz_setsockopt
#define getsockopt fuzz_getsockopt
#define send fuzz_send
#define recv fuzz_recv
#define close fuzz_close
#define ioctl fuzz_ioctl
#define if_nametoindex fuzz_if_nametoindex
#define opendir fuzz_opendir
#define fopen fuzz_fopen
FILE *fuzz_fopen(const char *name, const char *mode);
#define clock_gettime fuzz_clock_gettime
#include "host/netinfo.c"

#include "abi/exits.h"
#include "abi/stats.h"
#include "enclave/boundary/arena.h"
#include "enclave/boundary/exit.h"
#include "enclave/boundary/network.h"
#include "enclave/lib/address.h"
#include "enclave/lib/lock.h"
#include "enclave/net/interface.h"
#include "enclave/net/route.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof *(a))

static struct input *input;

/* ---- the kernel ---- */

int fuzz_socket(int family, int type, int protocol)
{
    (void)family, (void)type, (void)protocol;
    return take8(input) == 255 ? -1 : 5;
}

int fuzz_bind(int fd, const struct sockaddr *a, socklen_t n)
{
    (void)fd, (void)a, (void)n;
    return 0;
}

int fuzz_setsockopt(int fd, int level, int name, const void *value, socklen_t n)
{
    (void)fd, (void)level, (void)name, (void)value, (void)n;
    return 0;
}

int fuzz_getsockopt(int fd, int level, int name, void *value, socklen_t *n)
{
    const int ttl = take8(input);
    (void)fd, (void)level, (void)name;
    memcpy(value, &ttl, sizeof ttl);
    *n = sizeof ttl;
    return 0;
}

/* Questions are whole, and lie within what was put together. */
ssize_t fuzz_send(int fd, const void *bytes, size_t n, int flags)
{
    const struct question *q = bytes;
    (void)fd, (void)flags;
    REQUIRE(n == q->header.nlmsg_len && n <= sizeof *q);
    return (ssize_t)n;
}

/* A datagram of the input: a length, then so many bytes. The first message answers the last question,
 * unless the input says that it does not. What is beyond the datagram is poisoned. */
ssize_t fuzz_recv(int fd, void *to, size_t room, int flags)
{
    (void)fd, (void)flags;
    if (input_over(input)) {
        errno = ENOBUFS;
        return -1;
    }
    uint16_t how = take16(input);
    size_t length = how % 4096u;
    ASAN_UNPOISON_MEMORY_REGION(to, room);
    length = take_bytes(input, to, length);
    if (!(how & 0x8000))
        for (size_t at = 0; length - at >= sizeof(struct nlmsghdr);) {
            struct nlmsghdr *m = (void *)((uint8_t *)to + at);
            m->nlmsg_seq = netlink.sequence;
            size_t step = NLMSG_ALIGN(m->nlmsg_len);
            if (step < sizeof *m || step > length - at)
                break;
            at += step;
        }
    ASAN_POISON_MEMORY_REGION((uint8_t *)to + ((length + 7) & ~7ul), room - ((length + 7) & ~7ul));
    return (ssize_t)length;
}

int fuzz_close(int fd)
{
    (void)fd;
    return 0;
}

int fuzz_ioctl(int fd, unsigned long request, ...)
{
    (void)fd, (void)request;
    return -1;
}

unsigned fuzz_if_nametoindex(const char *name)
{
    (void)name;
    return take8(input) % 4;
}

DIR *fuzz_opendir(const char *name)
{
    (void)name;
    return NULL;
}

FILE *fuzz_fopen(const char *name, const char *mode)
{
    (void)name, (void)mode;
    return NULL;
}

int fuzz_clock_gettime(clockid_t clock, struct timespec *t)
{
    (void)clock;
    *t = (struct timespec){.tv_sec = (time_t)(fuzz_tsc / 1000000000)};
    return 0;
}

bool xsk_host_takes_all(uint64_t interface_index)
{
    (void)interface_index;
    return false;
}

void neighbours_find(struct route_query *query)
{
    (void)query;
}

/* ---- the enclave's surroundings ---- */

static _Alignas(4096) uint8_t arena[0x10000];
static uint64_t violations;
static bool made_up; /* the host answers without asking the kernel */

struct untrusted arena_at(uint64_t offset)
{
    return (struct untrusted){(uint64_t)arena + offset};
}

struct untrusted bounce(void)
{
    return arena_at(4096);
}

void violation_count(void)
{
    violations++;
}

void lock_slow(struct lock *l)
{
    (void)l;
    REQUIRE(!"a lock is taken twice");
}

void *alloc(size_t size); /* lib.h has macros that the host's headers do not like */
void *alloc(size_t size)
{
    return calloc(1, size);
}

static int64_t serve_interfaces(struct interface_list *out)
{
    static const char *const names[] = {"one", "two", "three"};
    if (made_up) {
        take_bytes(input, out, sizeof *out);
        return 0;
    }
    return netinfo_interfaces(names, take8(input) % (ARRAY_SIZE(names) + 1), out);
}

static int64_t serve_route(struct route_query *q)
{
    if (made_up) {
        take_bytes(input, q, sizeof *q);
        return 0;
    }
    return netinfo_route(q);
}

int64_t exit_call(uint64_t number, uint64_t flags, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3,
                  uint64_t a4, uint64_t a5)
{
    (void)flags, (void)a1, (void)a2, (void)a3, (void)a4, (void)a5;
    void *place = arena + a0;
    return number == EXIT_INTERFACES ? serve_interfaces(place) : serve_route(place);
}

/* A host that tells an errno which is none stops the enclave: nothing to look at here. */
int64_t exit_checked(uint64_t number, uint64_t flags, uint64_t maximum, uint64_t a0, uint64_t a1,
                     uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
    int64_t result = exit_call(number, flags, a0, a1, a2, a3, a4, a5);
    return result < -4095 || result > (int64_t)maximum ? -EPROTO : result;
}

/* ---- what must hold ---- */

static const struct ip_address destinations[] = {
    {0, 0xffff0a000001}, {0x20010db800000000, 1}, {0xfe80000000000000, 1}, {0, 0xffff7f000001}};

static void check_interfaces(void)
{
    REQUIRE(interface_count() <= INTERFACES_MAX);
    for (uint64_t i = 0; i < interface_count(); i++) {
        struct interface_info info;
        struct interface_link link;
        interface_at(i, &info);
        REQUIRE(info.index && info.mac >> 48 == 0 && info.mtu >= INTERFACE_MTU_MIN && info.mtu <= 0xffff);
        REQUIRE(!info.mtu_six || (info.mtu_six >= INTERFACE_MTU_SIX_MIN && info.mtu_six <= 0xffff));
        REQUIRE(info.queues && info.address_count <= INTERFACE_ADDRESSES_MAX);
        REQUIRE(interface_exists(info.index));
        for (uint64_t a = 0; a < info.address_count; a++) {
            REQUIRE(!ip_is_any(info.address[a].address));
            REQUIRE(interface_owns(0, info.address[a].address));
            REQUIRE(interface_link(info.index, info.address[a].address, &link));
        }
        interface_accepts(info.index, destinations[i % ARRAY_SIZE(destinations)]);
    }
}

/* What goes by an XSK goes whole, from an address of the interface, to somebody. */
static void check_route(const struct route *r)
{
    struct interface_link link;
    if (!r->direct)
        return;
    REQUIRE(interface_link(r->interface, r->source, &link) && link.owns && r->mtu <= link.mtu);
    REQUIRE(ip_is_four(r->source) == ip_is_four(r->key.destination));
    REQUIRE(r->hop_limit && !(r->destination_mac >> 48) && r->source_mac == link.mac);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};
    input = &in;
    fuzz_tsc += 100000000000;
    netlink.socket = 0;
    netlink.sequence = 0;
    made_up = take8(input) & 1;
    REQUIRE(!route_start(1000000000));
    for (int i = 0; i < 8 && !input_over(input); i++) {
        interfaces_load();
        check_interfaces();
        struct route route;
        uint8_t how = take8(input);
        struct route_key key = {.destination = destinations[how % ARRAY_SIZE(destinations)],
                                .bound = how & 16 ? (struct ip_address){0, 0xffff0a000002} : ip_none,
                                .device = how & 32 ? 2 : 0};
        route_lookup(&key, &route);
        check_route(&route);
        fuzz_tsc += how & 64 ? 0 : 1000000000;
    }
    ASAN_UNPOISON_MEMORY_REGION(netlink.answer, sizeof netlink.answer);
    return 0;
}
