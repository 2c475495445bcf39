# SPDX-License-Identifier: Apache-2.0
"""memcached by memaslap (Debian names it memcaslap): its default mix of nine gets to one set, over UDP and TCP."""

import re

from measure import Benchmark, Case, Failed, Metric, Program, Sample, Skip, find, tool

PORT = 11300


def load(client, protocol):
    def measure(world, mode):
        net, seconds = world.net, world.whole_seconds
        words = ["memcached", "-u", "root", "-l", net.address_a, "-p", str(PORT), "-t", "1", "-m", "256"]
        with Program(world, words + ["-U", str(PORT if protocol == "udp" else 0)], net.a, mode,
                     "v0" if protocol == "udp" else None) as server:
            server.listening(net.a, PORT, protocol)
            text = tool(world, [client, "-s", f"{net.address_a}:{PORT}", "-T", "1", "-c", "16", "-X", "100",
                                "-t", f"{seconds}s"] + (["-U"] if protocol == "udp" else []), net.b)
            usage = server.stop()
        rate, done = re.search(r"TPS: (\d+)", text), re.search(r"Ops: (\d+)", text)
        if not rate or not done:
            raise Failed(f"{client} printed no rate: {text[-400:]}")
        return Sample({"operations": float(rate[1])}, usage, int(done[1]))
    return Case(protocol.upper() + ", 16 clients", [Metric("operations", "per s")], measure)


def cases(_):
    client = find("memaslap") or find("memcaslap")
    if not client:
        raise Skip("memaslap is not installed (package libmemcached-tools)")
    return [load(client, "udp"), load(client, "tcp")]


BENCHMARKS = [Benchmark("memcached", "memcached", cases, ("memcached",), "memcached")]
