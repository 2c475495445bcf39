/* SPDX-License-Identifier: Apache-2.0 */
#include "host/helper.h"

#include <signal.h>

#include "host/host.h"

#define STACK_SIZE 0x10000

int helper_start(pthread_t *out, void *body(void *))
{
    sigset_t all, old;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    sigfillset(&all);
    if (host.options)
        host.options->platform->thread_settle(host.image.machine);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = pthread_create(out, &attributes, body, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attributes);
    return -error;
}
