/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/io/flush.h"

#include "enclave/boundary/exit.h"
#include "enclave/io/segments.h"
#include "enclave/io/uring.h"
#include "enclave/io/xsk.h"

void io_flush(void)
{
    xsk_flush();
    segments_flush();
    uring_flush();
}

void io_flush_along_for_ring(void)
{
    bool some = xsk_put_off();
    if (segments_put_off() || some)
        exit_flush_along();
}

void io_flush_along(void)
{
    io_flush_along_for_ring();
    uring_flush();
}

void io_flush_all(void)
{
    xsk_flush_all();
    segments_flush_all();
    uring_flush();
}
