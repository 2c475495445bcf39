/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIOCGIFNAME on a UDP socket: some servers ask for each datagram by which interface it came. What the host has said
 * is good for a tenth of a second.
 */
#ifndef OS_INTERFACE_NAME_H
#define OS_INTERFACE_NAME_H

#include <stdint.h>

#include "enclave/os/file.h"

/* As ioctl: 0 or -errno. argument: the program's struct ifreq. */
int64_t interface_name(struct file *f, uint64_t argument);

#endif
