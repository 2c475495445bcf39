/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures that were made before with the development key: signing takes longer than all else of a start. One file
 * each in `signed` of the cache folder, 256 at most: what comes later takes the place. What is found is only a
 * candidate, as nothing says that the file is whole.
 */
#ifndef PLATFORM_SIGNED_H
#define PLATFORM_SIGNED_H

#include <stdbool.h>
#include <sys/stat.h>

#include "platform/sgx_arch.h"

/* `folder`: rakis's in the cache. `key`: what the file of the key is that it was to be signed with. */
bool signed_find(struct sgx_sigstruct *out, const char *folder, const struct stat *key, const uint8_t mrenclave[32]);
void signed_keep(const struct sgx_sigstruct *s, const char *folder, const struct stat *key);

#endif
