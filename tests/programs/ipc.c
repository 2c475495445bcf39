/* SPDX-License-Identifier: Apache-2.0 */
/* Semaphores, message queues and shared memory, within a process and between processes: prints what happens; the
 * test compares with a native run. */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *outcome(long result)
{
    static char text[64];
    if (result < 0)
        snprintf(text, sizeof text, "%ld %s", result, strerrorname_np(errno));
    else
        snprintf(text, sizeof text, "%ld", result);
    return text;
}

#define SAY(what, call)                                                                            \
    do {                                                                                           \
        errno = 0;                                                                                 \
        long result_ = (long)(call);                                                               \
        printf("%s: %s\n", what, outcome(result_));                                                \
    } while (0)

static volatile sig_atomic_t signals, code, value;

static void on_signal(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    code = info->si_code;
    value = info->si_value.sival_int;
    signals++;
}

/* Runs it in another process and gives that process, unwaited. */
static pid_t elsewhere(void (*run)(int), int argument)
{
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        run(argument);
        fflush(stdout);
        _exit(0);
    }
    return pid;
}

static void wait_all(void)
{
    while (wait(NULL) > 0)
        ;
}

static void interrupt_parent(int after_ms)
{
    usleep((unsigned)after_ms * 1000);
    kill(getppid(), SIGUSR1);
}

/* ---- semaphores ---- */

static int change(int set, int which, int by, int flags)
{
    struct sembuf operation = {(unsigned short)which, (short)by, (short)flags};
    return semop(set, &operation, 1);
}

static void ping(int set)
{
    for (int i = 0; i < 20; i++) {
        change(set, 0, -1, 0);
        change(set, 1, 1, 0);
    }
}

static void take_with_undo(int set)
{
    change(set, 2, -2, SEM_UNDO);
    printf("in the child: %d\n", semctl(set, 2, GETVAL));
}

static void give_later(int set)
{
    usleep(30000);
    struct sembuf both[] = {{0, 1, 0}, {1, 1, 0}};
    semop(set, both, 2);
}

static void remove_later(int set)
{
    usleep(30000);
    semctl(set, 0, IPC_RMID);
}

static void semaphores(void)
{
    unsigned short values[3] = {0, 0, 5}, got[3] = {9, 9, 9};
    struct semid_ds about;
    struct timespec soon = {0, 20000000};
    struct sembuf both[] = {{0, -1, 0}, {1, -1, 0}}, many[600] = {{0, 0, 0}};
    int set = semget(IPC_PRIVATE, 3, 0600);
    SAY("semget of what is not there", semget(0x7a6b5c4d, 1, 0));
    SAY("SETALL", semctl(set, 0, SETALL, values));
    SAY("GETALL", semctl(set, 0, GETALL, got));
    printf("values %d %d %d\n", got[0], got[1], got[2]);
    SAY("SETVAL too large", semctl(set, 0, SETVAL, 70000));
    SAY("SETVAL negative", semctl(set, 0, SETVAL, -1));
    SAY("SETVAL of none", semctl(set, 7, SETVAL, 1));
    SAY("an unknown command", semctl(set, 0, 12345, 0));
    SAY("no wait", change(set, 0, -1, IPC_NOWAIT));
    SAY("a semaphore that is not there", change(set, 9, 1, 0));
    SAY("too many operations", semop(set, many, 600));
    SAY("no operations", semop(set, many, 0));
    SAY("a bad pointer", semop(set, (void *)8, 1));
    SAY("GETALL to nowhere", semctl(set, 0, GETALL, (void *)8));
    SAY("a time that is up", semtimedop(set, both, 2, &soon));

    elsewhere(ping, set);
    for (int i = 0; i < 20; i++) {
        change(set, 0, 1, 0);
        change(set, 1, -1, 0);
    }
    wait_all();
    SAY("after a game", semctl(set, 0, GETVAL) * 10 + semctl(set, 1, GETVAL));
    elsewhere(take_with_undo, set);
    wait_all();
    SAY("undone at the end", semctl(set, 2, GETVAL));
    elsewhere(give_later, set);
    SAY("two at once", semop(set, both, 2));
    wait_all();
    SAY("GETPID is mine", semctl(set, 0, GETPID) == getpid());

    elsewhere(interrupt_parent, 30);
    SAY("interrupted", change(set, 0, -1, 0));
    wait_all();
    semctl(set, 0, IPC_STAT, &about);
    printf("%lu semaphores, mode %o, mine %d\n", about.sem_nsems, about.sem_perm.mode, about.sem_perm.uid == getuid());
    about.sem_perm.mode = 0640;
    SAY("IPC_SET", semctl(set, 0, IPC_SET, &about));
    semctl(set, 0, IPC_STAT, &about);
    printf("mode %o\n", about.sem_perm.mode);
    elsewhere(remove_later, set);
    SAY("removed meanwhile", change(set, 0, -1, 0));
    wait_all();
    SAY("gone", semctl(set, 0, GETVAL));
}

/* ---- message queues ---- */

struct message {
    long type;
    char text[100];
};

static void answer(int queue)
{
    struct message m;
    for (int i = 0; i < 10; i++) {
        ssize_t n = msgrcv(queue, &m, sizeof m.text, 1, 0);
        m.type = 2;
        m.text[0]++;
        msgsnd(queue, &m, (size_t)n, 0);
    }
}

static void remove_queue_later(int queue)
{
    usleep(30000);
    msgctl(queue, IPC_RMID, NULL);
}

static void messages(void)
{
    struct message m = {3, "three"};
    struct msqid_ds about;
    char number = 'a';
    int queue = msgget(IPC_PRIVATE, 0600);
    SAY("send", msgsnd(queue, &m, 6, 0));
    m = (struct message){1, "one"};
    SAY("send", msgsnd(queue, &m, 4, 0));
    m = (struct message){2, "two, a long one"};
    SAY("send", msgsnd(queue, &m, 16, 0));
    m.type = 0;
    SAY("type 0", msgsnd(queue, &m, 4, 0));
    m.type = 1;
    SAY("too long", msgsnd(queue, &m, 1ul << 40, 0));
    SAY("from nowhere", msgsnd(queue, (void *)8, 10, 0));
    msgctl(queue, IPC_STAT, &about);
    printf("%lu messages\n", about.msg_qnum);
    memset(&m, 0, sizeof m);
    SAY("the lowest up to 2", msgrcv(queue, &m, 100, -2, 0));
    printf("type %ld '%s'\n", m.type, m.text);
    SAY("no room", msgrcv(queue, &m, 4, 2, 0));
    memset(&m, 0, sizeof m);
    SAY("cut", msgrcv(queue, &m, 3, 2, MSG_NOERROR));
    printf("type %ld '%s'\n", m.type, m.text);
    SAY("the first", msgrcv(queue, &m, 100, 0, 0));
    printf("type %ld '%s'\n", m.type, m.text);
    SAY("none", msgrcv(queue, &m, 100, 0, IPC_NOWAIT));

    elsewhere(answer, queue);
    for (int i = 0; i < 10; i++) {
        m = (struct message){1, {number}};
        msgsnd(queue, &m, 1, 0);
        msgrcv(queue, &m, 100, 2, 0);
        number = m.text[0];
    }
    wait_all();
    printf("after ten rounds '%c'\n", number);
    elsewhere(interrupt_parent, 30);
    SAY("interrupted", msgrcv(queue, &m, 100, 9, 0));
    wait_all();
    elsewhere(remove_queue_later, queue);
    SAY("removed meanwhile", msgrcv(queue, &m, 100, 0, 0));
    wait_all();
}

static mqd_t posix;

static void send_posix(int priority)
{
    usleep(30000);
    mq_send(posix, "from the child", 15, (unsigned)priority);
}

static volatile sig_atomic_t threads_told;

static void on_thread(union sigval v)
{
    threads_told = v.sival_int;
}

static void posix_messages(void)
{
    char name[64], text[200] = "";
    struct mq_attr attributes = {.mq_maxmsg = 3, .mq_msgsize = 100}, old;
    struct timespec past = {1, 0}, soon;
    unsigned priority = 0;
    sprintf(name, "/rakis-test-%d", getpid());
    SAY("open what is not there", mq_open(name, O_RDWR));
    posix = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attributes);
    printf("open: %s\n", posix < 0 ? strerrorname_np(errno) : "done");
    SAY("again", mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attributes));
    SAY("close-on-exec", fcntl(posix, F_GETFD));
    mq_getattr(posix, &old);
    printf("flags %ld, most %ld of %ld, now %ld\n", old.mq_flags, old.mq_maxmsg, old.mq_msgsize, old.mq_curmsgs);
    SAY("send", mq_send(posix, "low", 4, 1));
    SAY("send", mq_send(posix, "high", 5, 9));
    SAY("send", mq_send(posix, "middle", 7, 5));
    SAY("full", mq_timedsend(posix, "x", 2, 0, &past));
    SAY("too long", mq_send(posix, text, 101, 0));
    attributes.mq_flags = O_NONBLOCK;
    SAY("non-blocking", mq_setattr(posix, &attributes, &old));
    SAY("full, non-blocking", mq_send(posix, "x", 2, 0));
    SAY("room too small", mq_receive(posix, text, 10, &priority));
    for (int i = 0; i < 4; i++) {
        SAY("receive", mq_receive(posix, text, sizeof text, &priority));
        printf("'%s' of priority %u\n", text, priority);
    }
    attributes.mq_flags = 0;
    mq_setattr(posix, &attributes, NULL);
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_nsec += 30000000;
    soon.tv_sec += soon.tv_nsec / 1000000000;
    soon.tv_nsec %= 1000000000;
    SAY("a time that is up", mq_timedreceive(posix, text, sizeof text, &priority, &soon));
    elsewhere(send_posix, 4);
    SAY("from another process", mq_receive(posix, text, sizeof text, &priority));
    printf("'%s' of priority %u\n", text, priority);
    wait_all();
    struct pollfd p = {posix, POLLIN | POLLOUT, 0};
    SAY("poll", poll(&p, 1, 0));
    printf("events %d\n", p.revents == POLLOUT);

    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2, .sigev_value.sival_int = 77};
    signals = 0;
    SAY("ask to be told by a signal", mq_notify(posix, &event));
    SAY("twice", mq_notify(posix, &event));
    elsewhere(send_posix, 1);
    while (!signals)
        usleep(1000);
    wait_all();
    printf("told: %d times, code %d, value %d\n", signals, code, value);
    mq_receive(posix, text, sizeof text, NULL);
    event = (struct sigevent){.sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_thread, .sigev_value.sival_int = 5};
    SAY("ask to be told by a thread", mq_notify(posix, &event));
    mq_send(posix, "y", 2, 0);
    while (!threads_told)
        usleep(1000);
    printf("told %d\n", threads_told);
    SAY("ask no more", mq_notify(posix, NULL));
    SAY("unlink", mq_unlink(name));
    SAY("unlink again", mq_unlink(name));
    SAY("close", mq_close(posix));
    SAY("closed", mq_send(posix, "x", 2, 0));
}

/* ---- shared memory, of one process ---- */

static void shared_memory(void)
{
    struct shmid_ds about;
    key_t key = 0x52414b00 + getpid() % 256;
    SAY("not there", shmget(key, 5000, 0600));
    int id = shmget(key, 5000, 0600 | IPC_CREAT);
    SAY("there", shmget(key, 5000, 0600 | IPC_CREAT | IPC_EXCL));
    printf("the same %d\n", shmget(key, 5000, 0600 | IPC_CREAT) == id);
    SAY("larger than it is", shmget(key, 10000, 0600));
    char *memory = shmat(id, NULL, 0);
    printf("attached %d, zero %d\n", memory != (void *)-1, memory[0] == 0 && memory[8191] == 0);
    strcpy(memory + 4090, "across pages");
    char *again = shmat(id, NULL, 0);
    printf("seen at the other address %d\n", !strcmp(again + 4090, "across pages"));
    shmctl(id, IPC_STAT, &about);
    printf("size %zu, attached %lu, mode %o\n", about.shm_segsz, about.shm_nattch, about.shm_perm.mode);
    SAY("detach", shmdt(again));
    SAY("detach", shmdt(memory));
    SAY("detach", shmdt(memory));
    memory = shmat(id, NULL, SHM_RDONLY);
    printf("kept: '%s'\n", memory + 4090);
    SAY("remove", shmctl(id, IPC_RMID, NULL));
    printf("still: '%s'\n", memory + 4090);
    SAY("detach", shmdt(memory));
    SAY("gone", shmat(id, NULL, 0) == (void *)-1 ? -1 : 0);
    id = shmget(IPC_PRIVATE, 1, 0600);
    SAY("an address off a page", shmat(id, (void *)12345, 0) == (void *)-1 ? -1 : 0);
    SAY("remove", shmctl(id, IPC_RMID, NULL));
    SAY("an unknown command", shmctl(id, 12345, NULL));
}

int main(int argc, char **argv)
{
    if (argc > 1) { /* a segment that another process made */
        SAY("attach", shmat(atoi(argv[1]), NULL, 0) == (void *)-1 ? -1 : 0);
        return 0;
    }
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGUSR2, &action, NULL);
    setvbuf(stdout, NULL, _IOLBF, 0);
    semaphores();
    messages();
    posix_messages();
    shared_memory();
    return 0;
}
