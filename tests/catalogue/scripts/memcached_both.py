# SPDX-License-Identifier: Apache-2.0
"""Values set by TCP are read by UDP and the other way round, four clients at once, large answers in several datagrams."""
import random
import socket
import struct
import sys
import threading

CLIENTS = 4
failures, finished = [], []


class Udp:
    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(10)
        self.socket.connect(("127.0.0.1", 11211))
        self.number = 0

    def ask(self, request):
        self.number += 1
        self.socket.send(struct.pack("!HHHH", self.number, 0, 1, 0) + request)
        parts = {}
        while True:
            answer = self.socket.recv(65536)
            number, part, parts_all, _ = struct.unpack("!HHHH", answer[:8])
            assert number == self.number, (number, self.number)
            parts[part] = answer[8:]
            if len(parts) == parts_all:
                return b"".join(parts[i] for i in range(parts_all))


class Tcp:
    def __init__(self):
        self.socket = socket.create_connection(("127.0.0.1", 11211), timeout=10)
        self.file = self.socket.makefile("rb")

    def ask(self, request):
        self.socket.sendall(request)
        answer = self.file.readline()
        if answer.startswith(b"VALUE"):
            answer += self.file.read(int(answer.split()[3])) + self.file.readline() + self.file.readline()
        return answer


def client(number):
    chance = random.Random(number)
    udp, tcp = Udp(), Tcp()
    values = {}
    for i in range(300):
        key = f"key-{number}-{i}".encode()
        values[key] = chance.randbytes(chance.choice((10, 500, 1000, 1300 if i % 2 else 20000)))
        request = b"set %s 0 0 %d\r\n%s\r\n" % (key, len(values[key]), values[key])
        answer = (udp if i % 2 else tcp).ask(request)
        if answer != b"STORED\r\n":
            failures.append(("set", key, answer[:60]))
    for i, (key, value) in enumerate(values.items()):
        answer = (tcp if i % 2 else udp).ask(b"get %s\r\n" % key)
        if answer != b"VALUE %s 0 %d\r\n%s\r\nEND\r\n" % (key, len(value), value):
            failures.append(("get", key, len(answer), answer[:60]))
    finished.append(number)


threads = [threading.Thread(target=client, args=(i,)) for i in range(CLIENTS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("failures:", failures[:5], "finished:", sorted(finished))
sys.exit(len(finished) != CLIENTS or bool(failures))
