/* SPDX-License-Identifier: Apache-2.0 */
/* Threads of the host's own, which never enter the enclave. */
#ifndef HOST_HELPER_H
#define HOST_HELPER_H

#include <pthread.h>

/* With all signals blocked and a small stack. 0 or -errno. */
int helper_start(pthread_t *out, void *body(void *));

#endif
