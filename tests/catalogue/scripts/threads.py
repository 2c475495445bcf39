# SPDX-License-Identifier: Apache-2.0
"""Threads, locks, queues, pools, timers of Python: prints what it finds."""
import concurrent.futures
import queue
import signal
import socket
import threading
import time

total, lock = 0, threading.Lock()


def add():
    global total
    for _ in range(1000):
        with lock:
            total += 1


threads = [threading.Thread(target=add) for _ in range(60)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(total)

for _ in range(5):  # more threads than there are at once
    threads = [threading.Thread(target=lambda: None) for _ in range(80)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
print(threading.active_count())

work, done = queue.Queue(), queue.Queue()


def worker():
    while (item := work.get()) is not None:
        done.put(item * item)


threads = [threading.Thread(target=worker) for _ in range(4)]
for thread in threads:
    thread.start()
for i in range(500):
    work.put(i)
for _ in threads:
    work.put(None)
for thread in threads:
    thread.join()
print(sum(done.get() for _ in range(500)))

with concurrent.futures.ThreadPoolExecutor(8) as pool:
    print(sum(pool.map(lambda x: x + 1, range(200))))

event = threading.Event()
threading.Timer(0.05, event.set).start()
print(event.wait(10), threading.Condition().acquire(timeout=1))
start = time.monotonic()
print(event.wait(0) and not threading.Event().wait(0.05), time.monotonic() - start >= 0.05)

caught = []
signal.signal(signal.SIGALRM, lambda number, frame: caught.append(number))
signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
while len(caught) < 3:
    time.sleep(0.01)
signal.setitimer(signal.ITIMER_REAL, 0)
print(caught[0])

a, b = socket.socketpair()
reader = threading.Thread(target=lambda: print(b.recv(100)))
reader.start()
a.send(b"between threads")
reader.join()
