/* SPDX-License-Identifier: Apache-2.0 */
#include "xdp/privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

void privilege_keep(uint64_t capabilities)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (syscall(SYS_capget, &header, data))
        return;
    for (int i = 0; i < 2; i++) {
        data[i].permitted &= (uint32_t)(capabilities >> (32 * i));
        data[i].effective = data[i].permitted;
        data[i].inheritable = 0;
    }
    syscall(SYS_capset, &header, data);
}

/* With any arguments: to speak with clients, to follow the interface, to wait and to end. */
static const int plain[] = {
    SCMP_SYS(accept4),      SCMP_SYS(brk),          SCMP_SYS(clock_nanosleep), SCMP_SYS(close),
    SCMP_SYS(dup),          SCMP_SYS(exit_group),   SCMP_SYS(fcntl),           SCMP_SYS(fstat),
    SCMP_SYS(futex),        SCMP_SYS(getpid),       SCMP_SYS(getsockname),     SCMP_SYS(getsockopt),
    SCMP_SYS(ioctl),        SCMP_SYS(mremap),       SCMP_SYS(munmap),          SCMP_SYS(newfstatat),
    SCMP_SYS(poll),         SCMP_SYS(ppoll),        SCMP_SYS(read),            SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),      SCMP_SYS(restart_syscall), SCMP_SYS(rmdir),        SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn), SCMP_SYS(sendmsg),      SCMP_SYS(sendto),          SCMP_SYS(setsockopt),
    SCMP_SYS(unlink),       SCMP_SYS(write),
};

static const int families[] = {AF_XDP, AF_INET, AF_INET6, AF_UNIX};
static const int map_commands[] = {BPF_MAP_LOOKUP_ELEM, BPF_MAP_UPDATE_ELEM, BPF_MAP_DELETE_ELEM,
                                   BPF_MAP_GET_NEXT_KEY};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static int rules_add(scmp_filter_ctx filter)
{
    int error = 0;
    for (size_t i = 0; i < COUNT(plain) && !error; i++)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, plain[i], 0);
    for (size_t i = 0; i < COUNT(families) && !error; i++)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
                                 SCMP_A0(SCMP_CMP_EQ, (uint64_t)families[i], 0));
    for (size_t i = 0; i < COUNT(map_commands) && !error; i++)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(bpf), 1,
                                 SCMP_A0(SCMP_CMP_EQ, (uint64_t)map_commands[i], 0));
    /* Files are read, memory is data. */
    if (!error)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
                                 SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY));
    if (!error)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                                 SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (!error)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                                 SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    return error;
}

int privilege_calls(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!filter)
        return -ENOMEM;
    int error = rules_add(filter);
    if (!error)
        error = seccomp_load(filter);
    seccomp_release(filter);
    return error;
}
