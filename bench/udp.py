# SPDX-License-Identifier: Apache-2.0
"""Plain loops over UDP sockets, with ends in the other namespace that are not the limit: datagrams come from an
AF_XDP socket (xsk_generator), and go to an XDP program that counts and drops them (xdp_counter)."""

import json
import subprocess

from measure import Benchmark, Case, Metric, Program, Sample, Skip, last_core, tool

PORT = 7000
RATE = 1_500_000  # datagrams a second that the generator tries to send


def generator(world, size, seconds):
    return [world.tool("xsk_generator"), "v1", world.net.address_a, str(PORT), str(size), str(RATE), str(seconds)]


def receive(size, batch):
    def measure(world, mode):
        net = world.net
        words = [world.tool("udp_sink"), str(PORT), str(world.seconds)] + ([str(batch)] if batch else [])
        with Program(world, words, net.a, mode, "v0") as sink:
            sink.listening(net.a, PORT, "udp")
            with Program(world, generator(world, size, world.seconds + 0.5), net.b, core=last_core()) as source:
                usage = sink.finish()
                offered = json.loads(source.finish().output)
        taken = json.loads(usage.output)
        return Sample({"received": taken["datagrams"] / taken["seconds"],
                       "offered": offered["sent"] / offered["seconds"]}, usage, taken["total"])
    call = f"recvmmsg of {batch}" if batch else "recvfrom"
    return Case(f"{call}, {size} bytes", [Metric("received", "packets/s"), Metric("offered", "packets/s")], measure)


def echo(size):
    def measure(world, mode):
        net = world.net
        with Program(world, [world.tool("udp_echo"), str(PORT)], net.a, mode, "v0") as server:
            server.listening(net.a, PORT, "udp")
            count = json.loads(tool(world, generator(world, size, world.seconds), net.b, core=last_core()))
            usage = server.stop()
        return Sample({"replies": count["replies"] / count["seconds"]}, usage, count["replies_total"])
    return Case(f"{size} bytes", [Metric("replies", "packets/s")], measure)


def transmit(size, batch):
    def measure(world, mode):
        net = world.net
        words = [world.tool("udp_source"), net.address_b, str(PORT), str(size), str(world.seconds)]
        with Program(world, [world.tool("xdp_counter"), "v1", str(PORT)], net.b, stdin=subprocess.PIPE) as counter:
            counter.until(lambda: counter.said() == "ready", "never ready")
            net.wait_carrier()
            with Program(world, words + ([str(batch)] if batch else []), net.a, mode, "v0") as source:
                usage = source.finish()
            counter.process.stdin.close()
            arrived = int(counter.finish().output.split()[1])
        sent = json.loads(usage.output)
        return Sample({"arrived": arrived / sent["seconds"], "sent": sent["datagrams"] / sent["seconds"]}, usage,
                      sent["datagrams"])
    call = f"sendmmsg of {batch}" if batch else "sendto"
    return Case(f"{call}, {size} bytes", [Metric("arrived", "packets/s"), Metric("sent", "packets/s")], measure)


def in_thread(world):
    """The kernel's part of receiving is not the generator's to do, as it is not where that is another machine."""
    if not world.net.receive_in_thread():
        raise Skip("the kernel cannot receive in a thread (threaded NAPI) here")

    def again(case):
        def measure(world, mode):
            world.net.receive_in_thread()  # which an XDP program that comes or goes may undo
            return case.measure(world, mode)
        return Case(case.name, case.metrics, measure)

    return [again(receive(64, 0))] + ([] if world.quick else [again(receive(1460, 0))])


BENCHMARKS = [
    Benchmark("udp-receive", "receiving UDP in a loop",
              lambda world: [receive(64, 0), receive(64, 32)] + ([] if world.quick else [receive(1460, 0)])),
    Benchmark("udp-receive-thread", "receiving UDP in a loop, the interface in a thread of its own", in_thread,
              ("ethtool",), "ethtool"),
    Benchmark("udp-echo", "recvfrom, then sendto back", lambda _: [echo(64)]),
    Benchmark("udp-transmit", "sending UDP in a loop",
              lambda _: [transmit(64, 0), transmit(1460, 0), transmit(64, 64)]),
]
