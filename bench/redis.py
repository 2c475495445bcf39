# SPDX-License-Identifier: Apache-2.0
"""redis-server by redis-benchmark, from another namespace."""

import csv

from measure import Benchmark, Case, Failed, Metric, Program, Sample, tool

PORT = 6400
TESTS = ("PING_INLINE", "PING_MBULK", "SET", "GET")


def round_trips(label, requests, clients, pipeline, core, figure):
    """figure: 'rps' or 'p50_latency_ms', a column of redis-benchmark's table."""
    def measure(world, mode):
        count = requests // 5 if world.quick else requests
        net = world.net
        server_words = ["redis-server", "--port", str(PORT), "--bind", net.address_a, "--save", "",
                        "--appendonly", "no", "--protected-mode", "no", "--daemonize", "no"]
        with Program(world, server_words, net.a, mode, core=core) as server:
            server.listening(net.a, PORT)
            table = tool(world, ["redis-benchmark", "-h", net.address_a, "-p", str(PORT), "-t", "ping,set,get",
                                 "-n", str(count), "-c", str(clients), "-P", str(pipeline), "--csv"], net.b)
            usage = server.stop()
        rows = {row["test"]: row for row in csv.DictReader(table.splitlines())}
        if set(TESTS) - set(rows):
            raise Failed(f"redis-benchmark printed something else: {table[-400:]}")
        scale = 1000 if figure == "p50_latency_ms" else 1
        return Sample({test: scale * float(rows[test][figure]) for test in TESTS}, usage, count * len(TESTS))

    unit, better = ("us", "-") if figure == "p50_latency_ms" else ("requests/s", "+")
    return Case(label, [Metric(test, unit, better) for test in TESTS], measure)


def throughput(core=None, requests=60000):
    return round_trips("50 clients", requests, 50, 1, core, "rps")


def cases(_):
    return [throughput(), round_trips("50 clients, 16 at once", 1000000, 50, 16, None, "rps"),
            round_trips("1 client, median", 10000, 1, 1, None, "p50_latency_ms")]


NEEDS = {"programs": ("redis-server", "redis-benchmark"), "packages": "redis-server redis-tools"}
BENCHMARKS = [
    Benchmark("redis", "redis-server", cases, curve=lambda _: [throughput()], **NEEDS),
    Benchmark("redis-core", "redis-server on one core", lambda _: [throughput(core=0, requests=40000)], **NEEDS),
]
