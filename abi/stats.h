/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters that the enclave publishes in the arena for --stats. The enclave only ever writes here;
 * what it counts for itself it keeps inside. One writer a word, so plain stores do.
 */
#ifndef ABI_STATS_H
#define ABI_STATS_H

#include <stdint.h>

#define STATISTICS_SYSCALLS 512
#define STATISTICS_SOCKETS 256
#define STATISTICS_XSKS 16

struct statistics_thread {
    uint64_t rewritten[STATISTICS_SYSCALLS]; /* calls that came from a rewritten site, by number */
    uint64_t trapped[STATISTICS_SYSCALLS];   /* calls that came by the exception path */
};

/* Causes for which a received or sent datagram is dropped. */
#define DROP_LIST(X)                                                                               \
    X(malformed)       /* not a whole UDP datagram, or from nowhere */                              \
    X(checksum)        /* UDP or IPv4 header checksum wrong */                                     \
    X(no_socket)       /* no socket in the enclave wants it */                                     \
    X(queue_full)      /* the socket's receive buffer is full */                                   \
    X(bad_descriptor)  /* the host gave a descriptor that does not hold up: counted as violation */ \
    X(bad_completion)                                                                              \
    X(no_frame)        /* no free frame to send from */

enum drop_cause {
#define DROP_ENUM_(name) DROP_##name,
    DROP_LIST(DROP_ENUM_)
#undef DROP_ENUM_
    DROP_COUNT
};

struct statistics_xsk {
    uint64_t interface_index; /* 0: this entry is unused */
    uint64_t queue;
    uint64_t packets_in, bytes_in;
    uint64_t packets_out, bytes_out;
    uint64_t kicks;      /* exits made to transmit */
    uint64_t wakeups;    /* exits in which a thread slept for this XSK */
    uint64_t drops[DROP_COUNT];
};

/* A UDP socket that the enclave serves. Entries are reused; port 0: unused. */
struct statistics_socket {
    uint64_t local_port;
    uint64_t packets_in, bytes_in;   /* by XSK */
    uint64_t packets_out, bytes_out; /* by XSK */
    uint64_t host_in, host_out;      /* packets by the host socket that stands behind it */
    uint64_t drops[DROP_COUNT];
};

struct statistics {
    uint64_t violations; /* things the host did that break the protocol, all kinds */
    uint64_t exceptions; /* that reached the second stage */
    uint64_t arena_bytes; /* of the pool, in use */
    uint64_t reserved[5];
    struct statistics_xsk xsk[STATISTICS_XSKS];
    struct statistics_socket socket[STATISTICS_SOCKETS];
    struct statistics_thread thread[]; /* one per TCS */
};

#define STATISTICS_SIZE(threads)                                                                   \
    ((sizeof(struct statistics) + (uint64_t)(threads) * sizeof(struct statistics_thread) + 4095) & \
     ~4095ul)

#endif
