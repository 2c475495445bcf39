/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listening sockets over the ring of the thread that serves them: connections are accepted before they are asked for,
 * by one operation that goes on and on. They wait in the queue of the stream, as pieces do.
 */
#include <errno.h>
#include <fcntl.h>

#include <asm/unistd_64.h>

#include "enclave/boundary/hostcall.h"
#include "enclave/lib/lib.h"
#include "enclave/os/files.h"
#include "enclave/os/stream_parts.h"

#define ACCEPTED_MOST 64u

bool stream_full(const struct stream *s)
{
    if (s->datagrams)
        return datagrams_full(s);
    return s->queued >= (s->listening ? ACCEPTED_MOST * sizeof(int) : RECEIVE_PAUSE);
}

void stream_accepted(struct stream *s, int32_t result)
{
    if (result < 0) {
        if (result != -ECANCELED && result != -EINTR && result != -EAGAIN)
            s->receive_error = -result;
        return;
    }
    int fd = host_fd_adopt(result);
    if (fd < 0)
        s->receive_error = -fd;
    else if (!s->file || stream_descriptor_push(s, fd))
        stream_turn_away(fd);
}

/* As a listening socket does with who waits when it is closed. */
void stream_turn_away(int host_fd)
{
    static const struct linger now = {1, 0};
    host_setsockopt(host_fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    host_close(host_fd);
}

/* With the lock held: a descriptor, -errno, or -EAGAIN: none yet; STREAM_NOT. */
static int64_t accept_now(struct stream *s)
{
    if (s->first)
        return stream_descriptor_pop(s);
    if (s->receive_error) {
        int error = s->receive_error;
        s->receive_error = 0;
        return -error;
    }
    return s->state == STREAM_OFF ? STREAM_NOT : -EAGAIN;
}

/* What accept4 would have done with it. 0 or -errno, and it is closed. */
static int finish(const struct stream *s, int fd, int flags, struct sockaddr_storage *a, socklen_t *n)
{
    int error = 0;
    if ((flags & SOCK_NONBLOCK) != s->accept_flags)
        error = (int)host_plain(__NR_fcntl, 0, 0, (uint32_t)fd, F_SETFL, flags & SOCK_NONBLOCK ? O_NONBLOCK : 0, 0, 0);
    if (!error && a && host_getpeername(fd, a, n))
        error = -ECONNABORTED; /* it has gone already */
    if (error)
        host_close(fd);
    return error;
}

int64_t stream_accept(struct file *f, int flags, struct sockaddr_storage *a, socklen_t *n)
{
    struct stream *s = f->stream;
    bool wait = !(f->flags & O_NONBLOCK), asked = false;
    if (!s->listening) {
        stream_leave(f);
        return STREAM_NOT;
    }
    for (;;) {
        lock_take(&s->lock);
        int64_t result = accept_now(s);
        bool again = stream_home(s) && s->state == STREAM_ACTIVE && !s->receiving.slot && !stream_full(s);
        stream_looked(f, again);
        if (result >= 0) {
            int error = finish(s, (int)result, flags, a, n);
            return error ? error : result;
        }
        if (result != -EAGAIN)
            return result;
        result = stream_look_later(f, wait, &asked);
        if (result)
            return result;
    }
}
