/* SPDX-License-Identifier: Apache-2.0 */
/* What I/O over rings needs: io_uring; AF_XDP, its privileges and its memory; the interfaces. */
#include <errno.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/if_link.h>
#include <linux/io_uring.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "host/host.h"
#include "host/netlink.h"
#include "host/xdpd_client.h"

/* ---- io_uring ---- */

/* Newer than the headers of Debian 12. */
#define SETUP_SINGLE_ISSUER (1u << 12)
#define SETUP_DEFER_TASKRUN (1u << 13)
#define SETUP_NO_SQARRAY (1u << 16)

static long number_in(const char *path)
{
    char text[32] = "";
    FILE *file = fopen(path, "re");
    bool got = file && fgets(text, sizeof text, file);
    if (file)
        fclose(file);
    return got ? strtol(text, NULL, 10) : -1;
}

/* 0 or errno. */
static int uring_try(unsigned flags)
{
    struct io_uring_params parameters = {.flags = flags};
    int fd = (int)syscall(SYS_io_uring_setup, 4, &parameters);
    int error = fd < 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    return error;
}

/* Why the kernel refuses: by its own setting, or by a filter of whoever started us. */
static const char *uring_refusal(void)
{
    switch (number_in("/proc/sys/kernel/io_uring_disabled")) {
    case 1:
        return "allow it to this user's group (sysctl kernel.io_uring_group) or to all (sysctl "
               "kernel.io_uring_disabled=0)";
    case 2:
        return "allow it: sysctl kernel.io_uring_disabled=0";
    }
    if (prctl(PR_GET_SECCOMP) > 0)
        return "a seccomp filter forbids it, as container runtimes do: let theirs allow "
               "io_uring_setup, io_uring_enter and io_uring_register";
    return "a security module may forbid it";
}

void doctor_uring(void)
{
    int error = uring_try(0);
    if (!error && uring_try(SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN | SETUP_NO_SQARRAY)) {
        doctor_say(FINDING_LACK, "io_uring",
                   "streams leave by an exit a call; Linux 6.6 or newer has what they need",
                   "allowed, but that of an older kernel");
    } else if (!error) {
        doctor_say(FINDING_OK, "io_uring", NULL, "allowed");
    } else if (error == ENOSYS) {
        doctor_say(FINDING_LACK, "io_uring",
                   "streams leave by an exit a call; a kernel with CONFIG_IO_URING has it",
                   "not in this kernel");
    } else {
        doctor_say(FINDING_LACK, "io_uring", error == EPERM ? uring_refusal() : NULL,
                   "not allowed (%s); streams leave by an exit a call", strerror(error));
    }
}

/* ---- AF_XDP ---- */

#define UMEM_BYTES (6ul << 20) /* that the enclave asks for, for each queue (enclave/io/xsk.c) */
#define CAPABILITY_BPF 39

static bool capable(unsigned capability)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2] = {0};
    return !syscall(SYS_capget, &header, sets) &&
           sets[capability / 32].effective & 1u << capability % 32;
}

/* The least program that an interface takes. 0 or errno. */
static int program_try(void)
{
    static const struct bpf_insn pass[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS},
        {.code = BPF_JMP | BPF_EXIT},
    };
    union bpf_attr load = {
        .prog_type = BPF_PROG_TYPE_XDP,
        .insns = (uint64_t)(uintptr_t)pass,
        .insn_cnt = sizeof pass / sizeof *pass,
        .license = (uint64_t)(uintptr_t) "GPL",
    };
    int fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load);
    int error = fd < 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    return error;
}

static void privileges_say(void)
{
    static const struct {
        unsigned capability;
        const char *name;
    } needed[] = {{CAP_NET_ADMIN, "CAP_NET_ADMIN"},
                  {CAPABILITY_BPF, "CAP_BPF"},
                  {CAP_NET_RAW, "CAP_NET_RAW"}};
    static const char advice[] =
        "rakis cannot start rakis-xdpd: start one as root, rakis-xdpd -i IFACE "
        "--allow-uid UID, or UDP goes over host sockets";
    char have[64] = "", lack[64] = "";
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        char *list = capable(needed[i].capability) ? have : lack;
        strcat(list, *list ? ", " : "");
        strcat(list, needed[i].name);
    }
    int error = program_try();
    json_t *check;
    if (*lack)
        check = doctor_say(FINDING_LACK, "privileges", advice, "no %s", lack);
    else if (error)
        check = doctor_say(FINDING_LACK, "privileges", advice,
                           "%s, and yet no XDP program can be loaded (%s)", have, strerror(error));
    else
        check = doctor_say(FINDING_OK, "privileges", NULL, "%s: rakis can start rakis-xdpd itself",
                           have);
    json_object_set_new(check, "xdp_load", json_boolean(!error));
}

static void memory_say(void)
{
    struct rlimit limit = {0};
    getrlimit(RLIMIT_MEMLOCK, &limit);
    bool enough = limit.rlim_max >= UMEM_BYTES;
    json_t *check;
    if (capable(CAP_IPC_LOCK))
        check = doctor_say(FINDING_OK, "locked memory", NULL, "no limit, by CAP_IPC_LOCK");
    else if (limit.rlim_max == RLIM_INFINITY)
        check = doctor_say(FINDING_OK, "locked memory", NULL, "no limit");
    else
        check = doctor_say(enough ? FINDING_OK : FINDING_LACK, "locked memory",
                           enough ? NULL : "raise it (ulimit -l), or run with CAP_IPC_LOCK",
                           "%lu KiB, and %lu KiB are used for each queue over AF_XDP",
                           limit.rlim_max >> 10, UMEM_BYTES >> 10);
    if (limit.rlim_max != RLIM_INFINITY)
        json_object_set_new(check, "limit_bytes", json_integer((json_int_t)limit.rlim_max));
}

void doctor_xdp(void)
{
    int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (fd >= 0 || errno == EPERM) /* before it looks at privileges, the kernel knows the family */
        doctor_say(FINDING_OK, "AF_XDP", NULL, "in this kernel");
    else
        doctor_say(FINDING_LACK, "AF_XDP",
                   "UDP goes over host sockets; a kernel with CONFIG_XDP_SOCKETS has it",
                   "not in this kernel (%s)", strerror(errno));
    if (fd >= 0)
        close(fd);

    char path[4200];
    if (xdpd_program(path, sizeof path))
        doctor_say(FINDING_OK, "rakis-xdpd", NULL, "%s", path);
    else
        doctor_say(FINDING_LACK, "rakis-xdpd", "install it there, or start one before rakis",
                   "not beside rakis");
    privileges_say();
    memory_say();
}

/* ---- interfaces ---- */

/* The netdev family of generic netlink, since Linux 6.3: Documentation/netlink/specs/netdev.yaml */
enum { DEV_GET = 1, DEV_IFINDEX = 1, DEV_XDP_FEATURES = 3 };
enum { FEATURE_BASIC = 1, FEATURE_REDIRECT = 2, FEATURE_ZEROCOPY = 8 };

struct answer {
    _Alignas(struct nlmsghdr) uint8_t bytes[16384];
    const struct nlmsghdr *message;
};

/* True: the answer is there, and is none of an error. */
static bool ask(int protocol, const struct question *q, struct answer *a)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    if (fd < 0)
        return false;
    ssize_t length = send(fd, q, q->header.nlmsg_len, 0);
    if (length >= 0)
        length = recv(fd, a->bytes, sizeof a->bytes, 0);
    close(fd);
    a->message = (const void *)a->bytes;
    return length > 0 && NLMSG_OK(a->message, (size_t)length) &&
           a->message->nlmsg_type != NLMSG_ERROR;
}

/* The attribute of a message, or of what is nested; NULL: it has none. */
static const struct rtattr *attribute(const struct rtattr *a, int left, unsigned type)
{
    for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
        if ((a->rta_type & NLA_TYPE_MASK) == type)
            return a;
    return NULL;
}

static const struct rtattr *attribute_of(const struct answer *a, size_t header, unsigned type)
{
    size_t skip = NLMSG_LENGTH(NLMSG_ALIGN(header));
    if (a->message->nlmsg_len < skip)
        return NULL;
    return attribute((const void *)((const uint8_t *)a->message + skip),
                     (int)(a->message->nlmsg_len - skip), type);
}

/* The number of the netdev family, 0: the kernel has none. */
static uint16_t family_netdev(void)
{
    static const char name[] = "netdev";
    struct question q = question(GENL_ID_CTRL, 0, GENL_HDRLEN);
    struct answer a;
    uint16_t id = 0;
    q.generic = (struct genlmsghdr){.cmd = CTRL_CMD_GETFAMILY, .version = 1};
    attribute_add(&q, CTRL_ATTR_FAMILY_NAME, name, sizeof name);
    const struct rtattr *value =
        ask(NETLINK_GENERIC, &q, &a) ? attribute_of(&a, GENL_HDRLEN, CTRL_ATTR_FAMILY_ID) : NULL;
    if (value && RTA_PAYLOAD(value) >= sizeof id)
        memcpy(&id, RTA_DATA(value), sizeof id);
    return id;
}

/* What its driver can do with XDP. False: the kernel does not tell. */
static bool features_of(uint32_t index, uint64_t *features)
{
    uint16_t family = family_netdev();
    if (!family)
        return false;
    struct question q = question(family, 0, GENL_HDRLEN);
    struct answer a;
    q.generic = (struct genlmsghdr){.cmd = DEV_GET, .version = 1};
    attribute_add(&q, DEV_IFINDEX, &index, sizeof index);
    const struct rtattr *value =
        ask(NETLINK_GENERIC, &q, &a) ? attribute_of(&a, GENL_HDRLEN, DEV_XDP_FEATURES) : NULL;
    if (!value || RTA_PAYLOAD(value) < sizeof *features)
        return false;
    memcpy(features, RTA_DATA(value), sizeof *features);
    return true;
}

/* An XDP program is attached to it. */
static bool has_program(uint32_t index)
{
    struct question q = question(RTM_GETLINK, 0, sizeof q.link);
    struct answer a;
    q.link = (struct ifinfomsg){.ifi_index = (int)index};
    const struct rtattr *xdp =
        ask(NETLINK_ROUTE, &q, &a) ? attribute_of(&a, sizeof q.link, IFLA_XDP) : NULL;
    const struct rtattr *attached =
        xdp ? attribute(RTA_DATA(xdp), (int)RTA_PAYLOAD(xdp), IFLA_XDP_ATTACHED) : NULL;
    return attached && RTA_PAYLOAD(attached) && *(const uint8_t *)RTA_DATA(attached);
}

static bool is_loopback(const char *name)
{
    struct ifreq request = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    strncpy(request.ifr_name, name, IF_NAMESIZE - 1);
    bool loopback =
        fd >= 0 && !ioctl(fd, SIOCGIFFLAGS, &request) && request.ifr_flags & IFF_LOOPBACK;
    if (fd >= 0)
        close(fd);
    return loopback;
}

enum daemon { DAEMON_NONE, DAEMON_SERVES, DAEMON_REFUSES };

static enum daemon daemon_of(const char *name, char *why, size_t size)
{
    struct xdpd d = {.socket = -1};
    strncpy(d.interface, name, IF_NAMESIZE - 1);
    int error = xdpd_find(&d, why, size);
    if (!error)
        xdpd_stop(&d);
    return !error ? DAEMON_SERVES : error == -ENOENT ? DAEMON_NONE : DAEMON_REFUSES;
}

static void interface_say(const char *name, unsigned index)
{
    struct interface_list list;
    uint64_t features = 0;
    char why[600] = "", advice[128];
    if (netinfo_interfaces(&name, 1, &list)) {
        doctor_say(FINDING_LACK, name, NULL, "the kernel does not tell about it");
        return;
    }
    uint64_t queues = list.interface[0].queues;
    bool up = list.interface[0].up, told = features_of(index, &features);
    bool native = features & FEATURE_BASIC && features & FEATURE_REDIRECT;
    bool zerocopy = features & FEATURE_ZEROCOPY;
    enum daemon served = daemon_of(name, why, sizeof why);
    char path[128];
    bool plugin = served == DAEMON_NONE && xdpd_plugin(name, path, sizeof path);
    bool taken = served == DAEMON_NONE && !plugin && has_program(index);

    char what[128];
    snprintf(what, sizeof what, "%s, %lu queue%s",
             !told      ? "XDP of an unknown mode (Linux before 6.3 does not tell)"
             : !native  ? "generic XDP"
             : zerocopy ? "native XDP, zero copy"
                        : "native XDP",
             queues, queues == 1 ? "" : "s");
    json_t *check;
    if (!up) {
        snprintf(advice, sizeof advice, "bring it up (ip link set %s up) to use it", name);
        check = doctor_say(FINDING_LACK, name, advice, "%s; it is down or without carrier", what);
    } else if (taken) {
        snprintf(advice, sizeof advice, "see ip link show %s; without it rakis-xdpd can attach",
                 name);
        check = doctor_say(FINDING_LACK, name, advice, "%s; it has an XDP program of somebody else",
                           what);
    } else if (served == DAEMON_REFUSES) {
        check = doctor_say(FINDING_LACK, name, NULL, "%s; %s", what, why);
    } else if (plugin) {
        check = doctor_say(FINDING_OK, name, NULL,
                           "%s, a device plugin listens at %s, with which rakis needs CAP_NET_RAW "
                           "(rakis run --iface %s)", what, path, name);
    } else if (told && !native) {
        check = doctor_say(FINDING_LACK, name,
                           "works, but slower than where the driver takes native XDP", "%s only%s",
                           what, served == DAEMON_SERVES ? ", a rakis-xdpd serves it" : "");
    } else {
        check = doctor_say(FINDING_OK, name, NULL, "%s%s (rakis run --iface %s)", what,
                           served == DAEMON_SERVES ? ", a rakis-xdpd serves it" : "", name);
    }
    json_object_set_new(check, "interface", json_true());
    json_object_set_new(check, "up", json_boolean(up));
    json_object_set_new(check, "queues", json_integer((json_int_t)queues));
    json_object_set_new(check, "native", told ? json_boolean(native) : json_null());
    json_object_set_new(check, "zero_copy", told ? json_boolean(zerocopy) : json_null());
    json_object_set_new(check, "daemon", json_boolean(served == DAEMON_SERVES));
    json_object_set_new(check, "plugin", json_boolean(plugin));
}

void doctor_interfaces(void)
{
    struct if_nameindex *all = if_nameindex();
    size_t count = 0;
    for (struct if_nameindex *i = all; i && i->if_index; i++) {
        if (is_loopback(i->if_name))
            continue;
        interface_say(i->if_name, i->if_index);
        count++;
    }
    if (all)
        if_freenameindex(all);
    if (!count)
        doctor_say(FINDING_LACK, "interfaces", "UDP goes over host sockets; --iface needs one",
                   "none but loopback");
}
