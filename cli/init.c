/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "host/host.h"

/* The signals that arrive are told to the other one, until it has ended. */
static _Noreturn void look_after(pid_t pid, const sigset_t *all)
{
    for (;;) {
        siginfo_t info;
        if (sigwaitinfo(all, &info) < 0)
            continue;
        /* What a terminal sends goes to the whole group, the other one too. */
        if (info.si_code == SI_KERNEL && info.si_signo != SIGHUP && info.si_signo != SIGCHLD)
            continue;
        if (info.si_signo != SIGCHLD) {
            kill(pid, info.si_signo);
            continue;
        }
        int status, ended = -1;
        for (pid_t got; (got = waitpid(-1, &status, WNOHANG)) > 0;)
            if (got == pid)
                ended = status;
        /* The kernel lets pid 1 not die of its own signals: a status says which. */
        if (ended >= 0)
            _exit(WIFSIGNALED(ended) ? 128 + WTERMSIG(ended) : WEXITSTATUS(ended));
    }
}

void init_become(void)
{
    if (getpid() != 1)
        return;
    sigset_t all, old;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &old);
    pid_t pid = fork();
    if (pid > 0)
        look_after(pid, &all);
    if (pid < 0)
        complain("cannot make a process beside pid 1, which the program gets now: %s", strerror(errno));
    sigprocmask(SIG_SETMASK, &old, NULL);
}
