# SPDX-License-Identifier: Apache-2.0
"""A server and a hundred clients in one event loop, UDP, timers, signals, threads."""
import asyncio
import os
import signal


async def serve(reader, writer):
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()
    writer.close()


async def client(port, number):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for i in range(5):
        writer.write(f"client {number} line {i}\n".encode())
        line = await reader.readline()
        assert line == f"CLIENT {number} LINE {i}\n".encode(), line
    writer.close()
    await writer.wait_closed()
    return number


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.transport.sendto(data[::-1], address)


class Ask(asyncio.DatagramProtocol):
    def __init__(self, answer):
        self.answer = answer

    def connection_made(self, transport):
        transport.sendto(b"abc")

    def datagram_received(self, data, address):
        self.answer.set_result(data)


async def main():
    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print(sum(await asyncio.gather(*(client(port, i) for i in range(100)))))
    transport, _ = await loop.create_datagram_endpoint(Echo, ("127.0.0.1", 0))
    answer = loop.create_future()
    await loop.create_datagram_endpoint(lambda: Ask(answer), remote_addr=transport.get_extra_info("sockname"))
    print(await asyncio.wait_for(answer, 10))
    got = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, got.set)
    loop.call_later(0.02, os.kill, os.getpid(), signal.SIGUSR1)
    await asyncio.wait_for(got.wait(), 10)
    print(await asyncio.to_thread(sum, range(10)))
    try:
        await asyncio.wait_for(asyncio.sleep(10), 0.05)
    except asyncio.TimeoutError:
        print("timeout")
    path = os.path.join(os.getcwd(), "socket")
    unix = await asyncio.start_unix_server(serve, path)
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"unix\n")
    print(await reader.readline())
    writer.close()
    unix.close()


asyncio.run(main())
