/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/os/interface_name.h"

#include <errno.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include <asm/unistd_64.h>

#include "enclave/boundary/hostcall.h"
#include "enclave/boundary/user.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/lock.h"
#include "enclave/os/file.h"
#include "enclave/os/time.h"

#define KNOWN_MOST 4
#define GOOD_FOR_NS 100000000ull

static struct {
    struct lock lock;
    struct {
        struct ifreq said; /* by the host */
        uint64_t time;     /* ns; 0: nothing */
    } of[KNOWN_MOST];
} known;

/* True: *r has the name. */
static bool remember(struct ifreq *r, uint64_t now)
{
    bool found = false;
    lock_take(&known.lock);
    for (size_t i = 0; i < KNOWN_MOST && !found; i++) {
        const struct ifreq *said = &known.of[i].said;
        found = known.of[i].time && now - known.of[i].time < GOOD_FOR_NS && said->ifr_ifindex == r->ifr_ifindex;
        if (found)
            memcpy(r->ifr_name, said->ifr_name, sizeof r->ifr_name);
    }
    lock_release(&known.lock);
    return found;
}

static void note(const struct ifreq *r, uint64_t now)
{
    size_t at = 0;
    lock_take(&known.lock);
    for (size_t i = 0; i < KNOWN_MOST && known.of[at].said.ifr_ifindex != r->ifr_ifindex; i++)
        if (known.of[i].said.ifr_ifindex == r->ifr_ifindex || known.of[i].time < known.of[at].time)
            at = i;
    known.of[at].said = *r;
    known.of[at].time = now;
    lock_release(&known.lock);
}

int64_t interface_name(struct file *f, uint64_t argument)
{
    struct ifreq r;
    if (user_get(&r, (const void *)argument))
        return -EFAULT;
    int index = r.ifr_ifindex;
    uint64_t now = time_monotonic_ns();
    if (!remember(&r, now)) {
        int64_t result = host_fd_struct(__NR_ioctl, 0, f->host_fd, SIOCGIFNAME, &r, sizeof r, sizeof r);
        if (result < 0)
            return result;
        r.ifr_ifindex = index; /* what else the host may have made of it */
        note(&r, now);
    }
    return user_put((void *)argument, &r);
}
