# SPDX-License-Identifier: Apache-2.0
"""Sequential writes and reads of a file by calls of one size: fstime, which meson builds.

    fstime write|read SIZE SECONDS FILE     prints JSON: "bytes" moved in "seconds", "file": its size
"""

import json
import os

from measure import Benchmark, Case, Failed, Metric, Program, Sample

SIZES = (256, 1024, 4096, 16384, 65536)


def sequential(direction, size, core):
    def measure(world, mode):
        path = os.path.join(world.folder, "sequential")
        with Program(world, [world.tool("fstime"), direction, str(size), str(min(1.0, world.seconds)), path],
                     mode=mode, core=core) as program:
            usage = program.finish()
        try:
            moved = json.loads(usage.output)
            # What is read was first written, by calls of the same size.
            calls = (moved["bytes"] + (moved["file"] if direction == "read" else 0)) / size
            return Sample({"rate": moved["bytes"] / moved["seconds"] / 2**20}, usage, calls)
        except (ValueError, KeyError) as error:
            raise Failed(f"fstime printed something else: {usage.output[-400:]}") from error
    return Case(f"{direction}, {size} bytes", [Metric("rate", "MiB/s")], measure)


def cases(core, sizes):
    return lambda world: [sequential(direction, size, core) for direction in ("write", "read")
                          for size in (sizes if not world.quick else (1024, 65536))]


BENCHMARKS = [
    Benchmark("files", "a file, sequentially", cases(None, SIZES), network=False),
    Benchmark("files-core", "a file, sequentially, on one core", cases(0, (256, 4096, 65536)), network=False),
]
