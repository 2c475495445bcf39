/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that sleeps until a daemon goes: with it its steering goes, and somebody is to be told. Then it looks once
 * a second whether there is another.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "host/helper.h"
#include "host/host.h"
#include "host/xdpd_client.h"

#define RETURN_MS 1000

static struct {
    struct xdpd *daemons;
    int (*returned)(struct xdpd *);
    size_t count;
    int end; /* an eventfd: the thread is to end when it can be read */
    bool started;
    pthread_t thread;
} watch;

/* What to wait for: the ends of those that are there. Is one lost? */
static size_t list(struct pollfd waits[INTERFACES_MAX + 1], bool *lost)
{
    size_t count = 0;
    *lost = false;
    waits[count++] = (struct pollfd){.fd = watch.end, .events = POLLIN};
    for (size_t i = 0; i < watch.count; i++) {
        struct xdpd *d = &watch.daemons[i];
        pthread_mutex_lock(&d->lock);
        if (d->socket >= 0)
            waits[count++] = (struct pollfd){.fd = d->socket};
        *lost |= d->lost;
        pthread_mutex_unlock(&d->lock);
    }
    return count;
}

/* Only this thread makes it be lost no more. */
static void look_for(struct xdpd *d)
{
    if (!d->lost || !xdpd_return(d))
        return;
    int error = watch.returned(d);
    if (!error)
        fprintf(stderr, "rakis: the rakis-xdpd of %s is back: UDP goes over AF_XDP again\n", d->interface);
    else if (error != -EPIPE) /* which has been said */
        fprintf(stderr, "rakis: the rakis-xdpd of %s is back, but cannot steer for us any more: %s\n",
                d->interface, strerror(-error));
}

static void *look(void *unused)
{
    struct pollfd waits[INTERFACES_MAX + 1];
    bool lost;
    prctl(PR_SET_NAME, "rakis-watch");
    for (size_t count; (count = list(waits, &lost)) > 1 || lost;) {
        if (poll(waits, count, lost ? RETURN_MS : -1) < 0)
            continue;
        if (waits[0].revents)
            break;
        for (size_t i = 0; i < watch.count; i++) {
            look_for(&watch.daemons[i]);
            xdpd_look(&watch.daemons[i]);
        }
    }
    return unused;
}

int xdpd_watch_start(struct xdpd *daemons, size_t count, int returned(struct xdpd *))
{
    if (watch.started || !count)
        return 0;
    watch.daemons = daemons;
    watch.returned = returned;
    watch.count = count;
    watch.end = eventfd(0, EFD_CLOEXEC);
    if (watch.end < 0)
        return -errno;
    int error = helper_start(&watch.thread, look);
    watch.started = !error;
    if (error)
        close(watch.end);
    return error;
}

void xdpd_watch_stop(void)
{
    const uint64_t one = 1;
    if (!watch.started)
        return;
    if (write(watch.end, &one, sizeof one) == sizeof one)
        pthread_join(watch.thread, NULL);
    close(watch.end);
    watch.started = false;
}

void xdpd_watch_forked(void)
{
    if (watch.started)
        close(watch.end);
    watch.started = false;
}
