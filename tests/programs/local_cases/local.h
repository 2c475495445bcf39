/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of this program share. */
#ifndef LOCAL_H
#define LOCAL_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TELL(call) told(#call, (call))

extern uint8_t source[1 << 20], target[1 << 20]; /* what is written, what is read */
extern void *volatile nowhere;                   /* which the compiler does not know */
extern volatile sig_atomic_t caught;             /* the last signal */
extern const char *const kinds[];                /* as pair_of_kind numbers them */

long told(const char *what, long result);
void title(const char *format, ...);
void catch(int signal);
void handle(int signal, int flags);
uint64_t hash(const uint8_t *bytes, long n);
void poll_told(const char *what, int fd);
void nonblocking(int fd, bool on);
void leave(int fd);
void close_both(const int fds[2]);
void pair_of_kind(int kind, int fds[2]);
void events_told(const char *what, int ep, int timeout);
void watch(int ep, int operation, int fd, uint32_t events, uint32_t tag);
long child(int (*run)(const int *fds), const int *fds);
const char *type_name(int type);
void receive_told(int fd, size_t room, int flags);

void cases(void);
void rights_cases(int type, bool outside);
long send_files(int fd, const int *fds, size_t count, size_t bytes);
int receive_files(int fd, int *fds, size_t room, size_t bytes, int flags);
void waiting(void);
void leaving(void);
void sequence(uint64_t with, int steps);
void pingpong(int kind, char how, int count);
void alone(int kind, int count);

#endif
