/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many datagrams a plain program can receive.
 *
 *   udp_sink PORT SECONDS [BATCH]
 *
 * Calls recvfrom in a loop, or recvmmsg for BATCH datagrams. Counts for SECONDS, from WARM_UP
 * seconds after the first datagram on. Prints JSON: datagrams and bytes in that time, and datagrams
 * in all.
 */
#include <sys/time.h>

#include "bench/udp.h"

#define WARM_UP 0.2
#define PATIENCE 5 /* seconds without a datagram: the sender has failed */

static struct {
    uint64_t datagrams, bytes;
} all, before;

static double begin, end, seconds; /* of counting */

/* False: the time is over. */
static bool count(uint64_t datagrams, uint64_t bytes)
{
    static uint64_t looked;
    all.datagrams += datagrams;
    all.bytes += bytes;
    if (all.datagrams - looked < CLOCK_EVERY && looked)
        return true;
    looked = all.datagrams;
    double now = seconds_now();
    if (!begin) {
        begin = now + WARM_UP;
    } else if (!end && now >= begin) {
        begin = now;
        end = now + seconds;
        before = all;
    } else if (end && now >= end) {
        end = now;
        return false;
    }
    return true;
}

static void sink(int fd)
{
    static char data[DATAGRAM_MAX];
    ssize_t length;
    do {
        struct sockaddr_in from;
        socklen_t size = sizeof from;
        length = recvfrom(fd, data, sizeof data, 0, (struct sockaddr *)&from, &size);
    } while (length >= 0 && count(1, (uint64_t)length));
}

static void sink_batches(int fd, unsigned batch)
{
    static char data[BATCH_MAX][2048];
    static struct iovec part[BATCH_MAX];
    static struct mmsghdr messages[BATCH_MAX];
    for (unsigned i = 0; i < batch; i++) {
        part[i] = (struct iovec){.iov_base = data[i], .iov_len = sizeof data[i]};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &part[i], .msg_iovlen = 1};
    }
    for (;;) {
        int got = recvmmsg(fd, messages, batch, MSG_WAITFORONE, NULL);
        uint64_t bytes = 0;
        for (int i = 0; i < got; i++)
            bytes += messages[i].msg_len;
        if (got <= 0 || !count((uint64_t)got, bytes))
            return;
    }
}

int main(int words, char **word)
{
    if (words != 3 && words != 4) {
        fprintf(stderr, "usage: udp_sink PORT SECONDS [BATCH]\n");
        return 2;
    }
    int fd = udp_bound(word[1]);
    unsigned batch = words == 4 ? (unsigned)atoi(word[3]) : 0;
    const struct timeval patience = {.tv_sec = PATIENCE};
    seconds = atof(word[2]);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (batch)
        sink_batches(fd, batch < BATCH_MAX ? batch : BATCH_MAX);
    else
        sink(fd);
    if (!end || all.datagrams == before.datagrams) {
        perror("udp_sink: no datagrams");
        return 1;
    }
    printf("{\"datagrams\": %lu, \"bytes\": %lu, \"seconds\": %.6f, \"total\": %lu}\n",
           all.datagrams - before.datagrams, all.bytes - before.bytes, end - begin, all.datagrams);
    return 0;
}
