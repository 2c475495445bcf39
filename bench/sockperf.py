# SPDX-License-Identifier: Apache-2.0
"""sockperf ping-pong against its server: round trips of one datagram, or TCP message, at a time."""

import re

from measure import Benchmark, Case, Failed, Metric, Program, Sample, tool

PORT = 7100
WANTED = {"median": "50.000", "99th percentile": "99.000"}


def ping_pong(protocol):
    def measure(world, mode):
        net, seconds = world.net, world.whole_seconds
        how = ["--tcp"] if protocol == "tcp" else []
        with Program(world, ["sockperf", "server", "-i", net.address_a, "-p", str(PORT)] + how, net.a, mode,
                     "v0" if protocol == "udp" else None) as server:
            server.listening(net.a, PORT, protocol)
            text = tool(world, ["sockperf", "ping-pong", "-i", net.address_a, "-p", str(PORT), "-t", str(seconds),
                                "-m", "64", "--full-rtt"] + how, net.b)
            usage = server.stop()
        values = {}
        for name, percentile in WANTED.items():
            found = re.search(rf"percentile {percentile} = +([0-9.]+)", text)
            if not found:
                raise Failed(f"sockperf printed no percentile {percentile}: {text[-400:]}")
            values[name] = float(found[1])
        trips = re.search(r"ReceivedMessages=(\d+)", text)
        return Sample(values, usage, int(trips[1]) if trips else None)
    return Case(protocol.upper(), [Metric(name, "us", "-") for name in WANTED], measure)


BENCHMARKS = [Benchmark("sockperf", "sockperf ping-pong, 64 bytes", lambda _: [ping_pong("udp"), ping_pong("tcp")],
                        ("sockperf",), "sockperf")]
