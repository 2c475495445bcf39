/* SPDX-License-Identifier: Apache-2.0 */
/* Threads and what they wait on; prints what must be the same natively. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define THREADS 16
#define ROUNDS 20000
#define CROWD 1000

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static long counter;
static int rounds = ROUNDS;
static int turn;
static __thread int own;

static void *add(void *unused)
{
    (void)unused;
    for (int i = 0; i < rounds; i++) {
        pthread_mutex_lock(&mutex);
        counter++;
        pthread_mutex_unlock(&mutex);
        own++;
    }
    return (void *)(intptr_t)own;
}

static void *ping(void *which)
{
    int me = (int)(intptr_t)which;
    for (int i = 0; i < 500; i++) {
        pthread_mutex_lock(&mutex);
        while (turn != me)
            pthread_cond_wait(&condition, &mutex);
        turn = !me;
        pthread_cond_broadcast(&condition);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static pthread_barrier_t barrier;

static void *meet(void *unused)
{
    (void)unused;
    return (void *)(intptr_t)(pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD);
}

static pthread_mutex_t robust;

static void *die_holding(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&robust);
    return NULL;
}

static sem_t held;

static void *die_holding_later(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&robust);
    sem_post(&held);
    usleep(20000); /* that another one comes to wait for it */
    return NULL;
}

static void *try_locked(void *unused)
{
    (void)unused;
    return strerror(pthread_mutex_trylock(&mutex));
}

static void *wait_locked(void *unused)
{
    struct timespec deadline;
    (void)unused;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec -= 1;
    int past = pthread_mutex_timedlock(&mutex, &deadline);
    deadline.tv_sec += 1;
    deadline.tv_nsec = (deadline.tv_nsec + 20000000) % 1000000000;
    return strerror(past == ETIMEDOUT ? pthread_mutex_timedlock(&mutex, &deadline) : past);
}

static void *cancelled(void *unused)
{
    (void)unused;
    for (;;)
        pause();
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    void *value;
    long sum = 0;
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, add, NULL);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &value);
        sum += (intptr_t)value;
    }
    printf("mutex: %ld, thread-local: %ld\n", counter, sum);

    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, ping, (void *)(intptr_t)i);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    printf("condition: turn %d\n", turn);

    pthread_barrier_init(&barrier, NULL, THREADS);
    int serial = 0;
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, meet, NULL);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &value);
        serial += (int)(intptr_t)value;
    }
    printf("barrier: %d serial\n", serial);

    struct timespec deadline, before, after;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_nsec += 50000000;
    deadline.tv_sec += deadline.tv_nsec / 1000000000;
    deadline.tv_nsec %= 1000000000;
    clock_gettime(CLOCK_MONOTONIC, &before);
    pthread_mutex_lock(&mutex);
    int result = pthread_cond_timedwait(&condition, &mutex, &deadline);
    pthread_mutex_unlock(&mutex);
    clock_gettime(CLOCK_MONOTONIC, &after);
    double waited = (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) / 1e9;
    printf("timed wait: %s, at least 49 ms %d\n", strerror(result), waited >= 0.049);

    sem_t semaphore;
    sem_init(&semaphore, 0, 1);
    printf("semaphore: %d", sem_wait(&semaphore));
    result = sem_trywait(&semaphore);
    printf(" %d %d\n", result, errno == EAGAIN);

    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&robust, &attributes);
    pthread_create(&threads[0], NULL, die_holding, NULL);
    pthread_join(threads[0], NULL);
    printf("robust: %s\n", strerror(pthread_mutex_lock(&robust)));
    pthread_mutex_consistent(&robust);
    pthread_mutex_unlock(&robust);

    pthread_create(&threads[0], NULL, cancelled, NULL);
    usleep(20000);
    pthread_cancel(threads[0]);
    pthread_join(threads[0], &value);
    printf("cancelled: %d\n", value == PTHREAD_CANCELED);

    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_destroy(&mutex);
    pthread_mutex_init(&mutex, &attributes);
    counter = 0;
    rounds = ROUNDS / 20; /* each unlock hands over to a thread that has to be woken */
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, add, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    printf("priority inheritance: %ld, again %s", counter, strerror(pthread_mutex_lock(&mutex)));
    printf(" %s", strerror(pthread_mutex_lock(&mutex)));
    pthread_create(&threads[0], NULL, try_locked, NULL);
    pthread_join(threads[0], &value);
    printf(", of another %s", (char *)value);
    pthread_create(&threads[0], NULL, wait_locked, NULL);
    pthread_join(threads[0], &value);
    printf(", in time %s", (char *)value);
    turn = 0;
    printf(", unlocked %s\n", strerror(pthread_mutex_unlock(&mutex)));
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, ping, (void *)(intptr_t)i);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    printf("condition with it: turn %d\n", turn);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&robust, &attributes);
    sem_init(&held, 0, 0);
    pthread_create(&threads[0], NULL, die_holding_later, NULL);
    sem_wait(&held);
    printf("robust with it: %s,", strerror(pthread_mutex_lock(&robust)));
    printf(" consistent %s,", strerror(pthread_mutex_consistent(&robust)));
    printf(" unlocked %s\n", strerror(pthread_mutex_unlock(&robust)));
    pthread_join(threads[0], NULL);

    /* As many at once as a server may have. */
    static pthread_t crowd[CROWD];
    pthread_barrier_destroy(&barrier);
    pthread_barrier_init(&barrier, NULL, CROWD);
    serial = 0;
    for (int i = 0; i < CROWD; i++)
        if (pthread_create(&crowd[i], NULL, meet, NULL))
            return 1;
    for (int i = 0; i < CROWD; i++) {
        pthread_join(crowd[i], &value);
        serial += (int)(intptr_t)value;
    }
    printf("a crowd: %d serial\n", serial);

    /* One after another, many more than there are thread areas. */
    pthread_barrier_destroy(&barrier);
    pthread_barrier_init(&barrier, NULL, 1);
    for (int i = 0; i < 400; i++) {
        if (pthread_create(&threads[0], NULL, meet, NULL))
            return 1;
        pthread_join(threads[0], NULL);
    }
    printf("many threads: done\n");
    return 3;
}
