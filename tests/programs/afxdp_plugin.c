/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for the AF_XDP device plugin of Kubernetes: gives each interface a program that redirects all that
 * comes, and hands out its map over the plugin's protocol to one connection, as the plugin does. Says "ready",
 * then each request and its answer, a line each. Ends, and detaches, with its standard input.
 *
 *   afxdp_plugin SOCKET POD INTERFACE...
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "redirect.skel.h"

#define MESSAGE 64
#define DEVICES 4

static struct {
    const char *name;
    struct redirect *program;
    int link;
} devices[DEVICES];
static int device_count;

static bool attach(const char *name)
{
    LIBBPF_OPTS(bpf_link_create_opts, options,
                .flags = strcmp(name, "lo") ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE);
    struct redirect *program = redirect__open_and_load();
    int link = -1;
    if (program)
        link = bpf_link_create(bpf_program__fd(program->progs.redirect), (int)if_nametoindex(name), BPF_XDP,
                               &options);
    devices[device_count].name = name;
    devices[device_count].program = program;
    devices[device_count++].link = link;
    return link >= 0;
}

static void reply(int to, const char *text, int fd)
{
    struct iovec part = {.iov_base = (void *)text, .iov_len = strlen(text)};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof fd)];
    } control = {0};
    struct msghdr packet = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd > 0) {
        packet.msg_control = &control;
        packet.msg_controllen = sizeof control.space;
        control.header = (struct cmsghdr){
            .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd)};
        memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    }
    sendmsg(to, &packet, MSG_NOSIGNAL);
    printf("> %s%s\n", text, fd > 0 ? " with a descriptor" : "");
}

/* What a request has after its only comma, with its spaces removed; NULL: it is another word's. */
static char *second_word(char *request, const char *first)
{
    char *comma = strchr(request, ','), *out;
    if (!comma || strchr(comma + 1, ',') || (size_t)(comma - request) != strlen(first) ||
        strncmp(request, first, strlen(first)))
        return NULL;
    out = comma + 1;
    for (char *from = comma + 1; *from; from++)
        if (*from != ' ')
            *out++ = *from;
    *out = '\0';
    return comma + 1;
}

static void serve_map(int to, char *request)
{
    const char *name = second_word(request, "/xsk_map_fd");
    if (!name) {
        reply(to, "/nak", -1);
        return;
    }
    for (int i = 0; i < device_count; i++)
        if (!strcmp(devices[i].name, name)) {
            reply(to, "/fd_ack", bpf_map__fd(devices[i].program->maps.xsks_map));
            return;
        }
    reply(to, "/fd_nak", -1);
}

static bool request_read(int from, char request[MESSAGE + 1])
{
    ssize_t length = recv(from, request, MESSAGE, 0);
    if (length <= 0)
        return false;
    request[length] = '\0';
    printf("< %s\n", request);
    return true;
}

static void serve(int client, const char *pod)
{
    char request[MESSAGE + 1];
    const char *name;
    if (!request_read(client, request))
        return;
    bool connected = (name = second_word(request, "/connect")) && !strcmp(name, pod);
    reply(client, connected ? "/host_ok" : "/host_nak", -1);
    while (connected && request_read(client, request)) {
        if (strstr(request, "/xsk_map_fd"))
            serve_map(client, request);
        else if (!strcmp(request, "/version"))
            reply(client, "0.1", -1);
        else if (!strcmp(request, "/fin")) {
            reply(client, "/fin_ack", -1);
            connected = false;
        } else
            reply(client, "/nak", -1);
    }
}

int main(int count, char **arguments)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (count < 4 || count > 3 + DEVICES)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 3; i < count; i++)
        if (!attach(arguments[i]))
            return 1;
    snprintf(address.sun_path, sizeof address.sun_path, "%s", arguments[1]);
    int listener = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1))
        return 1;
    printf("ready\n");
    int client = accept(listener, NULL, NULL);
    serve(client, arguments[2]);
    close(client);
    close(listener);
    unlink(address.sun_path);
    printf("closed\n");
    while (getchar() != EOF)
        continue;
    return 0;
}
