/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The letters of a signature, one an argument:
 *   d signed  u unsigned  l 64 bits signed  n a size  x hexadecimal  o octal  p an address  D a folder's
 *   descriptor or AT_FDCWD  s a string  w bytes that go in, as many as the next argument says  b bytes that come
 *   out, as many as the result says  B a string that comes out  v buffers, their count next  t a timespec
 *   T a timeval  a a socket address, its length next  A one that comes out  f pollfds, their count next
 *   g a signal set  2 two descriptors that come out  e an epoll event  j epoll events that come out
 * All others stand for words (trace_names.c).
 */
#include "enclave/os/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "abi/syscall_names.h"
#include "enclave/boundary/log.h"
#include "enclave/boundary/user.h"
#include "enclave/lib/lib.h"
#include "enclave/os/syscalls.h"
#include "enclave/os/trace_names.h"

#define LINE_MAX_ 384
#define BYTES_SHOWN 32
#define STRING_SHOWN 120
#define ELEMENTS_SHOWN 4

struct line {
    char text[LINE_MAX_];
    size_t at;
};

struct call {
    const uint64_t *argument;
    int64_t result;
    bool ended;
};

__attribute__((format(printf, 2, 3))) static void add(struct line *l, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = print_vformat(l->text + l->at, sizeof l->text - l->at, format, arguments);
    va_end(arguments);
    l->at = MIN(l->at + (size_t)n, sizeof l->text - 1);
}

static void add_address(struct line *l, uint64_t address)
{
    if (address)
        add(l, "0x%lx", address);
    else
        add(l, "NULL");
}

static void add_quoted(struct line *l, const uint8_t *bytes, uint64_t n, bool cut)
{
    add(l, "\"");
    for (uint64_t i = 0; i < n; i++) {
        uint8_t c = bytes[i];
        if (c == '\n')
            add(l, "\\n");
        else if (c == '\r')
            add(l, "\\r");
        else if (c == '\t')
            add(l, "\\t");
        else if (c == '"' || c == '\\')
            add(l, "\\%c", c);
        else if (c >= ' ' && c < 127)
            add(l, "%c", c);
        else /* three digits where a digit follows */
            add(l, i + 1 < n && bytes[i + 1] >= '0' && bytes[i + 1] <= '9' ? "\\%03o" : "\\%o", c);
    }
    add(l, cut ? "\"..." : "\"");
}

static void add_bytes(struct line *l, uint64_t address, int64_t n)
{
    uint8_t copy[BYTES_SHOWN];
    uint64_t shown = MIN((uint64_t)MAX(n, 0), sizeof copy);
    if (n < 0 || !address || user_read(copy, (const void *)address, shown))
        add_address(l, address);
    else
        add_quoted(l, copy, shown, (uint64_t)n > shown);
}

static void add_string(struct line *l, uint64_t address)
{
    char copy[STRING_SHOWN];
    int64_t n = address ? user_string(copy, (const char *)address, sizeof copy) : -EFAULT;
    if (n == -EFAULT)
        add_address(l, address);
    else
        add_quoted(l, (const uint8_t *)copy, n < 0 ? sizeof copy : (uint64_t)n, n < 0);
}

static void add_words(struct line *l, const struct trace_names *names, uint64_t value)
{
    uint64_t rest = value, part = names->bits ? value & names->choice : value;
    bool first = true;
    for (uint32_t i = 0; i < names->count; i++) {
        const struct trace_name *n = &names->list[i];
        bool chosen = !names->bits          ? n->value == value
                      : !n->value           ? !part && (names->choice || !value)
                      : names->choice & n->value && !(n->value & ~names->choice)
                          ? n->value == part
                          : !(n->value & names->choice) && (rest & n->value) == n->value;
        if (!chosen)
            continue;
        add(l, "%s%s", first ? "" : "|", n->name);
        first = false;
        rest &= ~n->value;
        if (!names->bits)
            return;
    }
    if (first || (names->bits && rest))
        add(l, rest > 9 ? "%s0x%lx" : "%s%lu", first ? "" : "|", rest);
}

static void add_letter(struct line *l, char letter, uint64_t value)
{
    const struct trace_names *names = trace_names(letter);
    if (names)
        add_words(l, names, letter == 'I' || names->bits ? (uint32_t)value : (uint64_t)(int64_t)(int32_t)value);
    else
        add(l, "0x%lx", value);
}

static void add_buffers(struct line *l, uint64_t address, uint64_t count)
{
    struct iovec v;
    add(l, "[");
    for (uint64_t i = 0; i < count; i++) {
        if (i == ELEMENTS_SHOWN || user_get(&v, (const struct iovec *)address + i)) {
            add(l, ", ...");
            break;
        }
        add(l, "%s{0x%lx, %lu}", i ? ", " : "", (uint64_t)v.iov_base, v.iov_len);
    }
    add(l, "]");
}

static void add_socket_address(struct line *l, uint64_t address, uint64_t length)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    } a;
    memset(&a, 0, sizeof a);
    length = MIN(length, sizeof a);
    if (!address || length < sizeof(sa_family_t) || user_read(&a, (const void *)address, length)) {
        add_address(l, address);
        return;
    }
    const uint8_t *b = (const uint8_t *)&a.in.sin_addr;
    switch (a.any.sa_family) {
    case AF_INET:
        add(l, "{AF_INET, %u.%u.%u.%u:%u}", b[0], b[1], b[2], b[3], __builtin_bswap16(a.in.sin_port));
        break;
    case AF_INET6:
        add(l, "{AF_INET6, [");
        for (int i = 0; i < 16; i += 2)
            add(l, "%s%x", i ? ":" : "", a.in6.sin6_addr.s6_addr[i] << 8 | a.in6.sin6_addr.s6_addr[i + 1]);
        add(l, "]:%u}", __builtin_bswap16(a.in6.sin6_port));
        break;
    case AF_UNIX:
        add(l, "{AF_UNIX, \"%s%.100s\"}", a.un.sun_path[0] ? "" : "@", a.un.sun_path + !a.un.sun_path[0]);
        break;
    default:
        add(l, "{family %u}", a.any.sa_family);
    }
}

static void add_socket_address_out(struct line *l, const struct call *c, uint64_t address, uint64_t length)
{
    socklen_t n;
    if (c->result < 0 || !length || user_get(&n, (const void *)length))
        add_address(l, address);
    else
        add_socket_address(l, address, n);
}

static void add_polls(struct line *l, const struct call *c, uint64_t address, uint64_t count)
{
    struct pollfd p;
    add(l, "[");
    for (uint64_t i = 0; i < count; i++) {
        if (i == ELEMENTS_SHOWN || user_get(&p, (const struct pollfd *)address + i)) {
            add(l, ", ...");
            break;
        }
        add(l, "%s{%d, 0x%x", i ? ", " : "", p.fd, (uint16_t)p.events);
        if (c->ended && p.revents)
            add(l, " -> 0x%x", (uint16_t)p.revents);
        add(l, "}");
    }
    add(l, "]");
}

static void add_epoll_events(struct line *l, uint64_t address, int64_t count)
{
    struct epoll_event e;
    add(l, "[");
    for (int64_t i = 0; i < count; i++) {
        if (i == ELEMENTS_SHOWN || user_get(&e, (const struct epoll_event *)address + i)) {
            add(l, ", ...");
            break;
        }
        add(l, "%s{", i ? ", " : "");
        add_letter(l, 'V', e.events);
        add(l, ", 0x%lx}", e.data.u64);
    }
    add(l, "]");
}

static void add_pair(struct line *l, uint64_t address, bool micro)
{
    int64_t t[2];
    if (!address || user_read(t, (const void *)address, sizeof t))
        add_address(l, address);
    else
        add(l, micro ? "{%ld.%06lds}" : "{%ld.%09lds}", t[0], t[1]);
}

static void add_set(struct line *l, uint64_t address)
{
    uint64_t set;
    if (!address || user_get(&set, (const void *)address))
        add_address(l, address);
    else
        add(l, "{0x%lx}", set);
}

static void add_argument(struct line *l, const struct call *c, char letter, int i)
{
    uint64_t value = c->argument[i], next = i < 5 ? c->argument[i + 1] : 0;
    int fds[2];
    switch (letter) {
    case 'd':
        add(l, "%d", (int)value);
        break;
    case 'u':
        add(l, "%u", (uint32_t)value);
        break;
    case 'l':
        add(l, "%ld", (int64_t)value);
        break;
    case 'n':
        add(l, "%lu", value);
        break;
    case 'o':
        add(l, (uint32_t)value ? "0%o" : "%o", (uint32_t)value);
        break;
    case 'p':
        add_address(l, value);
        break;
    case 'D':
        if ((int)value == AT_FDCWD)
            add(l, "AT_FDCWD");
        else
            add(l, "%d", (int)value);
        break;
    case 's':
        add_string(l, value);
        break;
    case 'B':
        if (c->result >= 0)
            add_string(l, value);
        else
            add_address(l, value);
        break;
    case 'w':
        add_bytes(l, value, (int64_t)MIN(next, INT64_MAX));
        break;
    case 'b':
        add_bytes(l, value, c->ended ? c->result : -1);
        break;
    case 'v':
        add_buffers(l, value, next);
        break;
    case 'a':
        add_socket_address(l, value, next);
        break;
    case 'A':
        add_socket_address_out(l, c, value, next);
        break;
    case 'f':
        add_polls(l, c, value, next);
        break;
    case 't':
    case 'T':
        add_pair(l, value, letter == 'T');
        break;
    case 'g':
        add_set(l, value);
        break;
    case '2':
        if (c->result < 0 || user_read(fds, (const void *)value, sizeof fds))
            add_address(l, value);
        else
            add(l, "[%d, %d]", fds[0], fds[1]);
        break;
    case 'e':
        add_epoll_events(l, value, value != 0);
        break;
    case 'j':
        add_epoll_events(l, value, c->result);
        break;
    default:
        add_letter(l, letter, value);
    }
}

static void add_call(struct line *l, int tid, uint64_t number, const struct call *c)
{
    const char *name = number < ARRAY_SIZE(syscall_names) ? syscall_names[number] : NULL;
    const char *signature = trace_signature(number);
    if (name)
        add(l, "%d %s(", tid, name);
    else
        add(l, "%d syscall_%lu(", tid, number);
    if (!signature)
        signature = "xxxxxx";
    for (int i = 0; signature[i]; i++) {
        if (i)
            add(l, ", ");
        add_argument(l, c, signature[i], i);
    }
    add(l, ")");
}

static bool is_address(uint64_t number)
{
    const char *name = number < ARRAY_SIZE(syscall_names) ? syscall_names[number] : NULL;
    return name && (!strcmp(name, "mmap") || !strcmp(name, "brk") || !strcmp(name, "mremap"));
}

static void add_result(struct line *l, uint64_t number, int64_t result)
{
    const char *error = trace_error(-result);
    if (result == RESTART_SYS || result == RESTART_NOHAND || result == RESTART_ALWAYS)
        add(l, " = ? (to be made again)");
    else if (result < 0 && error && result > -4096)
        add(l, " = -1 %s", error);
    else if (is_address(number))
        add(l, " = 0x%lx", (uint64_t)result);
    else
        add(l, " = %ld", result);
}

void trace_call(int tid, uint64_t number, const uint64_t argument[6], int64_t result, bool trapped)
{
    struct line l = {.at = 0};
    const struct call c = {.argument = argument, .result = result, .ended = true};
    add_call(&l, tid, number, &c);
    add_result(&l, number, result);
    log_trace("%s%s", l.text, trapped ? " (trapped)" : "");
}

void trace_last_call(int tid, uint64_t number, const uint64_t argument[6])
{
    struct line l = {.at = 0};
    const struct call c = {.argument = argument, .result = -1};
    add_call(&l, tid, number, &c);
    log_trace("%s", l.text);
}
