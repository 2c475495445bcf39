# SPDX-License-Identifier: Apache-2.0
"""Name servers by dnsperf over UDP: unbound with local data, Knot with a zone, dnsmasq with a file of hosts."""

import os
import re

from measure import Benchmark, Case, Failed, Metric, Program, Sample, tool

PORT = 5300
NAMES = 1000

UNBOUND = """server:
  interface: {address}@{port}
  interface: {address6}@{port}
  access-control: 10.0.0.0/8 allow
  access-control: fd00::/8 allow
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
  listen: [ {address}@{port}, {address6}@{port} ]
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

DNSMASQ = """port={port}
listen-address={address},{address6}
bind-interfaces
user=root
no-resolv
no-hosts
addn-hosts={folder}/hosts
pid-file=
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


def configuration(world, name, text, **more):
    return write(world, name, text.format(address=world.net.address_a, address6=world.net.address6_a, port=PORT,
                                          folder=world.folder, **more))


def unbound(world):
    data = "\n".join(f'  local-data: "host{i}.bench. A {address(i)}"' for i in range(NAMES))
    return ["unbound", "-d", "-c", configuration(world, "unbound.conf", UNBOUND, data=data)]


def knot(world):
    write(world, "bench.zone", ZONE + "".join(f"host{i} A {address(i)}\n" for i in range(NAMES)))
    return ["knotd", "-c", configuration(world, "knot.conf", KNOT)]


def dnsmasq(world):
    write(world, "hosts", "".join(f"{address(i)} host{i}.bench\n" for i in range(NAMES)))
    return ["dnsmasq", "-k", "-C", configuration(world, "dnsmasq.conf", DNSMASQ)]


def queries(label, server_words, six=False):
    def measure(world, mode):
        net = world.net
        names = write(world, "queries", "".join(f"host{i}.bench A\n" for i in range(NAMES)))
        with Program(world, server_words(world), net.a, mode, "v0") as server:
            server.listening(net.a, PORT, "udp")
            text = tool(world, ["dnsperf", "-s", net.address6_a if six else net.address_a, "-p", str(PORT), "-d", names,
                                "-T", "1", "-c", "8", "-q", "100", "-l", str(world.whole_seconds)], net.b)
            usage = server.stop()
        rate = re.search(r"Queries per second: +([0-9.]+)", text)
        done = re.search(r"Queries completed: +(\d+)", text)
        good = re.search(r"NOERROR (\d+)", text)
        if not rate or not done or not good or int(good[1]) < int(done[1]):
            raise Failed(f"dnsperf got other answers: {text[-400:]}")
        return Sample({"answers": float(rate[1])}, usage, int(done[1]))
    return Case(label, [Metric("answers", "queries/s")], measure)


def both(server_words):
    return lambda world: [queries("IPv4", server_words)] + ([] if world.quick else [queries("IPv6", server_words, True)])


BENCHMARKS = [
    Benchmark("dns", "unbound with local data, 100 queries in flight over UDP", both(unbound),
              ("unbound", "dnsperf"), "unbound dnsperf"),
    Benchmark("knot", "Knot with a zone, 100 queries in flight over UDP", both(knot),
              ("knotd", "dnsperf"), "knot dnsperf"),
    Benchmark("dnsmasq", "dnsmasq with a file of hosts, 100 queries in flight over UDP", both(dnsmasq),
              ("dnsmasq", "dnsperf"), "dnsmasq-base dnsperf"),
]
