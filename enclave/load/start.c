/* SPDX-License-Identifier: Apache-2.0 */
/* The LibOS comes up, part by part, and starts the program. Here, as load/ is what knows all the parts. */
#include "enclave/entry/entry.h"
#include "enclave/enclave.h"
#include "enclave/load/program.h"
#include "enclave/net/net.h"
#include "enclave/os/file.h"
#include "enclave/os/fork.h"
#include "enclave/os/memory.h"
#include "enclave/os/net_thread.h"
#include "enclave/os/process.h"
#include "enclave/os/signal.h"
#include "enclave/os/thread.h"
#include "enclave/os/time.h"

void os_start(void)
{
    if (enclave.start.forked)
        process_start_forked();
    process_start();
    memory_start();
    threads_start();
    signal_start();
    time_start();
    file_table_start();
    net_start();
    net_threads_start();
    program_start();
}
