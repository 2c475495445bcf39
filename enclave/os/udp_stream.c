/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/os/udp_stream.h"

#include <errno.h>

#include "abi/net.h"
#include "enclave/io/segments.h"
#include "enclave/io/xsk.h"
#include "enclave/lib/lib.h"
#include "enclave/net/net.h"
#include "enclave/net/transmit.h"
#include "enclave/os/udp_socket.h"

/* From so many in a row on it is a stream. A burst that is shorter costs more to gather than it saves. */
#define STREAM_FROM 8
/* A pause longer than this part of a second ends it. */
#define PAUSE_PART 1000

static bool eligible(const struct udp_socket *s, const struct msghdr *m, int flags, uint32_t length)
{
    return s->endpoint.name.port && !s->shut_write && !s->no_stream && !s->segment && !m->msg_controllen && length &&
           length <= SEGMENT_LONGEST && m->msg_namelen <= sizeof s->stream.name &&
           (m->msg_iovlen == 1 || length <= TRANSMIT_MAX) && !(flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL | MSG_CONFIRM));
}

/* Counts the run: is this one of a stream? */
static bool goes_on(struct udp_stream *t, const struct msghdr *m, uint32_t length)
{
    uint64_t name[4] = {0}, now = __builtin_ia32_rdtsc();
    if (m->msg_namelen)
        memcpy(name, m->msg_name, m->msg_namelen);
    bool there = t->name_length == m->msg_namelen && !memcmp(name, t->name, sizeof name);
    bool pause = now - t->last > net_second() / PAUSE_PART;
    t->last = now;
    if (there && !pause && length == t->length) {
        t->run++;
        return t->run >= STREAM_FROM;
    }
    if (there && !pause && t->run >= STREAM_FROM && length < t->length)
        return true; /* the end of a message, as likely as not */
    t->run = 0;
    t->length = length;
    t->name_length = m->msg_namelen;
    memcpy(t->name, name, sizeof name);
    return false;
}

/* What the caller sends itself must not overtake what is gathered. */
static int leave(struct udp_stream *t)
{
    if (!t->set)
        return UDP_NO_STREAM;
    int error = segments_send(t->set);
    if (error)
        return error;
    segments_give(t->set);
    hint_set(t->set, NULL);
    return UDP_NO_STREAM;
}

/* Nor the other way round. */
static bool enter(struct udp_stream *t)
{
    if (t->set)
        return true;
    if (xsk_count() && xsk_zerocopy(xsk_at(0)))
        return false;
    hint_set(t->set, segments_take());
    if (t->set)
        xsk_flush_all();
    return t->set;
}

static int error_of(struct udp_stream *t)
{
    return t->set ? segments_error(t->set) : 0;
}

int udp_stream_error(struct udp_socket *s)
{
    if (!hint(s->stream.set))
        return 0;
    lock_take(&s->lock);
    int error = error_of(&s->stream);
    lock_release(&s->lock);
    return error;
}

void udp_stream_end(struct udp_stream *s)
{
    if (s->set)
        segments_give(s->set);
    hint_set(s->set, NULL);
    s->run = 0;
    hint_set(s->blocked, false);
}

int udp_stream_send(struct file *f, const struct msghdr *m, int flags, uint32_t length)
{
    struct udp_socket *s = socket_of(f);
    struct udp_stream *t = &s->stream;
    const void *payload;
    int error = error_of(t);
    if (error)
        return error;
    if (!eligible(s, m, flags, length)) {
        t->run = 0;
        return leave(t);
    }
    if (!goes_on(t, m, length) || !enter(t))
        return leave(t);
    error = udp_payload(s, m, true, length, &payload);
    if (!error)
        error = segments_add(t->set, f->host_fd, t->name, t->name_length, payload, length);
    if (error)
        return error;
    udp_host_sent();
    udp_count(&s->endpoint, host_out, 1);
    return 0;
}
