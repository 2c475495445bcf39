/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The untrusted runtime of one enclave: what cli/ asks it to run, and the state that its parts share.
 */
#ifndef HOST_HOST_H
#define HOST_HOST_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/config.h"
#include "abi/exits.h"
#include "abi/net.h"
#include "abi/start.h"
#include "platform/enclave.h"

/* Of an interface: from the first on. No count: all. */
struct queue_range {
    uint32_t first, count;
};

#define INTERFACE_QUEUES 256 /* of one interface, at most */

/* What to run: filled by cli/. Strings belong to the caller. */
struct run_options {
    const struct platform *platform;
    bool rings;
    bool host_names; /* the program is told the host's name and its name servers */
    bool sqpoll; /* a thread of the kernel submits for the io_urings */
    bool polling; /* the monitor may poll rings where a core is spare */
    unsigned net_threads; /* in the enclave */
    const char *interfaces[INTERFACES_MAX];
    struct queue_range queues[INTERFACES_MAX]; /* of each */
    size_t interface_count;
    const char *xsk_uds; /* who makes AF_XDP possible listens there; NULL: where they usually do */
    uint64_t transition_cycles;
    uint64_t enclave_size;
    bool perf;                   /* write /tmp/perf-PID.map */
    const char *statistics_path; /* NULL: none, "-": statistics_fd */
    int statistics_fd;           /* a copy of stderr: the program may close its own */
    int log_level;
    const char *image_path; /* of rakis-enclave */
    const char *program;    /* as looked up */
    char **arguments;       /* argv of the program, NULL-terminated */
    char **environment;
};

struct blueprint; /* image.c: what an enclave is made of */

/* An enclave that is loaded: image.c. */
struct image {
    const struct blueprint *blueprint;
    struct machine *machine;
    const struct platform *platform;
    uint64_t base, size;
    uint64_t libos; /* address of its image */
    uint64_t threads, threads_offset;
    uint8_t mrenclave[32];
};

struct host {
    const struct run_options *options;
    struct image image;
    uint8_t *arena; /* ARENA_SIZE(threads) bytes */
    uint64_t arena_size;
    uint64_t *exit_counts; /* [EXIT_BASE + EXIT_COUNT], atomic */
};

extern struct host host;

/* A place in the arena, NULL: not wholly within. */
static inline void *arena_place(uint64_t offset, uint64_t length)
{
    if (offset > host.arena_size || length > host.arena_size - offset)
        return NULL;
    return host.arena + offset;
}

/* Is it pages of the arena, from its first byte on? */
static inline bool arena_pages(uint64_t offset, uint64_t length)
{
    return length && offset % 4096 == 0 && arena_place(offset, length);
}

/* image.c: measure, create, add, initialise. 0, or -1 after a message on stderr. */
int image_load(struct image *image, const struct run_options *options);
/* The same once more, at the same addresses, in the child of a fork: the machine is new. */
int image_again(struct image *image);

/* run.c: the whole life of an enclave. Returns the wait(2) status that the program ended with, having
 * written statistics; -1 after a message when it could not be started. */
int host_run(const struct run_options *options);
/* Ends this process as wait(2) tells it. */
_Noreturn void host_end(int status);

/* fork.c: the pid, and the descriptors to read from the child and to write to it; or -errno. */
int64_t host_fork(int fds[2]);
/* Sets descriptors aside for that. */
void fork_reserve(void);

/* stats.c: write host.options->statistics_path (JSON); called at the end and on SIGUSR2 from a plain
 * thread context. */
void statistics_write(void);

/* sites.c: struct site_list of the file into out; bytes, or -errno (-ENOEXEC: not x86-64 ELF). */
int64_t sites_of_file(int fd, void *out, size_t size);

/* netinfo.c: answers of the host's tables by netlink. 0 or -errno. Thread-safe. */
int netinfo_interfaces(const char *const *names, size_t count, struct interface_list *out);
int netinfo_route(struct route_query *query);
/* Tell the kernel where a neighbour is. -EPERM: that is not ours to do. */
int netinfo_neighbour_set(unsigned interface_index, struct ip_address address, uint64_t mac);

/* xsk.c: AF_XDP sockets by way of rakis-xdpd (xdpd_client.c). Thread-safe. */
int64_t xsk_host_open(struct xsk_setup *setup); /* fd, index in *setup, or -errno */
int64_t xsk_host_kick(uint64_t index, bool alone); /* 0, -EAGAIN, -errno */
struct pollfd;
/* Before a thread sleeps for these descriptors: has the drivers of such XSKs among them polled, where that is how they are
 * served. */
void xsk_host_drive(const struct pollfd *p, size_t count);
/* For how many microseconds at most; 0: interrupts serve it. *times: how often so far. */
uint32_t xsk_host_busy_poll(uint64_t index, uint64_t *times);
void xsk_host_kick_all(void); /* EXIT_FLUSH: those that have something to transmit */
int port_steer(int operation, const struct port_key *key);
/* Before the platform restricts system calls: find or start a daemon for each interface, or find who
 * listens at `path` (NULL: where they usually do). `queues` of each (NULL: all). Says on stderr, once an
 * interface, why there is none. True if XSKs can be opened on at least one. A named interface that does
 * not exist or is down is an error: -1 after a message. */
int xsk_host_start(const char *const *names, const struct queue_range *queues, size_t count,
                   const char *path);
/* Of the queues that an interface has, how many are to be used, and which one the enclave calls `queue`. */
uint64_t xsk_host_queues(uint64_t interface_index, uint64_t there);
uint64_t xsk_host_queue(uint64_t interface_index, uint64_t queue);
/* Do the XSKs of that interface get all that comes, neighbours' words included? */
bool xsk_host_takes_all(uint64_t interface_index);
void xsk_host_stop(void);
void xsk_host_forked(void); /* in the child of a fork: they are the parent's */

/* monitor.c: the late kick. The first kick of an XSK after a quiet time arms it: a thread that looks twice
 * a millisecond for as long as kicks keep coming and transmits what was left in the TX rings after the
 * last; asleep otherwise. */
void monitor_armed(uint64_t tsc); /* after each kick, which took so long: cheap */
void monitor_entered(void); /* after each enter of an io_uring: the same */
/* The same for what is gathered for files (files.c). */
void monitor_wanted(void);

#endif
