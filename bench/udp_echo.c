/* SPDX-License-Identifier: Apache-2.0 */
/* udp_echo PORT: sends every datagram back to where it came from, until it is ended by a signal. */
#include <errno.h>

#include "bench/udp.h"

int main(int words, char **word)
{
    static char data[DATAGRAM_MAX];
    if (words != 2) {
        fprintf(stderr, "usage: udp_echo PORT\n");
        return 2;
    }
    int fd = udp_bound(word[1]);
    for (;;) {
        struct sockaddr_in from;
        socklen_t size = sizeof from;
        ssize_t length = recvfrom(fd, data, sizeof data, 0, (struct sockaddr *)&from, &size);
        /* What does not fit into the queue is lost, as datagrams are. */
        if (length >= 0)
            sendto(fd, data, (size_t)length, 0, (const struct sockaddr *)&from, size);
        else if (errno != EINTR && errno != ECONNREFUSED) {
            perror("recvfrom");
            return 1;
        }
    }
}
