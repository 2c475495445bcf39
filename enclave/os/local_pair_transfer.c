/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes through a socket pair within the enclave. Bytes are moved by messages, as in the kernel, and a message is
 * charged to its sender as there, so that a pair is full when it would be.
 */
#include "enclave/os/local_pair.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>

#include "enclave/boundary/hostcall.h"
#include "enclave/enclave.h"
#include "enclave/lib/lib.h"
#include "enclave/os/files.h"
#include "enclave/os/signal.h"

#define DATAGRAM_MAX (SEND_BUFFER - 32)
#define CHUNK_MAX 36544u /* of a stream in one message */
#define HEAD_STREAM 3776u
#define HEAD_DATAGRAM 16064u
#define PAGED_MAX (17u * (uint32_t)PAGE_SIZE)
#define OVERHEAD 320u
#define DESCRIPTION 256u
#define SEND_FLAGS (MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE)
#define RECEIVE_FLAGS                                                                              \
    (MSG_DONTWAIT | MSG_NOSIGNAL | MSG_PEEK | MSG_TRUNC | MSG_WAITALL | MSG_CMSG_CLOEXEC)

/* ---- messages ---- */

static uint32_t charge_of(int type, uint32_t length)
{
    uint32_t head = type == SOCK_STREAM ? HEAD_STREAM : HEAD_DATAGRAM;
    uint32_t paged = length > head ? (length - head + PAGE_SIZE - 1) & ~(uint32_t)(PAGE_SIZE - 1) : 0;
    paged = MIN(paged, PAGED_MAX);
    uint32_t linear = 512;
    while (linear < (length > paged ? length - paged : 0) + OVERHEAD)
        linear *= 2;
    return linear + DESCRIPTION + paged;
}

static void message_drop(struct message *g)
{
    references_drop(&g->files);
    alloc_free(g);
}

void messages_drop(void *first)
{
    for (struct message *g = first, *next; g; g = next) {
        next = g->next;
        message_drop(g);
    }
}

/* The next `length` bytes of the buffers: NULL and *error. */
static struct message *message_new(int type, struct local_cursor *from, uint32_t length, int *error)
{
    struct message *g = alloc(sizeof *g + length);
    *error = g ? local_copy(from, g->bytes, length, true) : -ENOMEM;
    if (*error) {
        alloc_free(g);
        return NULL;
    }
    g->length = length;
    g->charge = charge_of(type, length);
    return g;
}

static void append(struct half *h, struct message *g)
{
    if (!h->first)
        h->last = &h->first;
    *h->last = g;
    h->last = &g->next;
    h->bytes += g->length;
    h->charged += g->charge;
}

static struct message *unlink_first(struct half *h)
{
    struct message *g = h->first;
    h->first = g->next;
    h->charged -= g->charge;
    g->next = NULL;
    return g;
}

/* ---- sending ---- */

/* Nothing can be sent any more, or not yet: 0, or -errno, -EAGAIN: there is no room. The lock is held. */
static int may_send(struct pair *p, int side)
{
    struct half *mine = &p->half[side];
    bool gone = !p->local.end[!side];
    if (p->type != SOCK_STREAM && mine->error) {
        int error = mine->error;
        mine->error = 0;
        return -error;
    }
    if (mine->shut & SHUT_OUT)
        return -EPIPE;
    if (p->half[!side].charged >= SEND_BUFFER)
        return -EAGAIN;
    if (mine->disconnected)
        return -ENOTCONN;
    if (gone) { /* of datagrams: else it is shut */
        mine->disconnected = true;
        return -ECONNREFUSED;
    }
    return p->half[!side].shut & SHUT_IN ? -EPIPE : 0;
}

/* Appends the message, waiting for room where the call may. 0: done; 1: the pair is outside; or -errno. */
static int send_message(struct file *f, struct message *g, int flags)
{
    struct pair *p = pair_of(f);
    struct local *l = &p->local;
    int interrupted = 0, error;
    lock_take(&l->lock);
    int side = local_side(f);
    for (;;) {
        error = l->outside ? 1 : may_send(p, side);
        if (error != -EAGAIN || interrupted || (flags & MSG_DONTWAIT) || (f->flags & O_NONBLOCK))
            break;
        interrupted = local_wait(l, side, OUT, true);
        /* A stream that was broken meanwhile says how, as one that was broken before does not. */
        if (!l->outside && p->half[side].error) {
            error = -p->half[side].error;
            p->half[side].error = 0;
            break;
        }
    }
    if (error) {
        struct message *left = error == -ECONNREFUSED ? purge(&p->half[side]) : NULL; /* as the kernel has it */
        local_unlock(l);
        messages_drop(left);
        return error == -EAGAIN && interrupted ? interrupted : error;
    }
    append(&p->half[!side], g);
    bool room = p->half[!side].charged < SEND_BUFFER;
    local_unlock_tell(l, !side, IN);
    if (room)
        waiters_wake(&l->waiters[side], OUT);
    return 0;
}

static int may_send_locked(struct pair *p, int side)
{
    lock_take(&p->local.lock);
    int error = p->local.outside ? 0 : may_send(p, side);
    local_unlock(&p->local);
    return error;
}

/* By the host's socket: with what is left after `done` bytes. */
static int64_t send_outside(struct file *f, const struct msghdr *m, uint64_t done, int flags)
{
    struct iovec v[IOVECS_SMALL], *to = v;
    struct msghdr rest = *m;
    struct file_references held = {0};
    int64_t result = 0;
    if (m->msg_iovlen > IOVECS_SMALL && !(to = alloc(m->msg_iovlen * sizeof *to)))
        return done ? (int64_t)done : -ENOMEM;
    uint64_t skip = done;
    for (size_t i = 0; i < m->msg_iovlen; i++) {
        uint64_t n = MIN(skip, m->msg_iov[i].iov_len);
        to[i] = (struct iovec){(uint8_t *)m->msg_iov[i].iov_base + n, m->msg_iov[i].iov_len - n};
        skip -= n;
    }
    rest.msg_iov = to;
    if (done)
        rest.msg_controllen = 0;
    if (rest.msg_controllen)
        result = control_to_host(&rest, &held);
    if (!result)
        result = f->ops->socket->sendmsg(f, &rest, flags);
    references_drop(&held);
    if (to != v)
        alloc_free(to);
    if (!done)
        return result;
    return result > 0 ? (int64_t)done + result : (int64_t)done;
}

static int64_t send_stream(struct file *f, const struct msghdr *m, int flags, struct file_references *files)
{
    struct pair *p = pair_of(f);
    uint64_t total = iovec_length(m->msg_iov, (int)m->msg_iovlen), done = 0;
    struct local_cursor from = {.v = m->msg_iov};
    int error = 0;
    if (!total && may_send_locked(p, local_side(f)) == -EPIPE)
        error = -EPIPE;
    while (done < total && !error) {
        uint32_t n = (uint32_t)MIN(total - done, (uint64_t)CHUNK_MAX);
        struct message *g = message_new(p->type, &from, n, &error);
        if (!g)
            break;
        g->files = *files;
        error = send_message(f, g, flags);
        if (error) {
            g->files = (struct file_references){0};
            message_drop(g);
            break;
        }
        *files = (struct file_references){0};
        done += n;
    }
    if (error == 1)
        return send_outside(f, m, done, flags);
    if (error == -EPIPE && !done && !(flags & MSG_NOSIGNAL))
        signal_raise_self(SIGPIPE);
    return done ? (int64_t)done : error;
}

/* Why a message that is too long is not sent: an error of the socket comes first. 1: it is outside. */
static int too_long(struct pair *p, int side)
{
    lock_take(&p->local.lock);
    struct half *mine = &p->half[side];
    int error = p->local.outside ? 1 : mine->error ? -mine->error : -EMSGSIZE;
    if (!p->local.outside)
        mine->error = 0;
    local_unlock(&p->local);
    return error;
}

static int64_t send_packet(struct file *f, const struct msghdr *m, int flags, struct file_references *files)
{
    struct pair *p = pair_of(f);
    uint64_t total = iovec_length(m->msg_iov, (int)m->msg_iovlen);
    struct local_cursor from = {.v = m->msg_iov};
    int error = total > DATAGRAM_MAX ? too_long(p, local_side(f)) : 0;
    if (error)
        return error == 1 ? send_outside(f, m, 0, flags) : error;
    struct message *g = message_new(p->type, &from, (uint32_t)total, &error);
    if (!g)
        return error;
    g->files = *files;
    error = send_message(f, g, flags);
    if (error) {
        g->files = (struct file_references){0};
        message_drop(g);
        return error == 1 ? send_outside(f, m, 0, flags) : error;
    }
    *files = (struct file_references){0};
    return (int64_t)total;
}

int64_t pair_sendmsg(struct file *f, const struct msghdr *m, int flags)
{
    struct pair *p = pair_of(f);
    struct file_references files = {0};
    bool kernels = (flags & ~SEND_FLAGS) || (m->msg_name && p->type == SOCK_DGRAM);
    if (!kernels && m->msg_controllen) {
        int understood = control_take(m, &files);
        if (understood < 0)
            return understood;
        kernels = understood;
    }
    int64_t result = 0;
    if (kernels) {
        references_drop(&files);
        result = local_leave(f);
        return result ? result : send_outside(f, m, 0, flags);
    }
    if (m->msg_name && p->type == SOCK_STREAM)
        result = -EISCONN;
    else if (p->type == SOCK_STREAM)
        result = send_stream(f, m, flags, &files);
    else
        result = send_packet(f, m, flags, &files);
    references_drop(&files);
    return result;
}

/* ---- receiving ---- */

/* What goes to the program by one call. */
struct delivery {
    struct local_cursor to;
    uint64_t total; /* bytes that the buffers take */
    struct file_references files;
};

/* The files of a message: its references, or, to look only, more of them. */
static int deliver_files(struct delivery *d, struct message *g, bool peek)
{
    if (!peek) {
        d->files = g->files;
        g->files = (struct file_references){0};
        return 0;
    }
    return references_copy(&d->files, &g->files);
}

/* Of a stream, what is there. True: the call is to end with it. The lock is held; messages that are used up go
 * to *used. */
static bool take_stream(struct half *h, struct delivery *d, bool peek, struct message **used, int *error)
{
    struct message *g = h->first;
    while (g) {
        struct message *next = g->next;
        uint64_t n = MIN((uint64_t)(g->length - g->offset), d->total - d->to.done);
        *error = local_copy(&d->to, g->bytes + g->offset, n, false);
        if (*error)
            return true;
        bool files = g->files.count;
        if (files && (*error = deliver_files(d, g, peek)))
            return true;
        if (!peek) {
            g->offset += (uint32_t)n;
            h->bytes -= (uint32_t)n;
            if (g->offset < g->length)
                return true;
            unlink_first(h);
            g->next = *used;
            *used = g;
        }
        if (files || d->to.done == d->total)
            return true;
        g = next;
    }
    return false;
}

/* A whole message, or what the buffers take of it: the length that it has. */
static int64_t take_packet(struct half *h, struct delivery *d, bool peek, struct message **used)
{
    struct message *g = h->first;
    int64_t length = g->length;
    int error = local_copy(&d->to, g->bytes, MIN((uint64_t)g->length, d->total), false);
    if (!error && g->files.count)
        error = deliver_files(d, g, peek);
    if (!peek) {
        h->bytes -= g->length;
        *used = unlink_first(h);
    }
    return error ? error : length;
}

/* Nothing has come: 0: the end; 1: it may still; or -errno. The lock is held. */
static int end_of(struct pair *p, struct half *h, bool wait)
{
    if (h->error) {
        int error = h->error;
        h->error = 0;
        return -error;
    }
    if (h->shut & SHUT_IN && (p->type != SOCK_DGRAM || wait))
        return 0;
    return 1;
}

/* Bytes of a stream or the length of a message; msg_flags to *flags_out. 1ll << 32: the pair is outside. */
#define OUTSIDE (1ll << 32)

static int64_t receive(struct file *f, struct delivery *d, int flags, int *flags_out)
{
    struct pair *p = pair_of(f);
    struct local *l = &p->local;
    struct message *used = NULL;
    bool wait = !(flags & MSG_DONTWAIT) && !(f->flags & O_NONBLOCK), peek = flags & MSG_PEEK;
    uint64_t target = flags & MSG_WAITALL && !peek && d->total ? d->total : 1;
    int interrupted = 0, error = 0;
    int64_t result;
    if (!wait && local_empty(f))
        return -EAGAIN;
    lock_take(&l->lock);
    int side = local_side(f);
    struct half *h = &p->half[side];
    for (;;) {
        if (l->outside) {
            result = d->to.done ? (int64_t)d->to.done : OUTSIDE;
            break;
        }
        if (h->first && p->type == SOCK_STREAM) {
            bool over = take_stream(h, d, peek, &used, &error);
            result = d->to.done ? (int64_t)d->to.done : error;
            if (over || d->to.done >= target)
                break;
        } else if (h->first && !h->error) {
            result = take_packet(h, d, peek, &used);
            if (result > (int64_t)d->total) {
                *flags_out |= MSG_TRUNC;
                result = flags & MSG_TRUNC ? result : (int64_t)d->total;
            }
            break;
        }
        result = end_of(p, h, wait); /* an error that comes after bytes is lost, as the kernel has it */
        if (result <= 0 || interrupted || !wait) {
            result = d->to.done ? (int64_t)d->to.done : result <= 0 ? result : interrupted ? interrupted : -EAGAIN;
            break;
        }
        interrupted = local_wait(l, side, IN, true);
    }
    bool more = h->first;
    if (used && writable(p, !side))
        local_unlock_tell(l, !side, OUT);
    else
        local_unlock(l);
    if (more && used)
        waiters_wake(&l->waiters[side], IN);
    messages_drop(used);
    return result;
}

int64_t pair_recvmsg(struct file *f, struct msghdr *m, int flags)
{
    struct delivery d = {{.v = m->msg_iov}, iovec_length(m->msg_iov, (int)m->msg_iovlen), {0}};
    int out = flags & MSG_CMSG_CLOEXEC;
    int64_t result = flags & ~RECEIVE_FLAGS ? local_leave(f) : 0;
    if (!result)
        result = flags & ~RECEIVE_FLAGS ? OUTSIDE : receive(f, &d, flags, &out);
    if (result == OUTSIDE) {
        result = f->ops->socket->recvmsg(f, m, flags);
        if (result >= 0)
            control_from_host(m, flags & MSG_CMSG_CLOEXEC);
        return result;
    }
    m->msg_namelen = 0;
    m->msg_flags = out;
    if (result >= 0)
        control_give(m, &d.files, flags & MSG_CMSG_CLOEXEC);
    references_drop(&d.files);
    return result;
}
