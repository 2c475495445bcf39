/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to the kernel's tables by netlink, put together. */
#ifndef HOST_NETLINK_H
#define HOST_NETLINK_H

#include <linux/genetlink.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A question with room for its attributes. */
struct question {
    struct nlmsghdr header;
    union {
        struct genlmsghdr generic;
        struct ifinfomsg link;
        struct ifaddrmsg address;
        struct rtmsg route;
        struct ndmsg neighbour;
        uint8_t room[128];
    };
};

/* One whose fixed part is of `size` bytes. */
static inline struct question question(uint16_t type, uint16_t flags, size_t size)
{
    return (struct question){.header = {.nlmsg_len = (uint32_t)NLMSG_LENGTH(size),
                                        .nlmsg_type = type,
                                        .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags)}};
}

static inline void attribute_add(struct question *q, uint16_t type, const void *value, size_t size)
{
    struct rtattr *a = (void *)((uint8_t *)q + NLMSG_ALIGN(q->header.nlmsg_len));
    a->rta_type = type;
    a->rta_len = (uint16_t)RTA_LENGTH(size);
    memcpy(RTA_DATA(a), value, size);
    q->header.nlmsg_len = NLMSG_ALIGN(q->header.nlmsg_len) + (uint32_t)RTA_LENGTH(size);
}

#endif
