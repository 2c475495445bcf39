# SPDX-License-Identifier: Apache-2.0
# Python's own processes: pools, locks, queues, shared values, events, managers.
import concurrent.futures, multiprocessing as mp, multiprocessing.shared_memory as shm, os


def square(x):
    return x * x


def add(lock, value, array, count):
    for i in range(count):
        with lock:
            value.value += 1
            array[i % len(array)] += 1


def put(queue, name, count):
    for i in range(count):
        queue.put((name, i))


def wait_and_set(first, second, barrier):
    first.wait()
    barrier.wait()
    second.set()


def fill(name):
    block = shm.SharedMemory(name)
    block.buf[:5] = b"hello"
    block.close()


if __name__ == "__main__":
    with mp.Pool(3) as pool:
        print("pool", sum(pool.map(square, range(200))), pool.apply(square, (7,)))
    lock, value, array = mp.Lock(), mp.Value("l", 0, lock=False), mp.Array("i", 4)
    children = [mp.Process(target=add, args=(lock, value, array, 40)) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    print("lock", value.value, list(array), [child.exitcode for child in children])
    queue = mp.Queue()
    children = [mp.Process(target=put, args=(queue, name, 20)) for name in "abc"]
    for child in children:
        child.start()
    got = sorted(queue.get() for _ in range(60))
    for child in children:
        child.join()
    print("queue", len(got), got[0], got[-1])
    first, second, barrier = mp.Event(), mp.Event(), mp.Barrier(2)
    child = mp.Process(target=wait_and_set, args=(first, second, barrier))
    child.start()
    print("event", second.is_set(), second.wait(0.05))
    first.set()
    barrier.wait()
    print("event", second.wait(20))
    child.join()
    with concurrent.futures.ProcessPoolExecutor(2) as executor:
        print("futures", list(executor.map(square, range(10))))
    block = shm.SharedMemory(create=True, size=10000)
    child = mp.Process(target=fill, args=(block.name,))
    child.start()
    child.join()
    print("shared memory", bytes(block.buf[:5]))
    block.close()
    block.unlink()
    with mp.Manager() as manager:
        shared = manager.dict()
        child = mp.Process(target=shared.update, args=({"key": 1},))
        child.start()
        child.join()
        print("manager", dict(shared))
