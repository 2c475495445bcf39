/* SPDX-License-Identifier: Apache-2.0 */
/* The part of the processor that its maker burns in: here, what tells one machine from another. It is no
 * secret, and so what rests on it is not: the emulator keeps nothing from the host. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "platform/emu/emu.h"
#include "platform/hash.h"

static uint8_t rotated(uint8_t x, int n)
{
    return (uint8_t)(x << n | x >> (8 - n));
}

/* Every element of the field but 0 by powers of a generator, along with its inverse. */
static void sbox_make(uint8_t sbox[256])
{
    uint8_t p = 1, q = 1;
    do {
        p = (uint8_t)(p ^ p << 1 ^ (p & 0x80 ? 0x1b : 0));
        q = (uint8_t)(q ^ q << 1);
        q = (uint8_t)(q ^ q << 2);
        q = (uint8_t)(q ^ q << 4);
        if (q & 0x80)
            q ^= 0x09;
        sbox[p] = q ^ rotated(q, 1) ^ rotated(q, 2) ^ rotated(q, 3) ^ rotated(q, 4) ^ 0x63;
    } while (p != 1);
    sbox[0] = 0x63;
}

int emu_fuses_read(struct emu_fuses *f)
{
    static const char label[] = "rakis: SGX in software";
    uint8_t text[sizeof label + 64], digest[32];
    memcpy(text, label, sizeof label);
    ssize_t n = 0;
    int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        n = read(fd, text + sizeof label, sizeof text - sizeof label);
        close(fd);
    }
    size_t length = sizeof label + (n > 0 ? (size_t)n : 0);
    struct hash h;
    hash_begin(&h);
    hash_add(&h, text, length);
    hash_end(&h, digest);
    memcpy(f->key, digest, sizeof f->key);
    if (getrandom(f->report_id, sizeof f->report_id, 0) != sizeof f->report_id)
        return -EIO;
    sbox_make(f->sbox);
    return 0;
}
