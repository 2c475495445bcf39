# SPDX-License-Identifier: Apache-2.0
"""Two network namespaces joined by a veth pair, made and removed: for the demo and the benchmarks."""

import os
import subprocess
import time


def run(*words, check=True):
    return subprocess.run(words, check=check, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


class Pair:
    """`with Pair('demo') as net`: net.a and net.b are namespaces, net.address_a and net.address_b theirs.

    The interface in a is v0, the one in b is v1; they have IPv6 addresses too, if the kernel has IPv6.
    """

    def __init__(self, name):
        self.a = f"rakis-{name}-{os.getpid()}a"
        self.b = f"rakis-{name}-{os.getpid()}b"
        self.address_a, self.address_b = "10.77.0.1", "10.77.0.2"
        self.address6_a, self.address6_b = "fd77::1", "fd77::2"

    def __enter__(self):
        try:
            for space in (self.a, self.b):
                run("ip", "netns", "add", space)
                run("ip", "-n", space, "link", "set", "lo", "up")
            run("ip", "-n", self.a, "link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", self.b)
            for space, interface, address, address6 in ((self.a, "v0", self.address_a, self.address6_a),
                                                        (self.b, "v1", self.address_b, self.address6_b)):
                run("ip", "-n", space, "address", "add", address + "/24", "dev", interface)
                run("ip", "-n", space, "address", "add", address6 + "/64", "dev", interface, "nodad", check=False)
                run("ip", "-n", space, "link", "set", interface, "up")
            self.wait_carrier()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for space in (self.a, self.b):
            run("ip", "netns", "del", space, check=False)

    def wait_carrier(self):
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            if "LOWER_UP" in run("ip", "-n", self.a, "link", "show", "v0").stdout:
                return
            time.sleep(0.01)
        raise RuntimeError("the veth pair has no carrier")

    def congestion_control(self, name):
        """Of TCP between the two, if the kernel has it; else it stays as it is."""
        for space, interface in ((self.a, "v0"), (self.b, "v1")):
            run("ip", "-n", space, "route", "change", "10.77.0.0/24", "dev", interface, "congctl", name, check=False)

    def receive_in_thread(self):
        """v0 receives in a thread of the kernel's rather than on the core of whoever sends to it; False: it cannot."""
        run("ip", "netns", "exec", self.a, "ethtool", "-K", "v0", "gro", "on", check=False)
        return not run("ip", "netns", "exec", self.a, "sh", "-c", "echo 1 >/sys/class/net/v0/threaded",
                       check=False).returncode

    @staticmethod
    def inside(space):
        return ["ip", "netns", "exec", space]
