/* SPDX-License-Identifier: Apache-2.0 */
/* Groups, capabilities and the root folder: the host's to change. As on Linux each is a thread's own, and
 * the C library sees to it that all threads make the call. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>

#include <asm/unistd_64.h>

#include "enclave/boundary/exit.h"
#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/user.h"
#include "enclave/lib/lib.h"
#include "enclave/os/files.h"
#include "enclave/os/syscalls.h"

#define GROUPS_MAX 65536

SYSCALL(setgroups)
{
    uint64_t count = (uint32_t)a0;
    UNUSED_ARGUMENTS;
    if (count > GROUPS_MAX)
        return -EINVAL;
    if (user_range((const void *)a1, count * sizeof(uint32_t)))
        return count ? -EFAULT : exit_checked(__NR_setgroups, 0, 0, 0, 0, 0, 0, 0, 0);
    if (untrusted_write(bounce(), (const void *)a1, count * sizeof(uint32_t)))
        return -EFAULT;
    return exit_checked(__NR_setgroups, 0, 0, count, bounce().address, 0, 0, 0, 0);
}

/* They answer with the former id, whatever comes of it. */
SYSCALL(setfsuid)
{
    UNUSED_ARGUMENTS;
    return exit_checked(__NR_setfsuid, 0, UINT32_MAX, (uint32_t)a0, 0, 0, 0, 0, 0);
}

SYSCALL(setfsgid)
{
    UNUSED_ARGUMENTS;
    return exit_checked(__NR_setfsgid, 0, UINT32_MAX, (uint32_t)a0, 0, 0, 0, 0, 0);
}

SYSCALL(capset)
{
    struct __user_cap_header_struct header;
    struct __user_cap_data_struct data[2];
    struct untrusted at = bounce(), values = untrusted_at(bounce(), 64);
    UNUSED_ARGUMENTS;
    if (user_get(&header, (const void *)a0))
        return -EFAULT;
    size_t size = header.version == _LINUX_CAPABILITY_VERSION_1 ? sizeof data[0] : sizeof data;
    if (user_read(data, (const void *)a1, size))
        return -EFAULT;
    header.pid = 0;
    untrusted_write(at, &header, sizeof header);
    untrusted_write(values, data, size);
    int64_t result = exit_checked(__NR_capset, 0, 0, at.address, values.address, 0, 0, 0, 0);
    if (result != -EINVAL)
        return result;
    /* An unknown version is answered with the one that the kernel likes. */
    untrusted_read(&header.version, at, sizeof header.version);
    return user_put((void *)a0, &header.version) ? -EFAULT : result;
}

SYSCALL(chroot)
{
    struct path p;
    int64_t result = path_take_for_host(&p, AT_FDCWD, a0, false, true);
    if (!result)
        result = host_path(__NR_chroot, p.text, 0, 0);
    path_drop(&p);
    return result;
}
