/* SPDX-License-Identifier: Apache-2.0 */
/* What an XSK does not carry: IP options, fragments, datagrams between processes that share a port; options that
 * few programs set. */
#include "cases.h"

#include <linux/filter.h>
#include <sys/wait.h>

#define IP_RECVFRAGSIZE_ 25
#define IPV6_RECVFRAGSIZE_ 77

static bool is_four(void)
{
    return way->family == AF_INET || way->mapped;
}

static void ip_options(void)
{
    int fd = open_bound(PORT_OWN);
    if (!is_four() || way->mapped)
        goto out;
    tell("options %d", PORT_OWN);
    say_received("with IP options", fd);
    burst(PORT_OWN, 1, 5, 64, 0);
    say_received("without again", fd);
    set_int(fd, IPPROTO_IP, IP_RECVOPTS, 1);
    tell("options %d", PORT_OWN);
    say_control("IP_RECVOPTS", fd, 500);
    set_int(fd, IPPROTO_IP, IP_RECVOPTS, 0);
    set_int(fd, IPPROTO_IP, IP_RETOPTS, 1);
    tell("options %d", PORT_OWN);
    say_control("IP_RETOPTS", fd, 500);
out:
    close(fd);
}

/* Reassembled, whole, in order where they come alone. */
static void fragments(void)
{
    static const int sizes[] = {1473, 2000, 2960, 9000, 30000, 65000};
    static char bytes[70000];
    int fd = open_bound(PORT_OWN);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char name[40];
        snprintf(name, sizeof name, "%d bytes in fragments", sizes[i]);
        burst(PORT_OWN, 1, sizes[i], 64, 0);
        ssize_t n = receive(fd, bytes, sizeof bytes);
        bool same = n > 0;
        for (ssize_t k = 0; k < n; k++)
            same &= bytes[k] == 'a';
        say(name, "%zd, %s", n, same ? "as sent" : "not as sent");
    }
    set_int(fd, IPPROTO_IP, IP_RECVFRAGSIZE_, 1);
    set_int(fd, IPPROTO_IPV6, IPV6_RECVFRAGSIZE_, 1);
    burst(PORT_OWN, 1, 3000, 64, 0);
    say_control("IP_RECVFRAGSIZE", fd, 500);
    burst(PORT_OWN, 1, 30, 64, 0);
    say_control("of one that is whole", fd, 500);
    set_int(fd, IPPROTO_IP, IP_PKTINFO, 1);
    set_int(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    set_int(fd, IPPROTO_IP, IP_RECVTTL, 1);
    set_int(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
    burst(PORT_OWN, 1, 3000, 44, 0);
    say_control("what is told of fragments", fd, 500);
    close(fd);
}

/* A child opens the same port: whatever the share of each, nothing is lost and nothing comes twice. */
static void a_port_of_two_processes(void)
{
    int fd = open_socket(), ready[2], total = 0, got = 0;
    char byte;
    set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    bind_to(fd, any_address(PORT_OWN));
    if (pipe(ready))
        return;
    pid_t child = fork();
    if (!child) {
        int own = open_socket();
        close(fd);
        set_int(own, SOL_SOCKET, SO_REUSEPORT, 1);
        int bound = bind_to(own, any_address(PORT_OWN));
        (void)!write(ready[1], &bound, sizeof bound);
        struct pollfd p = {.fd = own, .events = POLLIN};
        while (poll(&p, 1, 1000) == 1 && recv(own, &byte, 1, 0) >= 0)
            got++;
        _exit(got);
    }
    int bound = -1;
    (void)!read(ready[0], &bound, sizeof bound);
    say("a child binds the port too", "%d", bound);
    tell("many %d %d", PORT_OWN, 60);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (poll(&p, 1, 500) == 1 && recv(fd, &byte, 1, 0) >= 0)
        got++;
    int status = 0;
    waitpid(child, &status, 0);
    total = got + WEXITSTATUS(status);
    say("between two processes", "%d in all, %s", total, got && got < 60 ? "both got some" : "one got all");
    burst(PORT_OWN, 3, 5, 64, 0);
    say_received("when it has ended", fd);
    close(ready[0]);
    close(ready[1]);
    close(fd);
}

/* The program that chooses among them is the kernel's to run. */
static void a_port_shared_by_a_filter(void)
{
    struct sock_filter second[] = {BPF_STMT(BPF_RET | BPF_K, 1)};
    struct sock_fprog program = {1, second};
    int fd[2];
    for (int i = 0; i < 2; i++) {
        fd[i] = open_socket();
        set_int(fd[i], SOL_SOCKET, SO_REUSEPORT, 1);
        bind_to(fd[i], any_address(PORT_OWN));
    }
    say_result("SO_ATTACH_REUSEPORT_CBPF",
               setsockopt(fd[0], SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program));
    tell("many %d %d", PORT_OWN, 10);
    for (int i = 0; i < 10; i++) {
        char byte;
        receive(fd[1], &byte, 1);
    }
    say_silence("all but the chosen one", fd[0]);
    say_silence("which has had them all", fd[1]);
    close(fd[0]);
    close(fd[1]);
}

static const struct {
    const char *text;
    int level, name, value;
} rare[] = {
    {"SO_MARK", SOL_SOCKET, SO_MARK, 5},
    {"SO_PRIORITY", SOL_SOCKET, SO_PRIORITY, 4},
    {"SO_DONTROUTE", SOL_SOCKET, SO_DONTROUTE, 1},
    {"SO_BUSY_POLL", SOL_SOCKET, SO_BUSY_POLL, 50},
    {"SO_RCVLOWAT", SOL_SOCKET, SO_RCVLOWAT, 100},
    {"SO_SELECT_ERR_QUEUE", SOL_SOCKET, SO_SELECT_ERR_QUEUE, 1},
    {"SO_WIFI_STATUS", SOL_SOCKET, SO_WIFI_STATUS, 1},
    {"IP_MULTICAST_ALL", IPPROTO_IP, 49, 0},
    {"IP_FREEBIND", IPPROTO_IP, IP_FREEBIND, 1},
    {"IP_MINTTL", IPPROTO_IP, IP_MINTTL, 30},
    {"IP_RECVORIGDSTADDR", IPPROTO_IP, IP_RECVORIGDSTADDR, 1},
    {"IPV6_MINHOPCOUNT", IPPROTO_IPV6, 73, 30},
    {"IPV6_RECVPATHMTU", IPPROTO_IPV6, IPV6_RECVPATHMTU, 1},
    {"UDP_NO_CHECK6_TX", IPPROTO_UDP, UDP_NO_CHECK6_TX, 1},
    {"UDP_NO_CHECK6_RX", IPPROTO_UDP, UDP_NO_CHECK6_RX, 1},
};

/* What each says when it is set, and that datagrams go both ways with it. */
static void rare_options(void)
{
    for (size_t i = 0; i < sizeof rare / sizeof *rare; i++) {
        int fd = open_bound(PORT_OWN), value = -1;
        socklen_t n = sizeof value;
        say_result(rare[i].text, set_int(fd, rare[i].level, rare[i].name, rare[i].value));
        if (getsockopt(fd, rare[i].level, rare[i].name, &value, &n))
            say_result("its value", -1);
        else
            say("its value", "%d", value);
        send_to(fd, peer_address(PORT_ECHO), "there and back", 14, 0);
        say_received("with it", fd);
        burst(PORT_OWN, 1, 5, 20, 0);
        if (rare[i].value == 30)
            say_silence("of a far one", fd);
        else
            say_received("of another", fd);
        close(fd);
    }
}

void cases_odd(void)
{
    ip_options();
    fragments();
    a_port_of_two_processes();
    a_port_shared_by_a_filter();
    rare_options();
}
