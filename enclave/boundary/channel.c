/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/boundary/channel.h"

#include <errno.h>

#include <asm/unistd_64.h>

#include "abi/exits.h"
#include "enclave/boundary/arena.h"
#include "enclave/boundary/copy.h"
#include "enclave/boundary/exit.h"
#include "enclave/entry/sgx.h"
#include "enclave/lib/lib.h"
#include "enclave/lib/random.h"

#define FLUSH_AT 0x40000u /* so that the other side can begin */
#define READ_MOST 0x40000u
#define CPUID_FEATURES 1
#define FEATURE_PCLMULQDQ (1u << 1)
#define FEATURE_SSE41 (1u << 19)
#define FEATURE_AES (1u << 25)

/* What each side says first. */
struct hello {
    uint8_t public[EXCHANGE_SIZE];
    uint8_t report[REPORT_SIZE];
};

_Static_assert(sizeof(struct hello) % 8 == 0, "whole words");

static size_t whole_words(size_t n)
{
    return (n + 7) & ~(size_t)7;
}

void channel_start(struct channel *c, int in, int out)
{
    memset(c, 0, sizeof *c);
    c->in = in;
    c->out = out;
}

/* ---- bytes ---- */

int channel_flush(struct channel *c)
{
    for (uint64_t done = 0; done < c->filled;) {
        uint64_t left = c->filled - done;
        int64_t n = exit_checked(__NR_write, 0, left, (uint32_t)c->out, bounce().address + done, left, 0, 0, 0);
        if (n < 0 && n != -EINTR)
            return -EPIPE;
        done += n > 0 ? (uint64_t)n : 0;
    }
    c->filled = 0;
    return 0;
}

/* Have at least `need` bytes at c->start; `need` is less than READ_MOST. What is there is moved down first if
 * there is no room after it. 0 or -EPIPE. */
static int fill(struct channel *c, uint64_t need)
{
    if (c->available >= need)
        return 0;
    if (c->start) {
        untrusted_read(c->message, untrusted_at(bounce(), c->start), c->available);
        untrusted_write(bounce(), c->message, c->available);
        c->start = 0;
    }
    while (c->available < need) {
        int64_t n = exit_checked(__NR_read, 0, READ_MOST, (uint32_t)c->in, bounce().address + c->available,
                                 READ_MOST, 0, 0, 0);
        if (n == 0 || (n < 0 && n != -EINTR))
            return -EPIPE;
        c->available += n > 0 ? (uint64_t)n : 0;
    }
    return 0;
}

static void take(struct channel *c, void *to, size_t size)
{
    untrusted_read(to, untrusted_at(bounce(), c->start), size);
    c->start += size;
    c->available -= size;
}

/* ---- who is there ---- */

/* What a report says of the key: whose it is, and which of the two sides speaks. */
static void key_statement(uint8_t out[64], bool first, const uint8_t public[EXCHANGE_SIZE])
{
    const char *label = first ? "rakis channel, first" : "rakis channel, second";
    memset(out, 0, 64);
    cipher_begin();
    hash_two(out, label, strlen(label), public, EXCHANGE_SIZE);
    cipher_end();
}

/* To be verified by an enclave that is the same as this one. */
static void target_self(struct channel *c)
{
    struct sgx_report *r = &c->report;
    memset(&c->target, 0, sizeof c->target);
    sgx_report(&c->target, c->report_data, r);
    memcpy(c->target.mrenclave, r->mrenclave, sizeof r->mrenclave);
    c->target.attributes = r->attributes;
    c->target.xfrm = r->xfrm;
    c->target.cet_attributes = r->cet_attributes;
    c->target.miscselect = r->miscselect;
    c->target.configsvn = r->configsvn;
    memcpy(c->target.configid, r->configid, sizeof r->configid);
}

/* Is it a report, made on this machine for this enclave, of an enclave that is the same? */
static bool report_good(struct channel *c)
{
    const struct sgx_report *mine = &c->report, *r = &c->peer_report;
    uint8_t mac[16];
    memset(&c->request, 0, sizeof c->request);
    c->request.keyname = KEYNAME_REPORT;
    memcpy(c->request.keyid, r->keyid, sizeof r->keyid);
    if (sgx_key(&c->request, c->key))
        return false;
    cipher_begin();
    cmac_of_blocks(c->key, r, REPORT_MAC_COVERS, mac);
    cipher_end();
    memset(c->key, 0, sizeof c->key);
    return equal_secretly(mac, r->mac, sizeof mac) &&
           !memcmp(r->mrenclave, mine->mrenclave, sizeof r->mrenclave) &&
           !memcmp(r->mrsigner, mine->mrsigner, sizeof r->mrsigner) && r->attributes == mine->attributes &&
           r->xfrm == mine->xfrm && r->miscselect == mine->miscselect && r->isvprodid == mine->isvprodid &&
           r->isvsvn == mine->isvsvn && r->configsvn == mine->configsvn &&
           !memcmp(r->configid, mine->configid, sizeof r->configid);
}

/* CPUID is the host's to answer: at worst it makes this slow, or stops it. */
static bool cpu_fast(void)
{
    const uint32_t needed = FEATURE_PCLMULQDQ | FEATURE_SSE41 | FEATURE_AES;
    uint64_t out[4];
    exit_checked(EXIT_CPUID, 0, 0, CPUID_FEATURES, 0, bounce().address - arena_at(0).address, 0, 0, 0);
    untrusted_read(out, bounce(), sizeof out);
    return ((uint32_t)out[2] & needed) == needed;
}

static int agree(struct channel *c, bool first, const uint8_t secret[EXCHANGE_SIZE], const struct hello *mine,
                 const struct hello *theirs, bool fast)
{
    uint8_t shared[EXCHANGE_SIZE], salt[HASH_SIZE], keys[2 * CIPHER_KEY_SIZE];
    const struct hello *one = first ? mine : theirs, *two = first ? theirs : mine;
    cipher_begin();
    int error = exchange_shared(shared, secret, theirs->public);
    if (!error) {
        hash_two(salt, one, sizeof *one, two, sizeof *two);
        keys_derive(keys, sizeof keys, shared, sizeof shared, salt, sizeof salt, "rakis channel");
        cipher_start(&c->send, first ? keys : keys + CIPHER_KEY_SIZE, fast);
        cipher_start(&c->receive, first ? keys + CIPHER_KEY_SIZE : keys, fast);
    }
    memset(shared, 0, sizeof shared);
    memset(keys, 0, sizeof keys);
    __asm__ volatile("" : : "r"(shared), "r"(keys) : "memory");
    cipher_end();
    return error ? -EPROTO : 0;
}

int channel_open(struct channel *c, bool first)
{
    uint64_t secret[EXCHANGE_SIZE / 8];
    struct hello mine, theirs;
    bool fast = cpu_fast();
    for (size_t i = 0; i < ARRAY_SIZE(secret); i++)
        secret[i] = random_word();
    cipher_begin();
    exchange_public(mine.public, (const uint8_t *)secret);
    cipher_end();
    target_self(c);
    key_statement(c->report_data, first, mine.public);
    sgx_report(&c->target, c->report_data, &c->report);
    memcpy(mine.report, &c->report, REPORT_SIZE);
    untrusted_write(bounce(), &mine, sizeof mine);
    c->filled = sizeof mine;

    int error = channel_flush(c);
    if (!error)
        error = fill(c, sizeof theirs);
    if (!error) {
        take(c, &theirs, sizeof theirs);
        memcpy(&c->peer_report, theirs.report, REPORT_SIZE);
        key_statement(c->report_data, !first, theirs.public);
        if (!report_good(c) ||
            memcmp(c->peer_report.data, c->report_data, sizeof c->report_data))
            error = -EPROTO;
    }
    if (!error)
        error = agree(c, first, (const uint8_t *)secret, &mine, &theirs, fast);
    memset(secret, 0, sizeof secret);
    __asm__ volatile("" : : "r"(secret) : "memory");
    return error;
}

/* ---- messages ---- */

int channel_send(struct channel *c, const void *head, const void *body, size_t size)
{
    uint64_t length = CHANNEL_HEAD + size, on_wire = 8 + whole_words(length + CIPHER_TAG_SIZE);
    uint8_t *data = c->message + 8;
    if (size > CHANNEL_BODY_MAX)
        return -EINVAL;
    memcpy(c->message, &length, 8);
    memcpy(data, head, CHANNEL_HEAD);
    if (copy_bytes(data + CHANNEL_HEAD, body, size))
        return -EFAULT;
    cipher_begin();
    cipher_seal(&c->send, &length, sizeof length, data, length, data + length);
    cipher_end();
    memset(data + length + CIPHER_TAG_SIZE, 0, on_wire - 8 - length - CIPHER_TAG_SIZE);
    untrusted_write(untrusted_at(bounce(), c->filled), c->message, on_wire);
    c->filled += on_wire;
    return c->filled >= FLUSH_AT ? channel_flush(c) : 0;
}

int64_t channel_receive(struct channel *c, void *head, const uint8_t **body)
{
    uint64_t length;
    int error = fill(c, sizeof length);
    if (error)
        return error;
    take(c, &length, sizeof length);
    if (length < CHANNEL_HEAD || length > CHANNEL_HEAD + CHANNEL_BODY_MAX)
        return -EPROTO;
    uint64_t rest = whole_words(length + CIPHER_TAG_SIZE);
    if ((error = fill(c, rest)))
        return error;
    take(c, c->message, rest);
    cipher_begin();
    error = cipher_open(&c->receive, &length, sizeof length, c->message, length, c->message + length);
    cipher_end();
    if (error)
        return -EPROTO;
    memcpy(head, c->message, CHANNEL_HEAD);
    *body = c->message + CHANNEL_HEAD;
    return (int64_t)(length - CHANNEL_HEAD);
}

/* Not among the descriptors that the program's files hold: host_close does not know it. */
void channel_descriptor_close(int fd)
{
    exit_checked(__NR_close, 0, 0, (uint32_t)fd, 0, 0, 0, 0, 0);
}

void channel_close(struct channel *c)
{
    channel_descriptor_close(c->in);
    channel_descriptor_close(c->out);
    memset(c, 0, sizeof *c);
    __asm__ volatile("" : : "r"(c) : "memory");
}
