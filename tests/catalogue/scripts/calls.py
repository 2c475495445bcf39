# SPDX-License-Identifier: Apache-2.0
"""System calls that Python gives a name to, in turn; prints what each does."""
import ctypes
import errno
import fcntl
import mmap
import os
import resource
import select
import signal
import socket
import stat
import struct
import sys
import threading
import time


def show(name, call, *arguments, **more):
    try:
        result = call(*arguments, **more)
    except OSError as error:
        result = errno.errorcode[error.errno]
    print(name, result)


libc = ctypes.CDLL(None, use_errno=True)


def raw(*arguments):
    result = libc.syscall(*[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    return errno.errorcode[ctypes.get_errno()] if result == -1 else result


fd = os.open("f", os.O_RDWR | os.O_CREAT, 0o644)
show("write", os.write, fd, b"0123456789" * 1000)
show("preadv", lambda: (lambda b: (os.preadv(fd, b, 3), bytes(b[0]), bytes(b[1])))([bytearray(4), bytearray(5)]))
show("pwritev", os.pwritev, fd, [b"ab", b"cd"], 7)
show("preadv2", lambda: (lambda b: (os.preadv(fd, [b], 0, os.RWF_HIPRI), bytes(b)))(bytearray(12)))
show("posix_fallocate", os.posix_fallocate, fd, 0, 20000)
show("ftruncate", os.ftruncate, fd, 15000)
show("fstat", lambda: (lambda s: (s.st_size, stat.filemode(s.st_mode), s.st_nlink))(os.fstat(fd)))
show("fsync", os.fsync, fd)
show("fdatasync", os.fdatasync, fd)
show("lseek hole", os.lseek, fd, 0, os.SEEK_HOLE)
to = os.open("g", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
show("sendfile", os.sendfile, to, fd, 5, 1000)
show("copy_file_range", os.copy_file_range, fd, to, 500, 10, 1000)
r, w = os.pipe()
show("splice in", os.splice, fd, w, 100, 0)
r2, w2 = os.pipe()
show("tee", lambda: libc.tee(r, w2, 50, 0))
show("splice out", os.splice, r, to, 100)
show("read of the tee", os.read, r2, 10)
show("vmsplice", lambda: libc.vmsplice(w, ctypes.byref((ctypes.c_size_t * 2)(
    ctypes.addressof(ctypes.create_string_buffer(b"vm")), 2)), 1, 0))
show("pipe size", lambda: fcntl.fcntl(r, 1031, 65536) >= 65536)
show("flock", fcntl.flock, fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
show("lockf", fcntl.lockf, fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 20)
show("getlk", lambda: struct.unpack("hhqqi4x", fcntl.fcntl(to, fcntl.F_GETLK, struct.pack("hhqqi4x", 1, 0, 0, 0, 0)))[:4])
again = os.open("f", os.O_RDWR)
show("ofd lock", lambda: fcntl.fcntl(again, 37, struct.pack("hhqqi4x", 1, 0, 100, 10, 0)) and "taken")
show("ofd lock of another", lambda: fcntl.fcntl(fd, 37, struct.pack("hhqqi4x", 1, 0, 100, 10, 0)))
show("memfd", lambda: (lambda m: (os.write(m, b"x" * 10), os.fstat(m).st_size, fcntl.fcntl(m, 1033, 4),
                                  fcntl.fcntl(m, 1034)))(os.memfd_create("m", 3)))
m = os.memfd_create("m", 3)
os.write(m, b"x" * 10)
show("sealed write", lambda: (fcntl.fcntl(m, 1033, 8), os.write(m, b"y")))
show("xattr", lambda: (os.setxattr("f", "user.a", b"value"), os.getxattr("f", "user.a"), os.listxattr("f")))
show("statvfs", lambda: os.statvfs(".").f_namemax)
show("link", os.link, "f", "h")
show("symlink", os.symlink, "f", "s")
show("readlink", os.readlink, "s")
show("rename", os.rename, "h", "i")
show("mkdir", os.mkdir, "d", 0o700)
show("rmdir of nothing", os.rmdir, "nothing")
show("unlink of a directory", os.unlink, "d")
show("scandir", lambda: sorted(e.name for e in os.scandir(".") if e.name != "server.log"))
show("utime", lambda: (os.utime("f", (5, 6)), os.stat("f").st_mtime))
show("chmod", lambda: (os.chmod("f", 0o600), oct(os.stat("f").st_mode)))
show("access", os.access, "f", os.X_OK, effective_ids=True)
show("umask", lambda: (os.umask(0o27), os.umask(0o22)))
show("dup", lambda: os.dup2(fd, 100))
show("close_range", lambda: (libc.close_range(100, 200, 0), os.path.exists("/proc/self/fd/100")))
show("closed", os.fstat, 100)
show("statx", lambda: libc.statx(-100, b"f", 0, 0xfff, ctypes.create_string_buffer(256)))
show("pidfd", lambda: (lambda p: (select.select([p], [], [], 0)[0], signal.pidfd_send_signal(p, 0)))(os.pidfd_open(os.getpid())))

# memory
p = mmap.mmap(-1, 100000)
p[:5] = b"hello"
show("anonymous", lambda: (p[:5], p[99999]))
show("madvise", lambda: (p.madvise(mmap.MADV_DONTNEED), p[0]))
p.resize(200000)
show("mremap", lambda: len(p))
f = mmap.mmap(fd, 0)
f[100:105] = b"MAPPD"
show("shared write seen by read", os.pread, fd, 7, 99)
os.pwrite(fd, b"WRITTEN", 200)
show("write seen in the mapping", lambda: f[199:208])
f.flush()
show("msync", lambda: open("f", "rb").read()[99:107])
c = mmap.mmap(fd, 0, access=mmap.ACCESS_COPY)
c[0:3] = b"own"
show("private", lambda: (c[:3], f[:3], os.pread(fd, 3, 0)))
second = mmap.mmap(fd, 4096)
f[300:303] = b"two"
second.flush()
f.close()
show("after munmap", os.pread, fd, 3, 300)
show("mmap of nothing", mmap.mmap, os.open("/dev/null", os.O_RDWR), 4096)

# time
show("clock_getres", time.clock_getres, time.CLOCK_MONOTONIC)
show("nanosleep", lambda: (lambda t: (time.sleep(0.01), time.monotonic() - t >= 0.01)[1])(time.monotonic()))
show("times", lambda: os.times().user >= 0)
show("getrusage", lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0)
show("thread usage", lambda: resource.getrusage(resource.RUSAGE_THREAD).ru_utime >= 0)
show("thread time", lambda: time.thread_time() > 0)
for which, number, name in ((signal.ITIMER_VIRTUAL, signal.SIGVTALRM, "virtual"), (signal.ITIMER_PROF, signal.SIGPROF, "prof")):
    caught = []
    signal.signal(number, lambda n, _: caught.append(n))
    signal.setitimer(which, 0.02)
    end = time.monotonic() + 20
    while not caught and time.monotonic() < end:
        pass
    show(name, lambda: (signal.Signals(caught[0]).name, signal.getitimer(which)))


class Event(ctypes.Structure):
    _fields_ = [("value", ctypes.c_long), ("signo", ctypes.c_int), ("notify", ctypes.c_int), ("tid", ctypes.c_int),
                ("pad", ctypes.c_int * 11)]


def timer(clock, notify, tid, number, first, interval):
    event, timer_id = Event(1234, number, notify, tid), ctypes.c_void_p()
    if libc.timer_create(clock, ctypes.byref(event), ctypes.byref(timer_id)):
        return None
    value = (ctypes.c_long * 4)(0, interval, 0, first)
    libc.timer_settime(timer_id, 0, ctypes.byref(value), None)
    return timer_id


number = signal.SIGRTMIN + 2
signal.pthread_sigmask(signal.SIG_BLOCK, [number])
for clock, name in ((0, "realtime"), (1, "monotonic"), (2, "process"), (3, "thread"), (7, "boottime")):
    t = timer(clock, 0, 0, number, 10000000, 0)
    end = time.monotonic() + 20
    info = None
    while t is not None and not info and time.monotonic() < end:
        info = signal.sigtimedwait([number], 0)
        if not info and clock not in (2, 3):
            info = signal.sigtimedwait([number], 1)
    show("timer " + name, lambda: info and (info.si_code, info.si_signo == number))
    libc.timer_delete(t)
t = timer(1, 4, threading.get_native_id(), number, 1000000, 1000000)
time.sleep(0.1)
show("overrun", lambda: (signal.sigwaitinfo([number]).si_code, libc.timer_getoverrun(t) > 10))
left = (ctypes.c_long * 4)()
show("timer_gettime", lambda: (libc.timer_gettime(t, ctypes.byref(left)), left[1]))
libc.timer_delete(t)
show("timer deleted", libc.timer_gettime, t, ctypes.byref(left))

# signals
for i in range(5):
    libc.sigqueue(os.getpid(), int(number), ctypes.c_void_p(i))
show("queue", lambda: [signal.sigwaitinfo([number]).si_code for _ in range(5)])
show("empty", signal.sigtimedwait, [number], 0)
show("sigpending", lambda: (signal.raise_signal(number), signal.sigpending() == {number}, signal.sigwait([number]) == number))
show("kill of nobody", os.kill, 2 ** 22 - 2, 0)

# processes, in as far as there is one
show("affinity", lambda: os.sched_getaffinity(0) == os.sched_getaffinity(threading.get_native_id()))
show("scheduler", lambda: (os.sched_getscheduler(0), os.sched_get_priority_max(1)))
show("rlimit", lambda: resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 0)
show("nice", lambda: os.nice(0))
show("groups", lambda: os.getgroups() is not None)
show("session", lambda: os.getsid(0) == os.getsid(os.getpid()))
name = ctypes.create_string_buffer(16)
show("name", lambda: (libc.prctl(15, b"a-name"), libc.prctl(16, name), name.value, open("/proc/self/comm").read()))
show("no_new_privs", lambda: (libc.prctl(38, 1, 0, 0, 0), libc.prctl(39, 0, 0, 0, 0)))
show("membarrier", lambda: (raw(324, 0, 0, 0) > 0, raw(324, 16, 0, 0), raw(324, 8, 0, 0)))
show("rseq", lambda: raw(334, 0, 0, 0, 0) in ("ENOSYS", "EINVAL"))
show("ioprio", lambda: raw(252, 1, 0))
show("getcpu", lambda: libc.sched_getcpu() >= 0)
show("sysinfo", lambda: os.sysconf("SC_PHYS_PAGES") > 0)

# /proc
show("cmdline", lambda: open("/proc/self/cmdline", "rb").read().split(b"\0")[1][-8:])
show("auxv", lambda: sorted(k for k, _ in struct.iter_unpack("QQ", open("/proc/self/auxv", "rb").read()) if k in (3, 4, 5, 6, 7, 9, 23, 25, 31)))
show("environ", lambda: b"SCRIPTS=" in open("/proc/self/environ", "rb").read())
show("stat", lambda: len(open("/proc/self/stat").read().split()))
show("statm", lambda: len(open("/proc/self/statm").read().split()))
show("status", lambda: [line.split()[1] for line in open("/proc/self/status") if line.startswith("Threads")])
show("task", lambda: os.listdir("/proc/self/task") == [str(os.getpid())])
show("limits", lambda: open("/proc/self/limits").readline().split()[:2])
show("mounts", lambda: "/proc" in open("/proc/self/mounts").read())
show("maps", lambda: "libc.so.6" in open("/proc/self/maps").read() and "[stack]" in open("/proc/self/maps").read())
show("fd", lambda: sorted(os.listdir("/proc/self/fd"))[:3])
show("fdinfo", lambda: (os.lseek(fd, 77, 0), open(f"/proc/self/fdinfo/{fd}").readline().split()))
show("cpus", lambda: open("/sys/devices/system/cpu/online").read())
show("exe", lambda: os.path.basename(os.readlink("/proc/self/exe")))

# waiting
e = select.epoll()
a, b = socket.socketpair()
e.register(a, select.EPOLLIN | select.EPOLLET)
b.send(b"x")
show("edge", lambda: (e.poll(1)[0][1], e.poll(0)))
b.send(b"y")
show("edge again", lambda: (e.poll(1)[0][1], a.recv(10)))
event = os.eventfd(3, os.EFD_SEMAPHORE | os.EFD_NONBLOCK)
show("eventfd", lambda: (os.eventfd_read(event), os.eventfd_read(event), os.eventfd_write(event, 5), os.eventfd_read(event)))
watch = libc.inotify_init1(0)
show("inotify", lambda: (libc.inotify_add_watch(watch, b".", 0x100) > 0, open("new", "w").close(),
                         os.read(watch, 100)[16:19]))
show("socket options", lambda: (lambda s: (s.setsockopt(6, 1, 1), s.getsockopt(6, 1), s.getsockopt(1, 3)))(socket.socket()))
show("passing descriptors", lambda: (socket.send_fds(a, [b"m"], [fd]), os.fstat(socket.recv_fds(b, 10, 5)[1][0]).st_size))
show("peer", lambda: struct.unpack("3i", a.getsockopt(1, 17, 12))[1:])
show("terminal", lambda: (os.isatty(0), os.ttyname(0) if os.isatty(0) else None))
show("unknown call", lambda: raw(999))
sys.exit(0)
