/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Included ahead of every file of the image (enclave/meson.build): what is declared here and defined
 * elsewhere lies in the same image. -fvisibility=hidden says that of definitions only, so a compiler may
 * reach an extern object by way of the GOT: clang does, _DYNAMIC and _end too. The GOT needs relocating
 * like every other pointer, and the code that relocates runs before that is done.
 */
#ifndef __ASSEMBLER__
#pragma GCC visibility push(hidden)
#endif
