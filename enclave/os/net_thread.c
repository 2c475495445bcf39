/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/os/net_thread.h"

#include "enclave/boundary/exit.h"
#include "enclave/boundary/log.h"
#include "enclave/enclave.h"
#include "enclave/io/moderate.h"
#include "enclave/io/xsk.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/lock.h"
#include "enclave/net/net.h"
#include "enclave/os/signal.h"
#include "enclave/os/thread.h"

static struct {
    int count;
    struct {
        struct lock work; /* held by the thread but while it sleeps, and by who has it paused */
        uint32_t xsks;
    } thread[XSK_MAX];
} own;

/* Exits that nobody can notice: what the program wrote may go on waiting meanwhile. */
static void sleep_for(uint32_t xsks)
{
    net_count_sleep(xsks);
    exit_checked(EXIT_XSK_WAIT, EXIT_INTERRUPTIBLE, 0, xsks, 0, 0, 0, 0, 0);
}

static void nap(void)
{
    exit_checked(EXIT_PARK, EXIT_INTERRUPTIBLE, 0, NAP_NS, 0, 0, 0, 0, 0);
}

static _Noreturn void run(uint64_t n)
{
    struct lock *work = &own.thread[n].work;
    uint32_t xsks = own.thread[n].xsks;
    for (;;) {
        lock_take(work);
        bool any = net_poll(xsks), thick = !any && net_thick(xsks);
        if (thread_block()->pending)
            signal_collect(); /* not ours, but whoever they are for must not miss them */
        lock_release(work);
        if (thick)
            nap();
        else if (!any)
            sleep_for(xsks);
    }
}

void net_threads_start(void)
{
    uint32_t served = 0;
    int wanted = (int)MIN(enclave.configuration->net_threads, (uint32_t)xsk_count());
    if (!net_active())
        return;
    for (int n = 0; n < wanted; n++) {
        for (int i = n; i < xsk_count(); i += wanted)
            own.thread[n].xsks |= 1u << i;
        int error = thread_start_background(run, (uint64_t)n);
        if (error) {
            log_warning("only %d of %d network threads can be started (error %d)", n, wanted, -error);
            break;
        }
        served |= own.thread[n].xsks;
        own.count++;
    }
    net_serve(served);
}

void net_threads_pause(void)
{
    for (int n = 0; n < own.count; n++)
        lock_take(&own.thread[n].work);
}

void net_threads_resume(void)
{
    for (int n = 0; n < own.count; n++)
        lock_release(&own.thread[n].work);
}

void net_threads_forked(void)
{
    own.count = 0;
}
