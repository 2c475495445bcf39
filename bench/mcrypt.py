# SPDX-License-Identifier: Apache-2.0
"""mcrypt encrypts a file."""

import os
import time

from measure import Benchmark, Case, Failed, Metric, Program, Sample


WORDS = ["mcrypt", "-q", "-a", "rijndael-128", "-m", "cbc", "-k", "secret"]


def cases(world):
    size = 32 if world.quick else 256
    plain, secret = (os.path.join(world.folder, name) for name in ("plain", "secret"))
    with open(plain, "wb") as file:
        for _ in range(size):
            file.write(os.urandom(1 << 20))

    def measure(_, mode):
        begin = time.monotonic()
        with open(plain, "rb") as file, open(secret, "wb") as out:
            with Program(world, WORDS, mode=mode, stdin=file, stdout=out) as program:
                usage = program.finish(120)
        seconds = time.monotonic() - begin
        if os.path.getsize(secret) < size << 20:
            raise Failed("mcrypt wrote less than it read")
        os.unlink(secret)
        return Sample({"encrypted": size / seconds}, usage, size)

    return [Case(f"rijndael-128, {size} MiB from file to file (operation: 1 MiB)", [Metric("encrypted", "MiB/s")],
                 measure)]


BENCHMARKS = [Benchmark("mcrypt", "mcrypt", cases, ("mcrypt",), "mcrypt", network=False)]
