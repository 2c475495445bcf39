# SPDX-License-Identifier: Apache-2.0
# Floods of signals from another process: each that counts arrives, in order, and who is sent them gets on.
import ctypes, os, signal, sys, threading
libc = ctypes.CDLL(None, use_errno=True)

class Info(ctypes.Structure):
    _fields_ = [("signo", ctypes.c_int), ("errno", ctypes.c_int), ("code", ctypes.c_int), ("pad", ctypes.c_int),
                ("pid", ctypes.c_int), ("uid", ctypes.c_int), ("value", ctypes.c_uint64), ("rest", ctypes.c_char * 96)]

def send(count, signals, pid=os.getpid()):
    child = os.fork()
    if not child:
        for value in range(count):
            for number in signals:
                while libc.sigqueue(pid, number, ctypes.c_void_p(value)):
                    pass
        os._exit(0)
    return child

def wait(numbers, milliseconds=0):
    mask = (ctypes.c_uint64 * 16)(sum(1 << n - 1 for n in numbers))
    info = Info()
    timeout = (ctypes.c_long * 2)(milliseconds // 1000, milliseconds % 1000 * 1000000)
    n = libc.sigtimedwait(mask, ctypes.byref(info), timeout)
    return (n, info.value, info.pid) if n > 0 else None

# each arrives, in order, with its value, whoever takes it and when
handled = []
signal.signal(40, lambda number, frame: handled.append(number))
os.waitpid(send(500, [40]), 0)
print("handled", len(handled) > 0)
signal.pthread_sigmask(signal.SIG_BLOCK, {40, 41, 42, signal.SIGUSR1, signal.SIGUSR2})
for numbers in ([41], [41, 42]):
    child = send(3000, numbers)
    got = {n: [] for n in numbers}
    while sum(map(len, got.values())) < 3000 * len(numbers):
        n, value, pid = wait(numbers, 20000)
        assert pid == child
        got[n].append(value)
    os.waitpid(child, 0)
    print("waited for", [values == list(range(3000)) for values in got.values()], wait(numbers))
# a descriptor, non-blocking, with others between
fd = libc.signalfd(-1, (ctypes.c_uint64 * 16)(1 << 40), os.O_NONBLOCK)
child = send(3000, [41])
values = []
while len(values) < 3000:
    try:
        record = os.read(fd, 128 * 4)
        values += [int.from_bytes(record[i + 48:i + 56], "little") for i in range(0, len(record), 128)]
    except BlockingIOError:
        pass
os.waitpid(child, 0)
print("read", values == list(range(3000)))
# the LibOS asks the host, too, while signals come
came = []
signal.signal(signal.SIGRTMIN + 15, lambda number, frame: came.append(number))
child = send(2000, [signal.SIGRTMIN + 15, signal.SIGWINCH])
texts = [open("/proc/self/" + name, "rb").read() for i in range(500) for name in ("status", "stat", "limits")]
os.waitpid(child, 0)
print("files of /proc", all(texts), len(texts), len(came) > 0)
# standard ones are one, however often they are sent, and are none when they are ignored meanwhile
for round in range(2):
    os.waitpid(send(1000, [signal.SIGUSR1]), 0)
    print("one", [wait([signal.SIGUSR1]) is not None for i in range(3)])
os.waitpid(send(1000, [signal.SIGUSR2, 42]), 0)
signal.signal(signal.SIGUSR2, signal.SIG_IGN)
signal.signal(42, signal.SIG_IGN)
print("ignored", sorted(signal.sigpending()), wait([signal.SIGUSR2, 42]))
signal.signal(42, signal.SIG_DFL)
os.waitpid(send(200, [42]), 0)
print("again", sum(wait([42]) is not None for i in range(300)))
# none of it is the child's, which gets its own
os.waitpid(send(300, [41]), 0)
if not os.fork():
    first = [wait([41])]
    os.waitpid(send(300, [41], os.getpid()), 0)
    print("child", first, [wait([41])[1] for i in range(300)] == list(range(300)), flush=True)
    os._exit(0)
os.wait()
print("parent", [wait([41])[1] for i in range(300)] == list(range(300)))
# threads come and go
handled.clear()
threads = [threading.Thread(target=lambda: [wait([41], 5) for i in range(50)]) for i in range(4)]
for t in threads: t.start()
os.waitpid(send(150, [41]), 0)
for t in threads: t.join()
while wait([41]): pass
signal.pthread_sigmask(signal.SIG_UNBLOCK, {40})
child = send(100, [40])
os.waitpid(child, 0)
child = send(100, [41])
print("last", [wait([41], 10000)[1] for i in range(100)] == list(range(100)), len(handled) > 0)
