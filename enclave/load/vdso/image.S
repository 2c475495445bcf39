/* SPDX-License-Identifier: Apache-2.0 */
    .section .rodata
    .p2align 4
    .globl vdso_image, vdso_image_end
    .hidden vdso_image, vdso_image_end
vdso_image:
    .incbin VDSO_IMAGE
vdso_image_end:
    .section .note.GNU-stack, "", @progbits
