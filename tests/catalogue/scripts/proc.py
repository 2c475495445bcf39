# SPDX-License-Identifier: Apache-2.0
# What /proc says of a process, as far as it is the same everywhere.
import ctypes, os, re, resource, struct, subprocess, sys, threading, time

me = os.getpid()


def read(name, process="self"):
    with open(f"/proc/{process}/{name}", "rb") as file:
        return file.read()


smaps = read("smaps").decode()
mapping = re.compile(r"^[0-9a-f]{8,}-[0-9a-f]{8,} [r-][w-][x-][ps] [0-9a-f]{8} [0-9a-f:]+ \d+ ")
lines = smaps.splitlines()
print("mappings", all(mapping.match(line) or re.match(r"^\w+:", line) for line in lines))
end = next(i for i, line in enumerate(lines[1:], 1) if mapping.match(line))
keys = "Size Rss Pss Shared_Clean Shared_Dirty Private_Clean Private_Dirty Referenced Anonymous Swap Locked VmFlags".split()
print("keys of a mapping", [key for line in lines[1:end] for key in [line.split(":")[0]] if key in keys])
print("keys of the sum", [key for line in read("smaps_rollup").decode().splitlines()[1:] for key in [line.split(":")[0]] if key in keys + ["Pss_Anon", "Pss_File"]])
print("parts of the program", len([line for line in read("maps").decode().splitlines() if line.endswith(os.readlink("/proc/self/exe"))]))
print("heap and stack", "[heap]" in smaps, "[stack]" in smaps, "[vdso]" in smaps)
total, resident, shared, code, zero, data, dirty = map(int, read("statm").split())
print("sizes in order", total >= resident >= shared > 0, total >= code > 0, total >= data > 0, zero, dirty)
stat = re.match(rb"(\d+) \((.*)\) (.) (\d+) (\d+) ", read("stat"))
print("stat", int(stat[1]) == me, stat[2], stat[3], int(stat[4]) == os.getppid(), int(stat[5]) == os.getpgrp(), len(read("stat").split()))
print("keys of status", [line.split(":")[0] for line in read("status").decode().splitlines()][:10])
print("state", re.search(r"State:.*", read("status").decode())[0])
print("keys of io", [line.split(":")[0] for line in read("io").decode().splitlines()])
print("limits", [line[:26].strip() for line in read("limits").decode().splitlines()][:8])
print("arguments", read("cmdline").split(b"\0")[1:])
print("environment", b"LANG=C.UTF-8" in read("environ").split(b"\0"))
auxv = read("auxv")
vector = dict(struct.iter_unpack("QQ", auxv))
print("auxiliary vector", vector[6], vector[3] != 0, vector[11] == os.getuid(), len(auxv) % 16)
print("descriptors", sorted(map(int, os.listdir("/proc/self/fd"))), os.readlink("/proc/self/fd/0"))
print("working directory", os.readlink("/proc/self/cwd") == os.getcwd())
print("the same by number", read("comm", me) == read("comm"), read("cmdline", me) == read("cmdline"))

libc = ctypes.CDLL(None)
libc.prctl(15, b"renamed", 0, 0, 0)
print("a name by prctl", read("comm"))
with open("/proc/self/comm", "w") as file:
    file.write("again\n")
print("a name by a file", read("comm"))


def named():
    libc.prctl(15, b"a thread", 0, 0, 0)
    print("threads", sorted(read(f"task/{task}/comm") for task in os.listdir("/proc/self/task")))


thread = threading.Thread(target=named)
thread.start()
thread.join()

child = subprocess.Popen(["sleep", "50"])
for attempt in range(100):
    if read("comm", child.pid) == b"sleep\n" and read("cmdline", child.pid):
        break
    time.sleep(0.05)
print("a child", read("comm", child.pid), read("cmdline", child.pid))
print("its parent", re.search(r"PPid:\t(\d+)", read("status", child.pid).decode())[1] == str(me))
resource.prlimit(child.pid, resource.RLIMIT_NOFILE, (100, 200))
print("its limits", resource.prlimit(child.pid, resource.RLIMIT_NOFILE))
child.kill()
child.wait()
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print("usage", usage.ru_maxrss > 0, resource.getrusage(resource.RUSAGE_SELF).ru_utime > 0, os.times().children_user >= 0)

resource.setrlimit(resource.RLIMIT_NOFILE, (20, 40))
files = []
try:
    while True:
        files.append(os.open("/dev/null", os.O_RDONLY))
except OSError as error:
    print("open files", error.strerror, files[-1])
print("core limits", resource.getrlimit(resource.RLIMIT_CORE) == tuple(
    int(x) if x != b"unlimited" else -1 for x in re.search(rb"Max core file size +(\S+) +(\S+)", read("limits")).groups()) if files and not os.close(files.pop()) else None)
