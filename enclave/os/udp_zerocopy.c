/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MSG_ZEROCOPY: what is sent leaves the enclave by a copy in any case, so the program's buffer is free when
 * the call returns. It is told so as the kernel tells it where it has to copy, by the queue of errors
 * (Documentation/networking/msg_zerocopy.rst).
 */
#include <errno.h>
#include <netinet/in.h>
#include <time.h>

#include <linux/errqueue.h>

#include "enclave/lib/lib.h"
#include "enclave/os/udp_socket.h"

void udp_zerocopy_sent(struct udp_socket *s)
{
    lock_take(&s->lock);
    s->zerocopy.next++;
    lock_release(&s->lock);
    udp_endpoint_wake(&s->endpoint); /* who polls is to see it */
}

bool udp_zerocopy_told(const struct udp_socket *s)
{
    return s->zerocopy.told == s->zerocopy.next;
}

int64_t udp_zerocopy_receive(struct udp_socket *s, struct msghdr *m)
{
    struct {
        struct sock_extended_err e;
        struct sockaddr_in6 offender; /* nobody */
    } report = {.e = {.ee_origin = SO_EE_ORIGIN_ZEROCOPY, .ee_code = SO_EE_CODE_ZEROCOPY_COPIED}};
    lock_take(&s->lock);
    bool any = !udp_zerocopy_told(s);
    report.e.ee_info = s->zerocopy.told;
    report.e.ee_data = s->zerocopy.next - 1;
    s->zerocopy.told = s->zerocopy.next;
    lock_release(&s->lock);
    if (!any)
        return -EAGAIN;
    m->msg_flags = MSG_ERRQUEUE;
    m->msg_namelen = 0;
    size_t room = m->msg_control ? m->msg_controllen : 0;
    m->msg_controllen = 0;
    if (s->six)
        udp_put_control(m, room, IPPROTO_IPV6, IPV6_RECVERR, &report, sizeof report);
    else
        udp_put_control(m, room, IPPROTO_IP, IP_RECVERR, &report,
                        sizeof report.e + sizeof(struct sockaddr_in));
    return 0;
}
