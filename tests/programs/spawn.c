/* SPDX-License-Identifier: Apache-2.0 */
/* Children that share memory with their parent until they execute a program: what they leave there. Prints what
 * the kernel does; natively and in the enclave it must be the same. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int status_of(pid_t pid)
{
    int status;
    if (waitpid(pid, &status, 0) != pid)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void spawning(void)
{
    pid_t pid = -1;
    char *echo[] = {"sh", "-c", "echo spawned; exit 6", NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    printf("missing: %s\n", strerror(posix_spawn(&pid, "/no/such", NULL, NULL, echo, environ)));
    printf("not executable: %s\n", strerror(posix_spawn(&pid, "/etc/passwd", NULL, NULL, echo, environ)));
    printf("no children: %d\n", waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
    fflush(stdout);
    printf("spawn: %d", posix_spawnp(&pid, "sh", NULL, NULL, echo, environ));
    printf(" %d\n", status_of(pid));

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "spawned.txt", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    printf("with actions: %d", posix_spawnp(&pid, "sh", &actions, &attributes, echo, environ));
    printf(" %d %d\n", getpgid(pid) == pid, status_of(pid));
    posix_spawn_file_actions_addclose(&actions, 12345);
    posix_spawn_file_actions_addopen(&actions, 1, "/no/such/place", O_RDONLY, 0);
    printf("wrong action: %s\n", strerror(posix_spawnp(&pid, "sh", &actions, NULL, echo, environ)));
}

static volatile int in_data = 1;
static volatile int *in_heap;

static void sharing(void)
{
    volatile int on_stack = 1;
    in_heap = malloc(100000);
    *in_heap = 1;
    fflush(stdout);
    pid_t pid = vfork();
    if (pid == 0) {
        on_stack = in_data = *in_heap = 2;
        in_heap[20000] = 3;
        execl("/no/such", "x", (char *)NULL);
        on_stack += errno;
        _exit(9);
    }
    printf("after _exit: %d %d %d %d, status %d\n", on_stack, in_data, *in_heap, in_heap[20000], status_of(pid));
    pid = vfork();
    if (pid == 0) {
        in_data = 5;
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    printf("after execve: %d, status %d\n", in_data, status_of(pid));
    pid = vfork();
    if (pid == 0)
        raise(SIGKILL);
    printf("after a signal: status %d\n", status_of(pid));
}

/* The others go on while one thread's child has not executed anything: what they write is not undone. */
/* Memory for all children is one for vfork's too, before a fork and after. */
static void mapped(void)
{
    volatile int *both = mmap(NULL, 20 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    both[0] = 1;
    both[5 * 1024] = 5;
    for (int round = 0; round < 2; round++) {
        pid_t pid = vfork();
        if (pid == 0) {
            both[1024] += both[0];
            both[5 * 1024]++;
            _exit(both[5 * 1024]);
        }
        printf("mapped: %d", status_of(pid));
        printf(" %d %d\n", both[1024], both[5 * 1024]);
        fflush(stdout);
        if (!(pid = fork())) {
            both[2048] = both[1024] + 10;
            _exit(0);
        }
        printf("forked: %d", status_of(pid));
        printf(" %d %d\n", both[2048], both[5 * 1024]);
        both[0]++;
        fflush(stdout);
    }
}

static _Atomic int counter, stop;

static void *count(void *unused)
{
    while (!atomic_load(&stop))
        atomic_fetch_add(&counter, 1);
    return unused;
}

static void others(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, count, NULL);
    int before = 0, backwards = 0;
    for (int i = 0; i < 5; i++) {
        pid_t pid = vfork();
        if (pid == 0)
            _exit(i);
        int now = atomic_load(&counter);
        backwards += now < before;
        before = now;
        if (status_of(pid) != i)
            printf("wrong status\n");
    }
    atomic_store(&stop, 1);
    pthread_join(thread, NULL);
    printf("backwards: %d\n", backwards);
}

int main(void)
{
    char line[100];
    spawning();
    sharing();
    mapped();
    others();
    fflush(stdout);
    printf("system: %d\n", WEXITSTATUS(system("exit 7")));
    FILE *p = popen("echo through a pipe; exit 3", "r");
    while (fgets(line, sizeof line, p))
        printf("%s", line);
    printf("pclose: %d\n", WEXITSTATUS(pclose(p)));
    return 0;
}
