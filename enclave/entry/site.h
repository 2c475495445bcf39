/* SPDX-License-Identifier: Apache-2.0 */
/* For assembly: an instruction, by its bytes, with room for a jump, listed so that an emulator can put one there after EINIT. */
.macro SITE bytes:vararg
.Lsite\@:
    .byte \bytes
    .fill 16 - (. - .Lsite\@), 1, 0x90
    .pushsection emulated_sites, "a", @progbits
    .quad .Lsite\@ - .
    .popsection
.endm

.macro ENCLU_SITE
    SITE 0x0f, 0x01, 0xd7
.endm

/* The FS base to and from RAX. RCX and the flags may be lost. */
.macro WRFSBASE_SITE
    SITE 0xf3, 0x48, 0x0f, 0xae, 0xd0
.endm
.macro RDFSBASE_SITE
    SITE 0xf3, 0x48, 0x0f, 0xae, 0xc0
.endm
