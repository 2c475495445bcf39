/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/sigstruct.h"

#include <errno.h>
#include <stddef.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "platform/enclave.h"
#include "platform/hash.h"
#include "platform/own_file.h"
#include "platform/signed.h"

#define PATH_ROOM 4096
#define KEY_BITS 3072
#define KEY_BYTES (KEY_BITS / 8)
#define EXPONENT 3
#define VENDOR_INTEL 0x8086

/* What the signature covers: the header and the body. */
#define HEADER_SIZE offsetof(struct sgx_sigstruct, modulus)
#define BODY_OFFSET offsetof(struct sgx_sigstruct, miscselect)
#define BODY_SIZE (offsetof(struct sgx_sigstruct, reserved4) - BODY_OFFSET)

_Static_assert(HEADER_SIZE == 128 && BODY_OFFSET == 900 && BODY_SIZE == 128, "SDM 3D, table 35-19");

static const uint8_t header[16] = {0x06, 0, 0, 0, 0xe1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0};
static const uint8_t header2[16] = {0x01, 0x01, 0, 0, 0x60, 0, 0, 0, 0x60, 0, 0, 0, 0x01, 0, 0, 0};

/* DER of DigestInfo for SHA-256 (RFC 8017, 9.2) */
static const uint8_t digest_info[19] = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                        0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20};

static int fail(int error, const char *what)
{
    platform_set_error("%s", what);
    return error;
}

static EVP_PKEY *key_make(void)
{
    EVP_PKEY *key = NULL;
    BIGNUM *exponent = BN_new();
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    if (!context || !exponent || !BN_set_word(exponent, EXPONENT) ||
        EVP_PKEY_keygen_init(context) != 1 ||
        EVP_PKEY_CTX_set_rsa_keygen_bits(context, KEY_BITS) != 1 ||
        EVP_PKEY_CTX_set1_rsa_keygen_pubexp(context, exponent) != 1 ||
        EVP_PKEY_keygen(context, &key) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(context);
    BN_free(exponent);
    return key;
}

static EVP_PKEY *key_load_own(const char *path, struct stat *status)
{
    int fd = own_file_open(path, status);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    if (!file) {
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    fclose(file);
    return key;
}

static bool key_write(int fd, void *context)
{
    BIO *out = BIO_new_fd(fd, BIO_NOCLOSE);
    bool written = out && PEM_write_bio_PrivateKey(out, context, NULL, NULL, 0, NULL, NULL) == 1;
    BIO_free(out);
    return written;
}

/* Where the development key and what was signed with it are kept, if anywhere. */
struct cache {
    bool there;
    char folder[PATH_ROOM], key[PATH_ROOM];
};

static void cache_find(struct cache *c)
{
    c->there = own_folder(c->folder, sizeof c->folder);
    if (c->there)
        snprintf(c->key, sizeof c->key, "%.*s/dev-key.pem", PATH_ROOM - 16, c->folder);
}

static EVP_PKEY *key_development(struct cache *c, struct stat *status)
{
    EVP_PKEY *key = c->there ? key_load_own(c->key, status) : NULL;
    if (key)
        return key;
    key = key_make();
    if (key && c->there)
        own_file_replace(c->key, key_write, key);
    *status = (struct stat){0}; /* what it is now is seen the next time */
    return key;
}

static EVP_PKEY *key_load(const char *path)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        platform_set_error("cannot read the signing key %s: %s", path, strerror(errno));
        return NULL;
    }
    EVP_PKEY *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    fclose(file);
    if (!key)
        platform_set_error("%s is not a private key in PEM", path);
    return key;
}

static bool key_fits(EVP_PKEY *key)
{
    BIGNUM *exponent = NULL;
    bool fits = EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA && EVP_PKEY_get_bits(key) == KEY_BITS &&
                EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent) == 1 &&
                BN_is_word(exponent, EXPONENT);
    BN_free(exponent);
    return fits;
}

static uint32_t today(void)
{
    time_t now = time(NULL);
    struct tm day = {0};
    char digits[32];
    gmtime_r(&now, &day);
    strftime(digits, sizeof digits, "%Y%m%d", &day);
    return (uint32_t)strtoul(digits, NULL, 16);
}

static void digest(const void *a, size_t a_size, const void *b, size_t b_size, uint8_t out[32])
{
    struct hash h;
    hash_begin(&h);
    hash_add(&h, a, a_size);
    hash_add(&h, b, b_size);
    hash_end(&h, out);
}

/*
 * q1 and q2 spare the CPU the divisions: q1 = s^2 / n, q2 = s (s^2 mod n) / n, and s^3 mod n is
 * what is left. With `given`, they are checked to be so instead. *power is s^3 mod n.
 */
static int quotients(struct sgx_sigstruct *out, const struct sgx_sigstruct *given, const BIGNUM *n,
                     const BIGNUM *s, BIGNUM *power)
{
    int result = -EIO;
    BN_CTX *context = BN_CTX_new();
    BIGNUM *product = BN_new(), *q1 = BN_new(), *q2 = BN_new(), *rest = BN_new();
    if (!context || !product || !q1 || !q2 || !rest)
        goto out;
    if (!BN_sqr(product, s, context) || !BN_div(q1, rest, product, n, context) ||
        !BN_mul(product, rest, s, context) || !BN_div(q2, power, product, n, context))
        goto out;
    if (given) {
        uint8_t bytes[KEY_BYTES];
        result = -EKEYREJECTED;
        if (BN_bn2lebinpad(q1, bytes, KEY_BYTES) < 0 || memcmp(bytes, given->q1, KEY_BYTES) ||
            BN_bn2lebinpad(q2, bytes, KEY_BYTES) < 0 || memcmp(bytes, given->q2, KEY_BYTES))
            goto out;
        result = 0;
    } else if (BN_bn2lebinpad(q1, out->q1, KEY_BYTES) == KEY_BYTES &&
               BN_bn2lebinpad(q2, out->q2, KEY_BYTES) == KEY_BYTES) {
        result = 0;
    }
out:
    BN_free(rest);
    BN_free(q2);
    BN_free(q1);
    BN_free(product);
    BN_CTX_free(context);
    return result;
}

static int sign(struct sgx_sigstruct *out, EVP_PKEY *key)
{
    int result = -EIO;
    uint8_t message[HEADER_SIZE + BODY_SIZE], signature[KEY_BYTES];
    size_t size = sizeof signature;
    BIGNUM *n = NULL, *s = NULL, *power = BN_new();
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    memcpy(message, out, HEADER_SIZE);
    memcpy(message + HEADER_SIZE, (const uint8_t *)out + BODY_OFFSET, BODY_SIZE);
    if (!context || !power || EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) != 1 ||
        EVP_DigestSign(context, signature, &size, message, sizeof message) != 1 ||
        size != KEY_BYTES || !(s = BN_bin2bn(signature, KEY_BYTES, NULL)) ||
        EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n) != 1 ||
        BN_bn2lebinpad(n, out->modulus, KEY_BYTES) != KEY_BYTES ||
        BN_bn2lebinpad(s, out->signature, KEY_BYTES) != KEY_BYTES)
        goto out;
    result = quotients(out, NULL, n, s, power);
out:
    EVP_MD_CTX_free(context);
    BN_free(power);
    BN_free(s);
    BN_free(n);
    return result;
}

static bool zero(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i])
            return false;
    return true;
}

static bool well_formed(const struct sgx_sigstruct *s)
{
    return !memcmp(s->header, header, sizeof header) &&
           !memcmp(s->header2, header2, sizeof header2) &&
           (s->vendor == 0 || s->vendor == VENDOR_INTEL) && s->exponent == EXPONENT &&
           zero(s->reserved1, sizeof s->reserved1) && zero(s->reserved2, sizeof s->reserved2) &&
           zero(s->reserved3, sizeof s->reserved3) && zero(s->reserved4, sizeof s->reserved4);
}

static int signature_check(const struct sgx_sigstruct *given)
{
    uint8_t expected[KEY_BYTES], found[KEY_BYTES];
    int result = -EIO;
    BIGNUM *n = BN_lebin2bn(given->modulus, KEY_BYTES, NULL);
    BIGNUM *s = BN_lebin2bn(given->signature, KEY_BYTES, NULL);
    BIGNUM *power = BN_new();
    if (!n || !s || !power)
        goto out;
    result = -EKEYREJECTED;
    if (BN_num_bits(n) != KEY_BITS || BN_cmp(s, n) >= 0)
        goto out;
    if ((result = quotients(NULL, given, n, s, power)))
        goto out;

    size_t hash = KEY_BYTES - 32, info = hash - sizeof digest_info;
    memset(expected, 0xff, sizeof expected);
    expected[0] = 0x00;
    expected[1] = 0x01;
    expected[info - 1] = 0x00;
    memcpy(expected + info, digest_info, sizeof digest_info);
    digest(given, HEADER_SIZE, (const uint8_t *)given + BODY_OFFSET, BODY_SIZE, expected + hash);
    if (BN_bn2binpad(power, found, KEY_BYTES) != KEY_BYTES || memcmp(found, expected, KEY_BYTES))
        result = -EKEYREJECTED;
out:
    BN_free(power);
    BN_free(s);
    BN_free(n);
    return result;
}

/* All but the key's part. */
static void claim(struct sgx_sigstruct *out, const struct sigstruct_claims *claims)
{
    *out = (struct sgx_sigstruct){
        .date = claims->date ? claims->date : today(),
        .exponent = EXPONENT,
        .miscselect = claims->miscselect,
        .miscmask = claims->miscselect_mask,
        .attributes = claims->attributes,
        .attributesmask = claims->attributes_mask,
        .xfrm = claims->xfrm,
        .xfrmmask = claims->xfrm_mask,
        .isvprodid = claims->isvprodid,
        .isvsvn = claims->isvsvn,
    };
    memcpy(out->header, header, sizeof header);
    memcpy(out->header2, header2, sizeof header2);
    memcpy(out->enclavehash, claims->mrenclave, sizeof out->enclavehash);
}

/* Made before, of the same, whenever that was if the date is not claimed: and it is right. */
static bool sign_again(struct sgx_sigstruct *out, const struct cache *c, const struct sigstruct_claims *claims)
{
    struct sgx_sigstruct found;
    struct stat key;
    int fd = c->there ? own_file_open(c->key, &key) : -1;
    if (fd < 0)
        return false;
    close(fd);
    if (!signed_find(&found, c->folder, &key, claims->mrenclave))
        return false;
    struct sgx_sigstruct wanted = *out;
    if (!claims->date)
        wanted.date = found.date;
    if (memcmp(&found, &wanted, HEADER_SIZE) ||
        memcmp((uint8_t *)&found + BODY_OFFSET, (uint8_t *)&wanted + BODY_OFFSET, BODY_SIZE) ||
        !well_formed(&found) || signature_check(&found))
        return false;
    *out = found;
    return true;
}

static int sign_with(struct sgx_sigstruct *out, EVP_PKEY *key)
{
    if (!key_fits(key))
        return fail(-EINVAL, "an enclave is signed with an RSA key of 3072 bits and exponent 3 "
                             "(openssl genrsa -3 3072)");
    return sign(out, key) ? fail(-EIO, "cannot sign the enclave") : 0;
}

static int sign_for_development(struct sgx_sigstruct *out, const struct sigstruct_claims *claims)
{
    struct cache cache;
    struct stat status;
    cache_find(&cache);
    if (sign_again(out, &cache, claims))
        return 0;
    EVP_PKEY *key = key_development(&cache, &status);
    if (!key)
        return fail(-EIO, "cannot make a key to sign the enclave with");
    int error = sign_with(out, key);
    EVP_PKEY_free(key);
    if (!error && cache.there && status.st_ino)
        signed_keep(out, cache.folder, &status);
    return error;
}

int sigstruct_sign(struct sgx_sigstruct *out, const char *key_path,
                   const struct sigstruct_claims *claims)
{
    claim(out, claims);
    if (!key_path)
        return sign_for_development(out, claims);
    EVP_PKEY *key = key_load(key_path);
    int error = key ? sign_with(out, key) : -EINVAL;
    EVP_PKEY_free(key);
    return error;
}

int sigstruct_verify(const struct sgx_sigstruct *sigstruct, const uint8_t mrenclave[32],
                     uint64_t attributes, uint64_t xfrm, uint32_t miscselect)
{
    const struct sgx_sigstruct *s = sigstruct;
    if (!well_formed(s))
        return -EINVAL;
    int error = signature_check(s);
    if (error)
        return error;
    if (memcmp(s->enclavehash, mrenclave, sizeof s->enclavehash) ||
        (attributes ^ s->attributes) & s->attributesmask || (xfrm ^ s->xfrm) & s->xfrmmask ||
        (miscselect ^ s->miscselect) & s->miscmask)
        return -EPERM;
    return 0;
}

void sigstruct_mrsigner(const struct sgx_sigstruct *sigstruct, uint8_t mrsigner[32])
{
    digest(sigstruct->modulus, KEY_BYTES, NULL, 0, mrsigner);
}
