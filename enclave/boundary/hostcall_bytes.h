/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors and bytes: the part of hostcall.h that hostcall.c serves. It is apart for the prover, whose system
 * headers are few.
 */
#ifndef BOUNDARY_HOSTCALL_BYTES_H
#define BOUNDARY_HOSTCALL_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>
#include <time.h>

#include "abi/arena.h"
#include "abi/file.h"
#include "enclave/boundary/held.h"
#include "enclave/boundary/untrusted.h"

/* Room for the name and NUL of a path. */
#define HOST_PATH_MAX 4096
#define HOST_IOV_MAX 1024

/* Linux never returns the numbers from 512 on to a program; inside the enclave they mean a restart. */
#define ERRNO_LIMIT 512

/* What a call may return that returns 0 to `maximum`. */
/*@ predicate call_result(integer result, integer maximum) =
      -ERRNO_LIMIT < result && (result <= 0 || result <= maximum);
    predicate buffers_are_valid(struct iovec *v, integer count) = count <= 0 || \valid_read(v + (0 .. count - 1));
*/

/* Take note of a descriptor that the host handed over: it is the enclave's until host_close. Stops
 * the enclave if it is impossible or already held. Returns fd; negative values pass. */
/*@ requires fd >= INT32_MIN;
    ensures fd < 0 ==> \result == fd;
    ensures fd >= 0 ==> (\result == fd && fd < HOST_FD_LIMIT) || \result == -ENOMEM; */
int host_fd_adopt(int64_t fd);
/*@ ensures call_result(\result, 0); */
int host_close(int fd);

/* A call whose arguments are all plain numbers, and whose result lies in 0..maximum. */
/*@ assigns \nothing;
    ensures call_result(\result, maximum); */
int64_t host_plain(uint64_t number, uint64_t exit_flags, uint64_t maximum, uint64_t a0, uint64_t a1,
                   uint64_t a2, uint64_t a3, uint64_t a4);
/* The same for one that makes a descriptor (dup, eventfd2, timerfd_create, epoll_create1, ...). */
/*@ ensures call_result(\result, HOST_FD_LIMIT - 1); */
int host_plain_fd(uint64_t number, uint64_t exit_flags, uint64_t a0, uint64_t a1, uint64_t a2);
/* pipe2, socketpair: both descriptors to fds[]. */
/*@ requires \valid(fds + (0 .. 1));
    ensures call_result(\result, 0);
    ensures \result == 0 ==> 0 <= fds[0] < HOST_FD_LIMIT && 0 <= fds[1] < HOST_FD_LIMIT; */
int host_pipe(int fds[2], int flags);
/*@ requires \valid(fds + (0 .. 1));
    ensures call_result(\result, 0);
    ensures \result == 0 ==> 0 <= fds[0] < HOST_FD_LIMIT && 0 <= fds[1] < HOST_FD_LIMIT; */
int host_socketpair(int fds[2], int family, int type, int protocol);

/* Others see the process by this name, and by these arguments (`size` bytes of strings; 0: as before). */
/*@ assigns \nothing; */
void host_title(const char *name, const char *arguments, uint64_t size);
/* And this thread. */
/*@ assigns \nothing; */
void host_thread_name(const char *name);

/* Sleep for so many nanoseconds, less than a second, or until a signal. */
/*@ assigns \nothing; */
void host_nap(uint32_t ns);

/* Bytes that the buffers hold together; UINT64_MAX when that does not fit. No exit. */
/*@ requires buffers_are_valid(v, count);
    assigns \nothing;
    ensures count == 1 ==> \result == v[0].iov_len; */
uint64_t iovec_length(const struct iovec *v, int count);

/*
 * One exit's worth of readv/writev, beginning `skip` bytes into the buffers. offset -1: at the
 * file's position. rwf: RWF_*. Buffers may be the program's. At most as many bytes as the bounce
 * buffer holds; *asked: that many were asked for.
 */
/*@ requires buffers_are_valid(v, count) && \valid(asked) && \separated(asked, v + (0 .. count - 1));
    assigns *asked, caller_bytes;
    ensures *asked <= ARENA_BOUNCE_SIZE && call_result(\result, *asked);
    ensures count == 1 && skip == 0 ==> *asked <= v[0].iov_len; */
int64_t host_readv(int fd, const struct iovec *v, int count, uint64_t skip, int64_t offset, int rwf,
                   uint64_t exit_flags, uint64_t *asked);
/*@ requires buffers_are_valid(v, count) && \valid(asked) && \separated(asked, v + (0 .. count - 1));
    assigns *asked;
    ensures call_result(\result, *asked);
    ensures \result >= 0 ==> *asked <= ARENA_BOUNCE_SIZE;
    ensures \result >= 0 && count == 1 ==> *asked <= v[0].iov_len; */
int64_t host_writev(int fd, const struct iovec *v, int count, uint64_t skip, int64_t offset,
                    int rwf, uint64_t exit_flags, uint64_t *asked);
/*@ assigns caller_bytes;
    ensures call_result(\result, length); */
int64_t host_read(int fd, void *to, uint64_t length, uint64_t exit_flags);
/*@ assigns \nothing;
    ensures call_result(\result, length); */
int64_t host_write(int fd, const void *from, uint64_t length, uint64_t exit_flags);
/*@ assigns caller_bytes;
    ensures call_result(\result, length); */
int64_t host_pread(int fd, void *to, uint64_t length, uint64_t offset);
/* recv into the arena, whose `length` bytes from there on are the caller's. */
/*@ assigns \nothing;
    ensures call_result(\result, length); */
int64_t host_recv_arena(int fd, struct untrusted to, uint64_t length, int flags, uint64_t exit_flags);
/* As ioctl, for fcntl's lock commands and other calls (fd, number, pointer). */
/*@ assigns caller_bytes;
    ensures call_result(\result, INT32_MAX); */
int64_t host_fd_struct(uint64_t number, uint64_t exit_flags, int fd, uint64_t command,
                       void *argument, size_t in, size_t out);

/* sendfile and copy_file_range between two of the host's descriptors; offsets NULL or in and out, which go on by
 * what was moved at most. */
/*@ predicate offset_moved(integer from, integer to, integer moved) = from <= to && to - from <= moved; */
/*@ requires offset == \null || \valid(offset);
    assigns *offset;
    ensures call_result(\result, count);
    ensures offset != \null && \result >= 0 ==> offset_moved(\old(*offset), *offset, \result); */
int64_t host_sendfile(int to, int from, int64_t *offset, uint64_t count, uint64_t exit_flags);
/*@ requires from_offset == \null || \valid(from_offset);
    requires to_offset == \null || \valid(to_offset);
    requires from_offset != \null && to_offset != \null ==> \separated(from_offset, to_offset);
    assigns *from_offset, *to_offset;
    ensures call_result(\result, count);
    ensures from_offset != \null && \result >= 0 ==> offset_moved(\old(*from_offset), *from_offset, \result);
    ensures to_offset != \null && \result >= 0 ==> offset_moved(\old(*to_offset), *to_offset, \result); */
int64_t host_copy_range(int from, int64_t *from_offset, int to, int64_t *to_offset, uint64_t count,
                        uint32_t flags);
/*@ requires from_offset == \null || \valid(from_offset);
    requires to_offset == \null || \valid(to_offset);
    requires from_offset != \null && to_offset != \null ==> \separated(from_offset, to_offset);
    assigns *from_offset, *to_offset;
    ensures call_result(\result, count);
    ensures from_offset != \null && \result >= 0 ==> offset_moved(\old(*from_offset), *from_offset, \result);
    ensures to_offset != \null && \result >= 0 ==> offset_moved(\old(*to_offset), *to_offset, \result); */
int64_t host_splice(int from, int64_t *from_offset, int to, int64_t *to_offset, uint64_t count,
                    uint32_t flags, uint64_t exit_flags);

/* What the host says of an open file (abi/file.h); sizes and positions are none that a file cannot have. */
/*@ requires \valid(out);
    assigns *out;
    ensures call_result(\result, 0);
    ensures \result == 0 ==> out->size <= INT64_MAX &&
            (out->position <= INT64_MAX || out->position == FILE_NO_POSITION); */
int host_file_facts(int fd, struct file_facts *out);
/*@ assigns \nothing;
    ensures call_result(\result, INT64_MAX); */
int64_t host_file_size(int fd);

/* A timer of the host that sends SIGNAL_LOOK: its number or -errno. Set to relative times. */
/*@ assigns \nothing;
    ensures call_result(\result, INT32_MAX); */
int host_timer_create(clockid_t clock);
/*@ assigns \nothing;
    ensures call_result(\result, 0); */
int host_timer_settime(int timer, const struct itimerspec *value);
/*@ assigns \nothing; */
void host_timer_delete(int timer);
/* The host's thread that runs the thread of this index (of the thread area): its id, or -ESRCH. */
/*@ assigns \nothing;
    ensures call_result(\result, INT32_MAX) && \result != 0; */
int host_thread_id(uint32_t index);

#endif
