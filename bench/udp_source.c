/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many datagrams a plain program can send.
 *
 *   udp_source ADDRESS PORT SIZE SECONDS [BATCH]
 *
 * Calls sendto in a loop, or sendmmsg for BATCH datagrams. Prints JSON: the datagrams that were
 * taken and the time it took.
 */
#include <errno.h>

#include "bench/udp.h"

static char data[DATAGRAM_MAX];
static struct sockaddr_in to;

/* Datagrams that were sent, or -1. */
static int send_one(int fd, size_t size)
{
    return sendto(fd, data, size, 0, (const struct sockaddr *)&to, sizeof to) < 0 ? -1 : 1;
}

static int send_batch(int fd, size_t size, unsigned batch)
{
    static struct iovec part;
    static struct mmsghdr messages[BATCH_MAX];
    part = (struct iovec){.iov_base = data, .iov_len = size};
    for (unsigned i = 0; i < batch && !messages[i].msg_hdr.msg_iov; i++)
        messages[i].msg_hdr = (struct msghdr){
            .msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &part, .msg_iovlen = 1};
    return sendmmsg(fd, messages, batch, 0);
}

int main(int words, char **word)
{
    if (words != 5 && words != 6) {
        fprintf(stderr, "usage: udp_source ADDRESS PORT SIZE SECONDS [BATCH]\n");
        return 2;
    }
    to = address_of(word[1], word[2]);
    size_t size = (size_t)atoi(word[3]);
    unsigned batch = words == 6 ? (unsigned)atoi(word[5]) : 0;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0 || size > sizeof data || batch > BATCH_MAX) {
        fprintf(stderr, "udp_source: no socket, or too large a size or batch\n");
        return 1;
    }
    uint64_t sent = 0, looked = 0;
    double begin = seconds_now(), end = begin + atof(word[4]), now = begin;
    while (now < end) {
        int taken = batch ? send_batch(fd, size, batch) : send_one(fd, size);
        if (taken > 0)
            sent += (unsigned)taken;
        else if (errno != ENOBUFS && errno != EAGAIN && errno != EINTR) {
            perror("udp_source");
            return 1;
        }
        if (taken > 0 && sent - looked < CLOCK_EVERY)
            continue;
        looked = sent;
        now = seconds_now();
    }
    printf("{\"datagrams\": %lu, \"bytes\": %lu, \"seconds\": %.6f}\n", sent, sent * size,
           now - begin);
    return 0;
}
