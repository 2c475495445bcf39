# SPDX-License-Identifier: Apache-2.0
"""Name servers by dnsperf over UDP: unbound with local data, Knot with a zone."""

import os
import re

from measure import Benchmark, Case, Failed, Metric, Program, Sample, tool

PORT = 5300
NAMES = 1000

UNBOUND = """server:
  interface: {address}@{port}
  access-control: 10.0.0.0/8 allow
  do-daemonize: no
  num-threads: 1
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: ""
  use-syslog: no
  verbosity: 0
  module-config: "iterator"
  local-zone: "bench." static
{data}
remote-control:
  control-enable: no
"""

KNOT = """server:
  listen: {address}@{port}
  rundir: {folder}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
log:
  - target: stderr
    any: error
database:
  storage: {folder}
template:
  - id: default
    storage: {folder}
    zonefile-sync: -1
zone:
  - domain: bench
    file: bench.zone
"""

ZONE = """$ORIGIN bench.
$TTL 3600
@ SOA ns hostmaster 1 3600 900 604800 300
@ NS ns
ns A 10.77.0.1
"""


def write(world, name, text):
    path = os.path.join(world.folder, name)
    with open(path, "w") as file:
        file.write(text)
    return path


def address(number):
    return f"10.1.{number // 256}.{number % 256}"


def unbound(world):
    data = "\n".join(f'  local-data: "host{i}.bench. A {address(i)}"' for i in range(NAMES))
    text = UNBOUND.format(address=world.net.address_a, port=PORT, folder=world.folder, data=data)
    return ["unbound", "-d", "-c", write(world, "unbound.conf", text)]


def knot(world):
    write(world, "bench.zone", ZONE + "".join(f"host{i} A {address(i)}\n" for i in range(NAMES)))
    text = KNOT.format(address=world.net.address_a, port=PORT, folder=world.folder)
    return ["knotd", "-c", write(world, "knot.conf", text)]


def queries(label, server_words):
    def measure(world, mode):
        net = world.net
        names = write(world, "queries", "".join(f"host{i}.bench A\n" for i in range(NAMES)))
        with Program(world, server_words(world), net.a, mode, "v0") as server:
            server.listening(net.a, PORT, "udp")
            text = tool(world, ["dnsperf", "-s", net.address_a, "-p", str(PORT), "-d", names, "-T", "1", "-c", "8",
                                "-q", "100", "-l", str(world.whole_seconds)], net.b)
            usage = server.stop()
        rate = re.search(r"Queries per second: +([0-9.]+)", text)
        done = re.search(r"Queries completed: +(\d+)", text)
        good = re.search(r"NOERROR (\d+)", text)
        if not rate or not done or not good or int(good[1]) < int(done[1]):
            raise Failed(f"dnsperf got other answers: {text[-400:]}")
        return Sample({"answers": float(rate[1])}, usage, int(done[1]))
    return Case(label, [Metric("answers", "queries/s")], measure)


BENCHMARKS = [
    Benchmark("dns", "unbound, 100 queries in flight over UDP", lambda _: [queries("local data", unbound)],
              ("unbound", "dnsperf"), "unbound dnsperf"),
    Benchmark("knot", "Knot, 100 queries in flight over UDP", lambda _: [queries("a zone", knot)],
              ("knotd", "dnsperf"), "knot dnsperf"),
]
