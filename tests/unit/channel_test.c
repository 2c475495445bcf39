/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two enclaves that speak over a channel, and a host between them that changes, cuts off, repeats and swaps what
 * it carries. Whatever it does, what arrives is what was sent, in order, or an error.
 */
#include <cpuid.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <asm/prctl.h>
#include <cmocka.h>

#include "abi/exits.h"
#include "enclave/boundary/arena.h"
#include "enclave/boundary/channel.h"
#include "enclave/boundary/exit.h"
#include "enclave/entry/entry.h"
#include "enclave/entry/sgx.h"
#include "platform/emu/emu.h"

#define BOUNCE 0x100000ul
#define MESSAGES 60
#define HELLO_SIZE (32 + REPORT_SIZE) /* a key and a report go first */

struct side {
    struct thread_block block;
    struct machine machine;
    struct channel channel;
    uint8_t guard[2 * CHANNEL_BODY_MAX]; /* stays 0: a message does not run over its room */
    struct sgx_targetinfo target;        /* of its last report */
    const struct sgx_targetinfo *aim;    /* whom its reports are for, NULL: as it says itself */
    uint8_t bounce[BOUNCE];
    int in, out, result;
    bool first;
    int arrived; /* messages, all as they were sent */
    bool wrong;
};

static struct side *sides[2];

static struct side *me(void)
{
    return (struct side *)thread_block();
}

/* ---- what the channel stands on ---- */

void fpu_save(struct thread_block *block) { (void)block; }
void fpu_restore(const void *area) { (void)area; }
void fpu_reset(void) {}

void sgx_report(const struct sgx_targetinfo *target, const uint8_t data[64], struct sgx_report *out)
{
    me()->target = *target;
    assert_true(emu_ereport(&me()->machine, me()->aim ? me()->aim : target, data, out));
}

int sgx_key(const struct sgx_keyrequest *request, uint8_t key[16])
{
    uint64_t error;
    assert_true(emu_egetkey(&me()->machine, request, key, &error));
    return (int)error;
}

struct untrusted bounce(void) { return (struct untrusted){(uint64_t)me()->bounce}; }

struct untrusted arena_at(uint64_t offset) { return (struct untrusted){offset}; }

int64_t exit_checked(uint64_t number, uint64_t flags, uint64_t maximum, uint64_t a0, uint64_t a1,
                     uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5)
{
    (void)flags, (void)a3, (void)a4, (void)a5;
    if (number == EXIT_CPUID) {
        uint64_t *out = (uint64_t *)a2;
        uint32_t r[4];
        __cpuid_count((uint32_t)a0, (uint32_t)a1, r[0], r[1], r[2], r[3]);
        for (int i = 0; i < 4; i++)
            out[i] = r[i];
        return 0;
    }
    assert_true(number == SYS_close || (a1 >= (uint64_t)me()->bounce && a1 + a2 <= (uint64_t)me()->bounce + BOUNCE));
    long result = syscall((long)number, a0, a1, a2);
    if (result < 0)
        return -errno;
    assert_true((uint64_t)result <= maximum);
    return result;
}

/* ---- the two sides ---- */

static size_t size_of(int message)
{
    static const size_t sizes[] = {0, 1, 7, 8, 100, 4096, CHANNEL_BODY_MAX - 1, CHANNEL_BODY_MAX};
    return sizes[message % 8];
}

static void message_make(int message, uint8_t head[CHANNEL_HEAD], uint8_t *body)
{
    memset(head, message + 1, CHANNEL_HEAD);
    for (size_t i = 0; i < size_of(message); i++)
        body[i] = (uint8_t)(message * 31 + (int)i * 7);
}

static void *run(void *context)
{
    struct side *s = context;
    static _Thread_local uint8_t body[CHANNEL_BODY_MAX];
    uint8_t head[CHANNEL_HEAD];
    s->block.self = &s->block;
    syscall(SYS_arch_prctl, ARCH_SET_GS, &s->block);
    channel_start(&s->channel, s->in, s->out);
    s->result = channel_open(&s->channel, s->first);
    if (!s->result && s->first) {
        for (int i = 0; i < MESSAGES && !s->result; i++) {
            message_make(i, head, body);
            s->result = channel_send(&s->channel, head, body, size_of(i));
        }
        if (!s->result)
            s->result = channel_flush(&s->channel);
    }
    while (!s->result && !s->first && s->arrived < MESSAGES) {
        const uint8_t *got;
        uint8_t got_head[CHANNEL_HEAD];
        int64_t n = channel_receive(&s->channel, got_head, &got);
        if (n < 0) {
            s->result = (int)n;
            break;
        }
        message_make(s->arrived, head, body);
        s->wrong |= (size_t)n != size_of(s->arrived) || memcmp(got_head, head, sizeof head) ||
                    memcmp(got, body, (size_t)n);
        s->arrived++;
    }
    channel_close(&s->channel);
    return NULL;
}

/* ---- the host between them, from the first side to the second ---- */

struct carrier {
    int from, to;
    uint64_t at; /* byte at which it does what it does */
    enum { FAITHFUL, FLIP, CUT, DROP, REPEAT } deed;
};

static void put(int to, const uint8_t *bytes, ssize_t n)
{
    for (ssize_t done = 0, w; done < n; done += w)
        if ((w = write(to, bytes + done, (size_t)(n - done))) <= 0)
            return;
}

static void *carry(void *context)
{
    struct carrier *c = context;
    uint8_t bytes[777];
    uint64_t at = 0;
    for (ssize_t n; (n = read(c->from, bytes, sizeof bytes)) > 0; at += (uint64_t)n) {
        bool here = c->at >= at && c->at < at + (uint64_t)n;
        if (here && c->deed == CUT) {
            put(c->to, bytes, (ssize_t)(c->at - at));
            break;
        }
        if (here && c->deed == FLIP)
            bytes[c->at - at] ^= 0x10;
        if (here && c->deed == DROP)
            continue;
        put(c->to, bytes, n);
        if (here && c->deed == REPEAT)
            put(c->to, bytes, n);
    }
    close(c->to);
    while (read(c->from, bytes, sizeof bytes) > 0)
        ;
    close(c->from);
    return NULL;
}

static int setup(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < 2; i++) {
        sides[i] = aligned_alloc(4096, (sizeof *sides[i] + 4095) & ~4095ul);
        memset(sides[i], 0, sizeof *sides[i]);
        assert_int_equal(emu_fuses_read(&sides[i]->machine.fuses), 0);
        sides[i]->machine.options.attributes = ATTRIBUTE_MODE64BIT;
        memset(sides[i]->machine.mrenclave, 0x11, 32);
        sides[i]->first = i == 0;
    }
    return 0;
}

static void meet(uint64_t at, int deed)
{
    int out[2], on[2], back[2];
    pthread_t threads[3];
    assert_int_equal(pipe(out) | pipe(on) | pipe(back), 0);
    struct carrier c = {.from = out[0], .to = on[1], .at = at, .deed = deed};
    sides[0]->in = back[0];
    sides[0]->out = out[1];
    sides[1]->in = on[0];
    sides[1]->out = back[1];
    for (int i = 0; i < 2; i++) {
        sides[i]->result = sides[i]->arrived = 0;
        sides[i]->wrong = false;
        pthread_create(&threads[i], NULL, run, sides[i]);
    }
    pthread_create(&threads[2], NULL, carry, &c);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
}

static void messages_arrive(void **state)
{
    (void)state;
    meet(0, FAITHFUL);
    assert_int_equal(sides[0]->result, 0);
    assert_int_equal(sides[1]->result, 0);
    assert_int_equal(sides[1]->arrived, MESSAGES);
    assert_false(sides[1]->wrong);
}

static void what_the_host_does_is_an_error(void **state)
{
    (void)state;
    /* Within the first words, where lengths are, and anywhere after: by a step that shares no factor with sizes. */
    for (int deed = FLIP; deed <= REPEAT; deed++)
        for (uint64_t at = 0; at < 150000; at += at < 700 ? 13 : 4999) {
            meet(at, deed);
            assert_false(sides[1]->wrong);
            assert_true(sides[1]->arrived < MESSAGES);
            assert_true(sides[1]->result == -EPROTO || sides[1]->result == -EPIPE);
        }
}

static void another_enclave_is_refused_by_both(void **state)
{
    (void)state;
    struct machine before = sides[1]->machine;
    for (int what = 0; what < 4; what++) {
        sides[1]->machine = before;
        if (what == 0)
            sides[1]->machine.mrenclave[31] ^= 1;
        if (what == 1)
            sides[1]->machine.options.attributes |= ATTRIBUTE_DEBUG;
        if (what == 2)
            sides[1]->machine.fuses.key[5] ^= 1; /* on another machine */
        if (what == 3)
            sides[1]->machine.isvsvn++;
        meet(0, FAITHFUL);
        assert_int_equal(sides[0]->result, -EPROTO);
        assert_true(sides[1]->result < 0);
        assert_int_equal(sides[1]->arrived, 0);
    }
    sides[1]->machine = before;
}

/* A report that is made for the other side: the key is right, and who it is decides. */
static void an_enclave_that_aims_at_another_is_refused(void **state)
{
    (void)state;
    struct machine before = sides[1]->machine;
    meet(0, FAITHFUL);
    struct sgx_targetinfo aim __attribute__((aligned(512))) = sides[0]->target;
    sides[1]->aim = &aim;
    meet(0, FAITHFUL);
    assert_int_equal(sides[0]->result, 0); /* as itself it is believed */
    for (int what = 0; what < 3; what++) {
        sides[1]->machine = before;
        if (what == 0)
            sides[1]->machine.mrenclave[31] ^= 1;
        if (what == 1)
            sides[1]->machine.options.attributes |= ATTRIBUTE_DEBUG;
        if (what == 2)
            sides[1]->machine.isvsvn++;
        meet(0, FAITHFUL);
        assert_int_equal(sides[0]->result, -EPROTO);
    }
    sides[1]->machine = before;
    sides[1]->aim = NULL;
}

/* Where the length of each of the first messages is. */
static uint64_t length_at(int message)
{
    uint64_t at = HELLO_SIZE;
    for (int i = 0; i < message; i++)
        at += 8 + ((CHANNEL_HEAD + size_of(i) + CIPHER_TAG_SIZE + 7) & ~7ul);
    return at;
}

static void a_message_has_no_other_length(void **state)
{
    (void)state;
    for (int message = 0; message < 16; message++)
        for (unsigned byte = 0; byte < 8; byte++) {
            meet(length_at(message) + byte, FLIP);
            assert_int_equal(sides[1]->arrived, message);
            assert_true(sides[1]->result == -EPROTO || sides[1]->result == -EPIPE);
            for (size_t i = 0; i < sizeof sides[1]->guard; i++)
                assert_int_equal(sides[1]->guard[i], 0);
        }
}

/* The host gives a side its own words back, as if another one had said them. */
static void nobody_speaks_with_itself(void **state)
{
    (void)state;
    int p[2];
    for (int first = 0; first < 2; first++) {
        struct side *s = sides[0];
        pthread_t thread;
        assert_int_equal(pipe(p), 0);
        s->in = p[0];
        s->out = p[1];
        s->first = first;
        s->result = 0;
        pthread_create(&thread, NULL, run, s);
        pthread_join(thread, NULL);
        assert_int_equal(s->result, -EPROTO);
    }
    sides[0]->first = true;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_arrive),
        cmocka_unit_test(what_the_host_does_is_an_error),
        cmocka_unit_test(another_enclave_is_refused_by_both),
        cmocka_unit_test(an_enclave_that_aims_at_another_is_refused),
        cmocka_unit_test(a_message_has_no_other_length),
        cmocka_unit_test(nobody_speaks_with_itself),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
