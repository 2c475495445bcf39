# SPDX-License-Identifier: Apache-2.0
"""Time from start to exit of small programs, and resident memory of one that sleeps."""

import statistics
import time

from measure import Benchmark, Case, Metric, Program, Sample

PROGRAMS = (("/bin/true", ["/bin/true"]), ("python3 -c pass", ["/usr/bin/python3", "-c", "pass"]))


def start(words):
    def measure(world, mode):
        times = []
        for _ in range(3 if world.quick else 7):
            begin = time.monotonic()
            with Program(world, words, mode=mode) as program:
                usage = program.finish()
                times.append(time.monotonic() - begin)
        return Sample({"start to exit": 1000 * statistics.median(times)}, usage)
    return measure


def resident(world, mode):
    def field(name):
        with open(f"/proc/{program.process.pid}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith(name))

    with Program(world, ["/bin/sleep", "20"], mode=mode) as program:
        # It sleeps, thus it is loaded: two looks that find the same.
        sizes = [0]
        program.until(lambda: sizes.append(field("VmRSS")) or time.sleep(0.2) or sizes[-1] == sizes[-2] > 0,
                      "its memory kept changing")
        program.stop()
    return Sample({"resident": sizes[-1] / 1024})


def cases(_):
    return ([Case(name, [Metric("start to exit", "ms", "-")], start(words)) for name, words in PROGRAMS]
            + [Case("sleep", [Metric("resident", "MiB", "-")], resident)])


BENCHMARKS = [Benchmark("start", "starting, and memory", cases, network=False)]
