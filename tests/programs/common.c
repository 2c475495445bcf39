/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that processes share: what each sees of the others, locks, semaphores and conditions between them. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHILDREN 3
#define TURNS 2000

struct shared {
    _Atomic unsigned atomic;
    unsigned under_lock, under_semaphore;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned stage;
    sem_t semaphore, ping, pong;
    pthread_barrier_t barrier;
    pthread_mutex_t robust;
    char text[3 * 4096];
    _Atomic unsigned spread[64][1024];
};

static struct shared *s;

static void *share(size_t size)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return at;
}

static void prepare(void)
{
    pthread_mutexattr_t mutex;
    pthread_condattr_t condition;
    pthread_barrierattr_t barrier;
    s = share(sizeof *s);
    pthread_mutexattr_init(&mutex);
    pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&s->lock, &mutex);
    pthread_mutexattr_setrobust(&mutex, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&s->robust, &mutex);
    pthread_condattr_init(&condition);
    pthread_condattr_setpshared(&condition, PTHREAD_PROCESS_SHARED);
    pthread_cond_init(&s->changed, &condition);
    pthread_barrierattr_init(&barrier);
    pthread_barrierattr_setpshared(&barrier, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&s->barrier, &barrier, CHILDREN + 1);
    sem_init(&s->semaphore, 1, 1);
    sem_init(&s->ping, 1, 0);
    sem_init(&s->pong, 1, 0);
}

static void *count(void *unused)
{
    (void)unused;
    for (int i = 0; i < TURNS; i++) {
        atomic_fetch_add(&s->atomic, 1);
        pthread_mutex_lock(&s->lock);
        s->under_lock++;
        pthread_mutex_unlock(&s->lock);
        sem_wait(&s->semaphore);
        s->under_semaphore++;
        sem_post(&s->semaphore);
    }
    return NULL;
}

static void child(int number)
{
    pthread_t thread;
    pthread_barrier_wait(&s->barrier);
    pthread_create(&thread, NULL, count, NULL);
    count(NULL);
    pthread_join(thread, NULL);
    for (int i = 0; i < 64; i++)
        atomic_fetch_add(&s->spread[i][number], (unsigned)(i + number));
    exit(number);
}

static int wait_status(pid_t pid)
{
    int status;
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void counting(void)
{
    pid_t pid[CHILDREN];
    unsigned sum = 0;
    for (int i = 0; i < CHILDREN; i++)
        if (!(pid[i] = fork()))
            child(i);
    pthread_barrier_wait(&s->barrier);
    for (int i = 0; i < CHILDREN; i++)
        printf("child %d ended with %d\n", i, wait_status(pid[i]));
    for (int i = 0; i < 64; i++)
        for (int k = 0; k < CHILDREN; k++)
            sum += s->spread[i][k];
    printf("counted %u %u %u, spread %u\n", s->atomic, s->under_lock, s->under_semaphore, sum);
}

static void turns(void)
{
    pid_t pid = fork();
    for (int i = 0; i < 200; i++) {
        if (pid) {
            snprintf(s->text, sizeof s->text, "%d", i);
            sem_post(&s->ping);
            sem_wait(&s->pong);
            if (atoi(s->text) != i + 1000) {
                printf("turn %d: %s\n", i, s->text);
                break;
            }
        } else {
            sem_wait(&s->ping);
            snprintf(s->text, sizeof s->text, "%d", atoi(s->text) + 1000);
            sem_post(&s->pong);
        }
    }
    if (!pid)
        _exit(0);
    printf("turns ended with %d\n", wait_status(pid));
}

static void stages(void)
{
    pid_t pid = fork();
    for (unsigned i = pid ? 0 : 1; i < 100; i += 2) {
        pthread_mutex_lock(&s->lock);
        while (s->stage != i)
            pthread_cond_wait(&s->changed, &s->lock);
        s->stage++;
        pthread_cond_broadcast(&s->changed);
        pthread_mutex_unlock(&s->lock);
    }
    if (!pid)
        _exit(0);
    int status = wait_status(pid);
    printf("stages ended with %d at %u\n", status, s->stage);
}

/* What a system call copies from there and to there; who executes another program leaves it behind. */
static void calls(void)
{
    int ends[2];
    if (pipe(ends))
        return;
    pid_t pid = fork();
    if (!pid) {
        memset(s->text, 'x', sizeof s->text);
        _exit(write(ends[1], s->text + 100, 5000) == 5000 ? 0 : 1);
    }
    int status = wait_status(pid);
    ssize_t n = read(ends[0], s->text + 200, 5000);
    printf("written %d, read %zd: %c%c\n", status, n, s->text[0], s->text[12000]);
    if (!(pid = fork())) {
        strcpy(s->text, "before execve");
        execl("/bin/true", "true", NULL);
    }
    status = wait_status(pid);
    printf("program ended with %d: %s\n", status, s->text);
    pid = vfork();
    if (!pid) {
        strcpy(s->text, "by vfork");
        _exit(4);
    }
    status = wait_status(pid);
    printf("vfork ended with %d: %s\n", status, s->text);
}

static void faulted(int number)
{
    _exit(number);
}

static void protection(void)
{
    char *page = share(2 * 4096);
    strcpy(page, "as it was");
    pid_t pid = fork();
    if (!pid) {
        signal(SIGSEGV, faulted);
        mprotect(page, 4096, PROT_READ);
        if (strcmp(page, "as it was"))
            _exit(1);
        page[4096] = 1;
        *(volatile char *)page = 'A';
        _exit(2);
    }
    int status = wait_status(pid);
    printf("writing to what is read-only: %d, beside it: %d\n", status, page[4096]);
    if (!(pid = fork())) {
        strcpy(page, "by the child");
        munmap(page, 2 * 4096);
        _exit(0);
    }
    status = wait_status(pid);
    printf("after munmap: %d, %s\n", status, page);
    munmap(page, 4096);
    printf("half of it: %d\n", page[4096]);
}

static void robust(void)
{
    pid_t pid = fork();
    if (!pid) {
        pthread_mutex_lock(&s->robust);
        _exit(0);
    }
    int status = wait_status(pid), got = pthread_mutex_lock(&s->robust);
    printf("owner ended with %d: %s\n", status, got == EOWNERDEAD ? "told" : "not told");
}

static void timed(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 20000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    int result = sem_timedwait(&s->ping, &until);
    printf("waiting for nothing: %d %s\n", result, result ? strerror(errno) : "");
}

static void killed(void)
{
    pid_t pid = fork();
    if (!pid) {
        strcpy(s->text, "still here");
        sem_post(&s->ping);
        for (;;)
            pause();
    }
    sem_wait(&s->ping);
    usleep(1000);
    int same = !strcmp(s->text, "still here");
    kill(pid, SIGTERM);
    printf("seen while it lived: %d, ended with %d\n", same, wait_status(pid));
}

/* As a server's workers, which may send their master no signal. */
static void other_user(void)
{
    pid_t pid = fork();
    if (!pid) {
        if (!getuid() && setuid(65534))
            _exit(1);
        sem_wait(&s->ping);
        strcat(s->text, " and of another user");
        _exit(0);
    }
    strcpy(s->text, "of one user");
    sem_post(&s->ping);
    int status = wait_status(pid);
    printf("%d: %s\n", status, s->text);
}

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    prepare();
    counting();
    turns();
    stages();
    calls();
    protection();
    robust();
    timed();
    killed();
    other_user();
    return 0;
}
