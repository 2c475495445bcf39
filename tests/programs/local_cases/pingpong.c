/* SPDX-License-Identifier: Apache-2.0 */
/* Two threads, there and back. */
#include "local.h"

static struct {
    int to[2], from[2], count;
    char how;
} game;

static void game_get(int fd, int *ep)
{
    uint64_t value;
    struct pollfd f = {fd, POLLIN, 0};
    struct epoll_event e = {.events = EPOLLIN};
    if (game.how == 'p' && poll(&f, 1, -1) != 1)
        perror("poll");
    if (game.how == 'e') {
        if (*ep < 0 && ((*ep = epoll_create1(0)) < 0 || epoll_ctl(*ep, EPOLL_CTL_ADD, fd, &e)))
            perror("epoll");
        if (epoll_wait(*ep, &e, 1, -1) != 1)
            perror("epoll_wait");
    }
    while (read(fd, &value, sizeof value) != sizeof value)
        if (errno != EAGAIN)
            exit(1);
}

static void game_put(int fd)
{
    uint64_t one = 1;
    if (write(fd, &one, sizeof one) != sizeof one)
        perror("write");
}

static void *game_other(void *argument)
{
    int ep = -1;
    for (int i = 0; i < game.count; i++) {
        game_get(game.to[0], &ep);
        game_put(game.from[1]);
    }
    return argument;
}

void pingpong(int kind, char how, int count)
{
    game.how = how;
    game.count = count;
    pthread_t other;
    int ep = -1;
    pair_of_kind(kind, game.to);
    pair_of_kind(kind, game.from);
    if (game.how == 't') {
        nonblocking(game.to[0], true);
        nonblocking(game.from[0], true);
    }
    pthread_create(&other, NULL, game_other, NULL);
    for (int i = 0; i < game.count; i++) {
        game_put(game.to[1]);
        game_get(game.from[0], &ep);
    }
    pthread_join(other, NULL);
    printf("%d there and back\n", game.count);
}

void alone(int kind, int count)
{
    int p[2], ep = epoll_create1(0);
    uint64_t one = 1;
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT};
    pair_of_kind(kind, p);
    epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e);
    for (int i = 0; i < count; i++) {
        struct pollfd f = {p[0], POLLIN, 0};
        if (poll(&f, 1, 0) != 0 || write(p[1], &one, sizeof one) != sizeof one || poll(&f, 1, -1) != 1 ||
            epoll_wait(ep, &e, 1, -1) != 1 || read(p[0], &one, sizeof one) != sizeof one)
            perror("alone");
    }
    printf("%d to itself\n", count);
}
