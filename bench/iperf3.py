# SPDX-License-Identifier: Apache-2.0
"""iperf3, the server or the client under test, TCP and UDP."""

import json

from measure import Benchmark, Case, Metric, Program, Sample

PORT = 5201
SIZES = (1460, 512, 64)  # of datagrams


def run_pair(world, mode, side, words, interface):
    """(usage of the side under test, the server's "end", the client's "end")"""
    net, seconds = world.net, world.whole_seconds
    server_words = ["iperf3", "-s", "-1", "-J", "-p", str(PORT)]
    client_words = ["iperf3", "-c", net.address_a if side == "server" else net.address_b, "-t", str(seconds), "-J",
                    "-p", str(PORT)] + words
    tested = {"mode": mode, "interface": interface}
    server_space, client_space = (net.a, net.b) if side == "server" else (net.b, net.a)
    with Program(world, server_words, server_space, **(tested if side == "server" else {})) as server:
        server.listening(server_space, PORT)
        with Program(world, client_words, client_space, **(tested if side == "client" else {})) as client:
            client_usage = client.finish(seconds + 20)
            server_usage = server.finish(20)
    server_end, client_end = (json.loads(usage.output)["end"] for usage in (server_usage, client_usage))
    return server_usage if side == "server" else client_usage, server_end, client_end


def tcp(label, side, words):
    def measure(world, mode):
        usage, server, client = run_pair(world, mode, side, words, None)
        taken = server["sum_received"] if side == "server" and not words else client["sum_received"]
        return Sample({"throughput": taken["bits_per_second"] / 1e9}, usage, taken["bytes"] / 2**20)
    return Case(label, [Metric("throughput", "Gbit/s")], measure)


def udp(side, size):
    def measure(world, mode):
        usage, server, client = run_pair(world, mode, side, ["-u", "-b", "0", "-l", str(size)], "v0")
        received = server["sum"]["packets"] - server["sum"]["lost_packets"]
        sent, seconds = client["sum"]["packets"], client["sum"]["seconds"] or world.seconds
        return Sample({"received": received / seconds, "sent": sent / seconds}, usage,
                      received if side == "server" else sent)
    return Case(f"{side}, {size} bytes", [Metric("received", "packets/s"), Metric("sent", "packets/s")], measure)


def tcp_cases(_):
    return [tcp("server receives (operation: 1 MiB)", "server", []),
            tcp("server sends (operation: 1 MiB)", "server", ["-R"])]


def udp_cases(world):
    sizes = (1460, 64) if world.quick else SIZES
    return [udp(side, size) for side in ("server", "client") for size in sizes]


NEEDS = {"programs": ("iperf3",), "packages": "iperf3"}
BENCHMARKS = [
    Benchmark("iperf3-tcp", "iperf3, TCP", tcp_cases, **NEEDS),
    Benchmark("iperf3-udp", "iperf3, UDP", udp_cases, **NEEDS,
              curve=lambda _: [udp("server", 1460), udp("client", 1460)]),
]
