/* SPDX-License-Identifier: Apache-2.0 */
/* ioctl on files of the host: the commands whose argument is known, so that it can be carried over.
 */
#include <errno.h>
#include <linux/fs.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <signal.h>
#include <sys/ioctl.h>

#include <asm/termbits.h>
#include <asm/unistd_64.h>

#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/user.h"
#include "enclave/lib/lib.h"
#include "enclave/boundary/log.h"
#include "enclave/os/file_cache.h"
#include "enclave/os/files.h"
#include "enclave/os/signal.h"

enum direction { NUMBER, IN, OUT, IN_OUT };

struct known {
    uint32_t command;
    uint8_t direction;
    uint8_t size; /* of what the argument points to */
};

#define IFREQ sizeof(struct ifreq)

static const struct known table[] = {
    {FIONREAD, OUT, 4},
    {TIOCOUTQ, OUT, 4},
    {TIOCGWINSZ, OUT, 8},
    {TIOCSWINSZ, IN, 8},
    {TIOCGPGRP, OUT, 4},
    {TIOCSPGRP, IN, 4},
    {TIOCGSID, OUT, 4},
    {TIOCSCTTY, NUMBER, 0},
    {TIOCNOTTY, NUMBER, 0},
    {TIOCEXCL, NUMBER, 0},
    {TIOCNXCL, NUMBER, 0},
    {TIOCGPTN, OUT, 4},
    {TIOCSPTLCK, IN, 4},
    {TIOCGETD, OUT, 4},
    {TIOCMGET, OUT, 4},
    {TCGETS, OUT, sizeof(struct termios)},
    {TCSETS, IN, sizeof(struct termios)},
    {TCSETSW, IN, sizeof(struct termios)},
    {TCSETSF, IN, sizeof(struct termios)},
    {TCSBRK, NUMBER, 0},
    {TCXONC, NUMBER, 0},
    {TCFLSH, NUMBER, 0},
    {TCSBRKP, NUMBER, 0},
    {FIOASYNC, IN, 4},
    {FIOSETOWN, IN, 4},
    {FIOGETOWN, OUT, 4},
    {SIOCATMARK, OUT, 4},
    {SIOCGSTAMP_OLD, OUT, 16},
    {SIOCGSTAMPNS_OLD, OUT, 16},
    {(uint32_t)SIOCGSTAMP_NEW, OUT, 16},
    {(uint32_t)SIOCGSTAMPNS_NEW, OUT, 16},
    {FIGETBSZ, OUT, 4},
    {BLKGETSIZE64, OUT, 8},
    {BLKSSZGET, OUT, 4},
    {BLKROGET, OUT, 4},
    {FS_IOC_GETFLAGS, OUT, 4},
    {FS_IOC_SETFLAGS, IN, 4},
    {SIOCGIFINDEX, IN_OUT, IFREQ},
    {SIOCGIFNAME, IN_OUT, IFREQ},
    {SIOCGIFFLAGS, IN_OUT, IFREQ},
    {SIOCGIFADDR, IN_OUT, IFREQ},
    {SIOCGIFDSTADDR, IN_OUT, IFREQ},
    {SIOCGIFBRDADDR, IN_OUT, IFREQ},
    {SIOCGIFNETMASK, IN_OUT, IFREQ},
    {SIOCGIFMETRIC, IN_OUT, IFREQ},
    {SIOCGIFMTU, IN_OUT, IFREQ},
    {SIOCGIFHWADDR, IN_OUT, IFREQ},
    {SIOCGIFTXQLEN, IN_OUT, IFREQ},
    {SIOCGIFMAP, IN_OUT, IFREQ},
    {SIOCSIFFLAGS, IN, IFREQ},
    {SIOCSIFADDR, IN, IFREQ},
    {SIOCSIFMTU, IN, IFREQ},
};

/* A list of interfaces: the argument leads to a buffer. */
static int64_t interfaces(struct file *f, uint64_t user)
{
    struct ifconf c;
    if (user_get(&c, (const void *)user))
        return -EFAULT;
    if (c.ifc_len < 0)
        return -EINVAL;
    char *buffer = c.ifc_buf;
    uint64_t room = (uint64_t)c.ifc_len;
    if (buffer && user_range(buffer, room))
        return -EFAULT;
    int64_t n = host_ifconf(f->host_fd, buffer, room);
    if (n < 0)
        return n;
    c.ifc_len = (int)n;
    return user_put((void *)user, &c);
}

uint64_t terminal_flags(const struct file *f)
{
    bool asked = f->mode == S_IFCHR && (signal_blocked(SIGTTIN) || signal_blocked(SIGTTOU));
    return asked ? EXIT_TERMINAL_SIGNALS_BLOCKED : 0;
}

static int64_t carry(struct file *f, const struct known *k, uint64_t argument)
{
    uint8_t copy[64] = {0};
    size_t in = k->direction == IN || k->direction == IN_OUT ? k->size : 0;
    size_t out = k->direction == OUT || k->direction == IN_OUT ? k->size : 0;
    if (k->direction == NUMBER)
        return interrupted(host_plain(__NR_ioctl, EXIT_INTERRUPTIBLE | terminal_flags(f), 0, (uint32_t)f->host_fd,
                                      k->command, argument, 0, 0));
    if (user_read(copy, (const void *)argument, in))
        return -EFAULT;
    int64_t result = host_fd_struct(__NR_ioctl, EXIT_INTERRUPTIBLE | terminal_flags(f), f->host_fd,
                                    k->command, copy, in, out);
    if (result >= 0 && user_write((void *)argument, copy, out))
        return -EFAULT;
    return interrupted(result);
}

int64_t host_file_ioctl(struct file *f, uint64_t command, uint64_t argument)
{
    if (command == SIOCGIFCONF)
        return interfaces(f, argument);
    if (command == FIONREAD) {
        file_cache_lend(f); /* of a regular file: what lies behind its position */
        file_cache_return(f);
    }
    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        if (table[i].command == command)
            return carry(f, &table[i], argument);
    if (command == FICLONE) {
        struct file *from = file_get((int)argument);
        int host = from ? host_fd_of(from) : -1;
        int64_t result = host < 0 ? -EBADF
                                  : host_plain(__NR_ioctl, 0, 0, (uint32_t)f->host_fd, command,
                                               (uint32_t)host, 0, 0);
        file_put(from);
        return result;
    }
    log_debug("ioctl 0x%lx on a %s is not supported: ENOTTY", command, f->ops->name);
    return -ENOTTY;
}
