# SPDX-License-Identifier: Apache-2.0
"""Two network namespaces joined by a veth pair, made and removed: for the demo and the benchmarks."""

import os
import subprocess
import time


def run(*words, check=True):
    return subprocess.run(words, check=check, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


class Pair:
    """`with Pair('demo') as net`: net.a and net.b are namespaces, net.address_a and net.address_b theirs.

    The interface in a is v0, the one in b is v1.
    """

    def __init__(self, name):
        self.a = f"rakis-{name}-{os.getpid()}a"
        self.b = f"rakis-{name}-{os.getpid()}b"
        self.address_a, self.address_b = "10.77.0.1", "10.77.0.2"

    def __enter__(self):
        try:
            for space in (self.a, self.b):
                run("ip", "netns", "add", space)
                run("ip", "-n", space, "link", "set", "lo", "up")
            run("ip", "-n", self.a, "link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", self.b)
            for space, interface, address in ((self.a, "v0", self.address_a), (self.b, "v1", self.address_b)):
                run("ip", "-n", space, "address", "add", address + "/24", "dev", interface)
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

    @staticmethod
    def inside(space):
        return ["ip", "netns", "exec", space]
