/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an exit asks of the host. The enclave fills an exit slot in the arena, leaves, and the host
 * fills the answer. Numbers below EXIT_BASE are Linux system calls of that number: the host makes
 * the call with these arguments and answers with its result or a negative errno. Every pointer among
 * the arguments, and in structures that they lead to, is an address within the arena.
 */
#ifndef ABI_EXITS_H
#define ABI_EXITS_H

#include <stdint.h>

#define EXIT_ARGUMENTS 6

/* One per TCS, at the start of the thread's part of the arena. Words only: each is read and written
 * whole. */
struct exit_slot {
    uint64_t number;                   /* enclave → host: what to do */
    uint64_t flags;                    /* enclave → host: EXIT_INTERRUPTIBLE, ... */
    uint64_t argument[EXIT_ARGUMENTS]; /* enclave → host */
    uint64_t result;                   /* host → enclave: a count or a value, or a negative errno */
    uint64_t signals;                  /* host → enclave: bit n-1: signal n arrived since last time */
    uint64_t deferred;                 /* enclave → host: enum exit_deferred */
    uint64_t deferred_since;           /* enclave → host: the TSC when it became that */
    uint64_t served;                   /* host → enclave: not 0: it sends what is in TX rings and in rings of datagrams
                                        * without being asked */
    uint64_t reserved[3];
};

/* What of its io_uring only the thread itself can go on with. Within a millisecond the host interrupts it for that
 * (EXIT_INTERRUPT). */
enum exit_deferred {
    DEFERRED_NOTHING,
    DEFERRED_SUBMISSION, /* something is to be submitted */
    DEFERRED_COMPLETION, /* something is in flight: when the ring has work and the thread is elsewhere */
};

/* The exit may block: answer -EINTR, without or instead of waiting, when a signal has arrived. */
#define EXIT_INTERRUPTIBLE 1u
/* The thread blocks SIGTTIN and SIGTTOU: for calls on a terminal, to which that makes a difference. */
#define EXIT_TERMINAL_SIGNALS_BLOCKED 2u
/* Before anything else, what is in TX rings and in rings of datagrams is sent. */
#define EXIT_FLUSH 4u

/*
 * What is known of the signal that last arrived, one for each signal, in the thread's page after the slot. As in
 * siginfo; a signal comes without when the host has nothing to say.
 */
struct signal_note {
    uint64_t code_and_pid; /* int32_t each, the code lower */
    uint64_t uid_and_status;
    uint64_t value;
    uint64_t reserved;
};
#define SIGNAL_NOTES 64
#define SIGNAL_NOTES_OFFSET 0x800 /* from the slot */

#define EXIT_BASE 1024

/*
 * name, what it does (arguments → result)
 *
 * X(THREAD_START)  (thread index, 1: it takes no signals of the host's): start a host thread on that TCS
 *                  → 0, -EAGAIN
 * X(THREAD_END)    (): this host thread is no longer needed; never returns
 * X(PROCESS_END)   (status as wait(2) encodes it): end the process so; never returns
 * X(PARK)          (relative timeout ns or UINT64_MAX): sleep until unparked → 0, -ETIMEDOUT, -EINTR
 *                  an UNPARK that came before is consumed at once
 * X(UNPARK)        (thread index): wake it → 0
 * X(INTERRUPT)     (thread index): make its host thread look at signals (interrupts a blocking exit
 *                  with -EINTR, or enters the enclave with EVENT_SIGNAL 0) → 0
 * X(PAGES)         (enum pages_operation, offset within the enclave, length, PROT_* bits) → 0, -errno
 * X(CLOCK)         (offset of a struct clock_sample in the arena) → 0
 * X(SITES)         (host fd, arena offset of the answer, its size; where the file is being mapped executable:
 *                  offset within the enclave, length, offset in the file): list of the syscall sites of
 *                  that file, struct site_list → bytes written, -errno
 * X(CPUID)         (leaf, subleaf, arena offset of four words) → 0: for the CPUID that enclaves lack
 * X(LOG)           (level, arena offset, length): print a line → 0
 * X(INTERFACES)    (arena offset of struct interface_list, size) → 0, -errno        [abi/net.h]
 * X(ROUTE)         (arena offset of struct route_query) → 0, -errno                 [abi/net.h]
 * X(XSK_OPEN)      (arena offset of struct xsk_setup) → host fd of the XSK, -errno  [abi/net.h]
 * X(PORT)          (enum port_operation, arena offset of struct port_key) → 0, -errno: steer UDP to the
 *                   enclave, or stop it                                         [abi/net.h]
 * X(NEIGHBOUR)     (ifindex, arena offset of a frame about neighbours that came by an XSK, its length): look at it
 *                  → 0, -errno
 * X(THREAD_AREA)   (thread index): the pages of that area are there, its TCS page is filled in: make it a
 *                  TCS → 0, -errno
 * X(FRAME)         (number of a frame and enum frame_kind << 32, offset of an address within the enclave, arena
 *                  offset of a path, its length, offset in that file): print a line that says in words
 *                  where that is → 0
 * X(THREAD_ID)     (thread index): id of the host thread on that TCS → id, -ESRCH
 * X(XSK_KICK)      (index of the XSK as opened; 1: each packet after it will be kicked for): transmit what is in
 *                   the TX ring → 0, -EAGAIN
 *                  (call again), -errno
 * X(XSK_WAIT)      (bit n: XSK number n): sleep until one of them has received something → 0, -EINTR
 * X(SEGMENTS_OPEN) (number, arena offset of struct segments_shared): may be sent from now on → 0, -errno
 * X(SEGMENTS_SEND) (number, ms to wait for the socket): send what is gathered there → 0; -EAGAIN: the
 *                  socket takes nothing now                                          [abi/net.h]
 * X(URING_OPEN)    (arena offset of struct uring_setup): this thread's io_uring → its host fd, -EPERM:
 *                  forbidden, -errno                                                 [abi/uring.h]
 * X(FILE_FACTS)    (fd, arena offset of struct file_facts) → 0, -errno               [abi/file.h]
 * X(FILE_SIZE)     (fd) → its size, -errno
 * X(FILE_MOVE)     (fd, offset or FILE_ANYWHERE, bytes, signed): if the file's position is there, move it so far →
 *                  where it is then; -EAGAIN: it is elsewhere; -errno
 * X(FILE_MAP)      (fd, first page of the file, bytes to make ready, page-aligned arena offset, where in the window):
 *                  map WINDOW_BYTES of it there, unless it is done (where is not 0), and make so many bytes
 *                  ready from there on → how many of those lie in pages that are wholly within the file, -errno
 * X(EXTENT_OPEN)   (number, arena offset of struct extent_shared): may be written from now on → 0, -errno
 * X(EXTENT_WRITE)  (number): write it, if it is READY → 0
 * X(FORK)          (arena offset of two words): fork(2); the child makes an enclave of the same image at the
 *                  same addresses and starts it with start_parameters.forked → pid of the child, and the
 *                  words: descriptors to read from it and to write to it; -errno
 * X(SIGNAL)        (signal, enum signal_way, SA_NOCLDSTOP and SA_NOCLDWAIT): what the kernel is to do with it
 *                  → 0, -errno
 * X(COMMON)        (enum common_operation, region, ...): memory of several processes    [abi/common.h]
 * X(STOP)          (signal): stop the process as that signal does by default → 0 when it goes on
 * X(TITLE)         (arena offset, length of a name, length of arguments after it): others see the process by that
 *                  name and, unless there are none, those arguments, each with its NUL → 0. In a development
 *                  configuration only
 */
#define EXIT_LIST(X)                                                                               \
    X(THREAD_START)                                                                                \
    X(THREAD_END)                                                                                  \
    X(PROCESS_END)                                                                                 \
    X(PARK)                                                                                        \
    X(UNPARK)                                                                                      \
    X(INTERRUPT)                                                                                   \
    X(PAGES)                                                                                       \
    X(CLOCK)                                                                                       \
    X(SITES)                                                                                       \
    X(CPUID)                                                                                       \
    X(LOG)                                                                                         \
    X(INTERFACES)                                                                                  \
    X(ROUTE)                                                                                       \
    X(XSK_OPEN)                                                                                    \
    X(PORT)                                                                                        \
    X(XSK_KICK)                                                                                    \
    X(XSK_WAIT)                                                                                    \
    X(THREAD_AREA)                                                                                 \
    X(FRAME)                                                                                       \
    X(SEGMENTS_OPEN)                                                                               \
    X(SEGMENTS_SEND)                                                                               \
    X(URING_OPEN)                                                                                  \
    X(THREAD_ID)                                                                                   \
    X(FILE_FACTS)                                                                                  \
    X(FILE_SIZE)                                                                                   \
    X(FILE_MAP)                                                                                    \
    X(FILE_MOVE)                                                                                   \
    X(EXTENT_OPEN)                                                                                 \
    X(EXTENT_WRITE)                                                                                \
    X(FORK)                                                                                        \
    X(SIGNAL)                                                                                      \
    X(COMMON)                                                                                      \
    X(STOP)                                                                                        \
    X(NEIGHBOUR)                                                                                   \
    X(TITLE)

enum exit_number {
    EXIT_FIRST_ = EXIT_BASE - 1,
#define EXIT_ENUM_(name) EXIT_##name,
    EXIT_LIST(EXIT_ENUM_)
#undef EXIT_ENUM_
    EXIT_END_
};

#define EXIT_COUNT (EXIT_END_ - EXIT_BASE)

/* A signal that the host keeps for itself, so that the program never gets it from outside: to make a
 * thread look at what is pending. From a timer that the enclave made it carries SIGNAL_LOOK_TIMER, and
 * the enclave is then told of it like of any other. */
#define SIGNAL_LOOK 63
#define SIGNAL_LOOK_TIMER 1

enum pages_operation {
    PAGES_MAP,     /* make usable with these permissions: fresh pages read as zero */
    PAGES_FILL,    /* the same, of pages that are all about to be written to */
    PAGES_PROTECT, /* change the permissions of usable pages */
    PAGES_UNMAP,   /* drop contents and access; a later MAP gives zero pages */
    PAGES_MOVE,    /* pages appear with these permissions and the contents of others, which lie from the offset in the
                      fifth argument on and read as zero afterwards. PAGES_TO_ACCEPT: the enclave copies (EACCEPTCOPY) */
    PAGES_DISCARD, /* drop contents, keep permissions: pages read as zero (MADV_DONTNEED) */
};

#define PAGES_TO_ACCEPT 1

enum frame_kind { FRAME_NOWHERE, FRAME_FILE, FRAME_IMAGE };

enum signal_way {
    SIGNAL_TAKE,   /* a signal that the kernel asks about before there is one: it is taken, */
    SIGNAL_IGNORE, /* or ignored */
    SIGNAL_HOLD,   /* it waits in the kernel as far as this thread is concerned; so does a real-time signal that has come */
    SIGNAL_LET,    /* it comes again */
    SIGNAL_FETCH,  /* one that waits in the kernel: 1, and what it brings along is noted; 0: none does */
};

enum port_operation { PORT_ADD, PORT_REMOVE };

/* Clock readings taken as close together as the host can: tsc lies between two readings. */
struct clock_sample {
    uint64_t tsc;
    uint64_t realtime_ns;
    uint64_t monotonic_ns;
    uint64_t boottime_ns;
    uint64_t raw_ns;
    uint64_t tsc_hz; /* the host's best estimate, 0: unknown */
};

/* Why the enclave is entered: RDI at EENTER. */
enum entry_event {
    EVENT_NONE,      /* CSSA 0: start a thread, or return from an exit */
    EVENT_EXCEPTION, /* CSSA 1: the SSA frame tells which */
    EVENT_SIGNAL,    /* CSSA 1: RSI is the signal that arrived (0: look at what is pending) */
};

/* What RDI says after an exit that the enclave made without having done what it was entered for. Of an
 * exception: resuming would only bring it again. */
#define ENTRY_REFUSED UINT64_MAX

#endif
