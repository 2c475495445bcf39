/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the program, and saying why it cannot be run before an enclave is made for it. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"

static const char *machine_name(unsigned machine, char *room, size_t size)
{
    switch (machine) {
    case EM_386:
        return "32-bit x86";
    case EM_AARCH64:
        return "AArch64";
    case EM_ARM:
        return "32-bit ARM";
    case EM_RISCV:
        return "RISC-V";
    case EM_PPC64:
        return "64-bit PowerPC";
    case EM_S390:
        return "s390x";
    case EM_LOONGARCH:
        return "LoongArch";
    case EM_MIPS:
        return "MIPS";
    }
    snprintf(room, size, "machine %u", machine);
    return room;
}

static int cannot_run(const char *path, const char *why)
{
    complain("cannot run '%s': %s", path, why);
    return STATUS_CANNOT_RUN;
}

/* #! and the interpreter's path, then perhaps one argument. What that is in turn is seen when it runs. */
static int script(const char *path, char *line)
{
    char why[512];
    char *interpreter = line + 2 + strspn(line + 2, " \t");
    interpreter[strcspn(interpreter, " \t\r\n")] = '\0';
    if (!*interpreter)
        return cannot_run(path, "it is a script that names no interpreter");
    if (!access(interpreter, X_OK))
        return 0;
    snprintf(why, sizeof why, "its interpreter %s cannot be executed: %s", interpreter, strerror(errno));
    return cannot_run(path, why);
}

static int elf_check(const char *path, int fd, uint64_t size)
{
    union {
        Elf64_Ehdr elf;
        char text[256];
    } head = {0};
    ssize_t got = pread(fd, &head, sizeof head - 1, 0);
    if (got < 0)
        return cannot_run(path, strerror(errno));
    if (!memcmp(head.text, "#!", 2))
        return script(path, head.text);
    if (memcmp(head.elf.e_ident, ELFMAG, SELFMAG))
        return cannot_run(path, "it is not an ELF executable");
    if ((size_t)got < sizeof head.elf)
        return cannot_run(path, "the file is truncated");

    const Elf64_Ehdr *e = &head.elf;
    char why[96], room[32];
    if (e->e_machine != EM_X86_64) {
        snprintf(why, sizeof why, "it is made for another architecture (%s), this is x86-64",
                 machine_name(e->e_machine, room, sizeof room));
        return cannot_run(path, why);
    }
    if (e->e_ident[EI_CLASS] != ELFCLASS64)
        return cannot_run(path, "it is made for another architecture (x32), this is x86-64");
    if (e->e_ident[EI_DATA] != ELFDATA2LSB || e->e_phentsize != sizeof(Elf64_Phdr))
        return cannot_run(path, "its ELF header is malformed");
    if (e->e_type != ET_EXEC && e->e_type != ET_DYN)
        return cannot_run(path, "it is an ELF file but not an executable");
    if (!e->e_phnum)
        return cannot_run(path, "it has no segments to load");
    if (e->e_phoff > size || e->e_phnum * sizeof(Elf64_Phdr) > size - e->e_phoff)
        return cannot_run(path, "the file is truncated");
    for (unsigned i = 0; i < e->e_phnum; i++) {
        Elf64_Phdr p;
        if (pread(fd, &p, sizeof p, (off_t)(e->e_phoff + i * sizeof p)) != sizeof p)
            return cannot_run(path, "the file is truncated");
        if (p.p_type == PT_LOAD && (p.p_offset > size || p.p_filesz > size - p.p_offset))
            return cannot_run(path, "the file is truncated");
    }
    return 0;
}

static int check(const char *path)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return cannot_run(path, strerror(errno));
    int result;
    if (fstat(fd, &status))
        result = cannot_run(path, strerror(errno));
    else if (S_ISDIR(status.st_mode))
        result = cannot_run(path, "it is a directory");
    else if (!S_ISREG(status.st_mode))
        result = cannot_run(path, "it is not a file");
    else if (access(path, X_OK))
        result = cannot_run(path, "it is not executable (chmod +x)");
    else
        result = elf_check(path, fd, (uint64_t)status.st_size);
    close(fd);
    return result;
}

static bool executable(const char *path)
{
    struct stat status;
    return !stat(path, &status) && S_ISREG(status.st_mode) && !access(path, X_OK);
}

int program_find(const char *name, char *path, size_t size)
{
    struct stat status;
    if (strchr(name, '/') || !*name) {
        if (snprintf(path, size, "%s", name) >= (int)size || stat(path, &status)) {
            int error = *name ? errno : ENOENT;
            complain("cannot find '%s': %s", name, strerror(error));
            return error == EACCES ? STATUS_CANNOT_RUN : STATUS_NOT_FOUND;
        }
        return check(path);
    }
    const char *search = getenv("PATH");
    if (!search)
        search = "/bin:/usr/bin";
    char seen[PATH_MAX] = ""; /* found, but it may not be executed */
    for (;; search++) {
        size_t length = strcspn(search, ":");
        int written = length ? snprintf(path, size, "%.*s/%s", (int)length, search, name)
                             : snprintf(path, size, "./%s", name);
        if (written < (int)size && executable(path))
            return check(path);
        if (written < (int)size && !*seen && !stat(path, &status))
            snprintf(seen, sizeof seen, "%s", path);
        search += length;
        if (!*search)
            break;
    }
    if (*seen)
        return check(seen);
    complain("cannot find '%s' in PATH", name);
    return STATUS_NOT_FOUND;
}
