/* SPDX-License-Identifier: Apache-2.0 */
/* What the UDP programs of the benchmarks share. */
#ifndef BENCH_UDP_H
#define BENCH_UDP_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define DATAGRAM_MAX 65507
#define BATCH_MAX 1024
#define CLOCK_EVERY 32 /* datagrams between two looks at the clock */

static inline double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static inline struct sockaddr_in address_of(const char *host, const char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        fprintf(stderr, "not an IPv4 address: %s\n", host);
        exit(2);
    }
    return address;
}

/* A UDP socket that is bound to a port of any address. */
static inline int udp_bound(const char *port)
{
    const struct sockaddr_in any = address_of("0.0.0.0", port);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&any, sizeof any)) {
        perror("bind");
        exit(1);
    }
    return fd;
}

#endif
