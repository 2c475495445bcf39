/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EREPORT and EGETKEY: keys are derived from the processor's own, a structure that says what they depend on,
 * and AES-CMAC (SDM volume 3D, EGETKEY; RFC 4493). Called from inside, like leaf.c: no thread-local storage,
 * no vector registers, no library.
 */
#include "platform/emu/emu.h"

#define BLOCK 16
#define ROUNDS 10

/* SDM 3D, KEYDEPENDENCIES: in an order of our own, as the processor's is not told. */
struct dependencies {
    uint16_t keyname, isvprodid, isvsvn, configsvn;
    uint32_t miscselect, miscmask;
    uint64_t attributes, xfrm, attributemask, xfrmmask;
    uint8_t mrenclave[32], mrsigner[32], keyid[32];
    uint8_t cpusvn[16];
    uint16_t keypolicy;
    uint8_t padding[14];
};

_Static_assert(sizeof(struct dependencies) % BLOCK == 0, "a whole number of blocks");

static void copy(void *to, const void *from, uint64_t n)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

static void clear(void *to, uint64_t n)
{
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(0) : "memory");
}

static bool all_zero(const uint8_t *p, uint64_t n)
{
    uint8_t sum = 0;
    while (n--)
        sum |= *p++;
    return !sum;
}

static uint8_t doubled(uint8_t x)
{
    return (uint8_t)(x << 1 ^ (x & 0x80 ? 0x1b : 0));
}

/* One block in place (FIPS 197), the round keys made on the way. */
static void encrypt(const uint8_t sbox[256], const uint8_t key[BLOCK], uint8_t s[BLOCK])
{
    uint8_t k[BLOCK], t[BLOCK], constant = 1;
    copy(k, key, BLOCK);
    for (int i = 0; i < BLOCK; i++)
        s[i] ^= k[i];
    for (int round = 1; round <= ROUNDS; round++) {
        for (int i = 0; i < 4; i++)
            k[i] ^= sbox[k[12 + (i + 1) % 4]];
        k[0] ^= constant;
        constant = doubled(constant);
        for (int i = 4; i < BLOCK; i++)
            k[i] ^= k[i - 4];
        for (int i = 0; i < BLOCK; i++) /* bytes substituted, rows shifted */
            t[i] = sbox[s[(i * 5) % BLOCK]];
        for (int c = 0; c < BLOCK; c += 4) {
            uint8_t all = t[c] ^ t[c + 1] ^ t[c + 2] ^ t[c + 3];
            for (int i = 0; i < 4; i++) {
                uint8_t mixed = all ^ doubled(t[c + i] ^ t[c + (i + 1) % 4]);
                s[c + i] = k[c + i] ^ t[c + i] ^ (round < ROUNDS ? mixed : 0);
            }
        }
    }
}

static void shift(uint8_t b[BLOCK])
{
    uint8_t over = b[0] & 0x80 ? 0x87 : 0;
    for (int i = 0; i < BLOCK; i++)
        b[i] = (uint8_t)(b[i] << 1 | (i + 1 < BLOCK ? b[i + 1] >> 7 : 0));
    b[BLOCK - 1] ^= over;
}

void emu_cmac(const struct emu_fuses *f, const uint8_t key[BLOCK], const uint8_t *data, uint64_t length,
              uint8_t mac[BLOCK])
{
    uint8_t last[BLOCK];
    clear(last, BLOCK);
    encrypt(f->sbox, key, last);
    shift(last);
    uint64_t rest = length % BLOCK, whole = length - rest;
    if (length && !rest) {
        whole -= BLOCK;
        rest = BLOCK;
    } else {
        shift(last);
        last[rest] ^= 0x80;
    }
    for (uint64_t i = 0; i < rest; i++)
        last[i] ^= data[whole + i];
    clear(mac, BLOCK);
    for (uint64_t at = 0; at <= whole; at += BLOCK) {
        for (int i = 0; i < BLOCK; i++)
            mac[i] ^= at < whole ? data[at + (uint64_t)i] : last[i];
        encrypt(f->sbox, key, mac);
    }
}

static void derive(const struct machine *m, const struct dependencies *d, uint8_t key[16])
{
    emu_cmac(&m->fuses, m->fuses.key, (const uint8_t *)d, sizeof *d, key);
}

bool emu_ereport(const struct machine *m, const struct sgx_targetinfo *target, const uint8_t *data,
                 struct sgx_report *out)
{
    struct sgx_report r;
    struct dependencies d;
    uint8_t key[16];
    if (target->reserved1 || !all_zero(target->reserved2, sizeof target->reserved2) ||
        !all_zero(target->reserved3, sizeof target->reserved3))
        return false;
    clear(&r, sizeof r);
    r.miscselect = m->options.miscselect;
    r.attributes = m->options.attributes | ATTRIBUTE_INIT;
    r.xfrm = m->options.xfrm;
    copy(r.mrenclave, m->mrenclave, sizeof r.mrenclave);
    copy(r.mrsigner, m->mrsigner, sizeof r.mrsigner);
    r.isvprodid = m->isvprodid;
    r.isvsvn = m->isvsvn;
    copy(r.data, data, sizeof r.data);
    copy(r.keyid, m->fuses.report_id, sizeof r.keyid);

    clear(&d, sizeof d);
    d.keyname = KEYNAME_REPORT;
    d.attributes = target->attributes;
    d.xfrm = target->xfrm;
    copy(d.mrenclave, target->mrenclave, sizeof d.mrenclave);
    copy(d.keyid, r.keyid, sizeof d.keyid);
    d.miscselect = target->miscselect;
    d.configsvn = target->configsvn;
    derive(m, &d, key);
    emu_cmac(&m->fuses, key, (const uint8_t *)&r, REPORT_MAC_COVERS, r.mac);
    copy(out, &r, REPORT_SIZE);
    return true;
}

bool emu_egetkey(const struct machine *m, const struct sgx_keyrequest *request, uint8_t *out, uint64_t *error)
{
    struct sgx_keyrequest q;
    struct dependencies d;
    copy(&q, request, sizeof q);
    if (q.reserved1 || !all_zero(q.reserved2, sizeof q.reserved2) ||
        q.keypolicy & ~(KEYPOLICY_MRENCLAVE | KEYPOLICY_MRSIGNER))
        return false;
    clear(&d, sizeof d);
    d.keyname = q.keyname;
    d.attributes = m->options.attributes | ATTRIBUTE_INIT;
    d.xfrm = m->options.xfrm;
    d.miscselect = m->options.miscselect;
    copy(d.keyid, q.keyid, sizeof d.keyid);
    switch (q.keyname) {
    case KEYNAME_REPORT:
        copy(d.mrenclave, m->mrenclave, sizeof d.mrenclave);
        break;
    case KEYNAME_SEAL:
        if (!all_zero(q.cpusvn, sizeof q.cpusvn)) {
            *error = SGX_INVALID_CPUSVN; /* this processor has never had another version */
            return true;
        }
        if (q.isvsvn > m->isvsvn || q.configsvn) {
            *error = SGX_INVALID_ISVSVN;
            return true;
        }
        d.attributemask = q.attributemask | ATTRIBUTE_INIT | ATTRIBUTE_DEBUG;
        d.xfrmmask = q.xfrmmask;
        d.miscmask = q.miscmask;
        d.attributes &= d.attributemask;
        d.xfrm &= d.xfrmmask;
        d.miscselect &= d.miscmask;
        d.keypolicy = q.keypolicy;
        d.isvprodid = m->isvprodid;
        d.isvsvn = q.isvsvn;
        if (q.keypolicy & KEYPOLICY_MRENCLAVE)
            copy(d.mrenclave, m->mrenclave, sizeof d.mrenclave);
        if (q.keypolicy & KEYPOLICY_MRSIGNER)
            copy(d.mrsigner, m->mrsigner, sizeof d.mrsigner);
        break;
    default: /* those of Intel's own enclaves */
        *error = SGX_INVALID_ATTRIBUTE;
        return true;
    }
    derive(m, &d, out);
    *error = 0;
    return true;
}
