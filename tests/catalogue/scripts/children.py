# SPDX-License-Identifier: Apache-2.0
"""Processes of Python: pools, pipes, queues, what children print and how they end."""
import multiprocessing
import os
import signal
import subprocess
import sys


def square(n):
    return n * n


def main():
    with multiprocessing.Pool(2) as pool:
        print(sum(pool.map(square, range(100))))
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.Process(target=lambda: theirs.send(os.getppid() == parent))
    parent = os.getpid()
    child.start()
    print(ours.recv(), child.join(), child.exitcode)
    counter = multiprocessing.Value("i", 0)
    children = [multiprocessing.Process(target=add, args=(counter,)) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    print(counter.value, [child.exitcode for child in children])
    done = subprocess.run([sys.executable, "-c", "import sys; print(sys.stdin.read().upper()); sys.exit(5)"],
                          input="words", text=True, capture_output=True)
    print(done.returncode, repr(done.stdout))
    child = subprocess.Popen(["/bin/sleep", "100"])
    child.send_signal(signal.SIGTERM)
    print(child.wait(), os.waitstatus_to_exitcode(os.system("exit 3")))
    print(os.popen("echo $((6 * 7))").read())


def add(counter):
    for _ in range(100):
        with counter.get_lock():
            counter.value += 1


main()
