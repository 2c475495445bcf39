# SPDX-License-Identifier: Apache-2.0
"""How a run is measured: a program natively or in an enclave, its CPU time and exits, with bounds on everything."""

import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

from netns import Pair, run

PATIENCE = 30  # seconds for what should not take any
ALSO = ("/usr/sbin", "/sbin")  # servers, which a user's PATH lacks


class Skip(Exception):
    """This machine cannot run the benchmark: why not."""


class Failed(Exception):
    """A run went wrong: what was said."""


class Mode:
    """Where a program runs: natively (io None), or in an enclave with this --io."""

    def __init__(self, name, io=None, cycles=None):
        self.name, self.io, self.cycles = name, io, cycles


MODES = (Mode("native"), Mode("exits", "exits"), Mode("rings", "rings"))


class Metric:
    """A figure of a case. better: '+' more, '-' less."""

    def __init__(self, name, unit, better="+"):
        self.name, self.unit, self.better = name, unit, better


class Case:
    """One comparison. measure(world, mode) returns a Sample; metrics says what its values are."""

    def __init__(self, name, metrics, measure):
        self.name, self.metrics, self.measure = name, metrics, measure


class Benchmark:
    """cases(world) returns its cases, or raises Skip; programs: what must be installed, packages: by these.

    network: needs namespaces; curve: cases over the cost of a transition.
    """

    def __init__(self, name, title, cases, programs=(), packages="", network=True, curve=None):
        self.name, self.title, self.cases = name, title, cases
        self.programs, self.packages, self.network, self.curve = programs, packages, network, curve


class Sample:
    """values by name of metric; of the process under test: CPU seconds, exits (None: native), operations done."""

    def __init__(self, values, usage=None, operations=None):
        self.values, self.operations = values, operations
        self.cpu = usage.cpu if usage else None
        self.exits = usage.exits if usage else None


class Usage:
    def __init__(self, cpu, exits, output):
        self.cpu, self.exits, self.output = cpu, exits, output


def find(program):
    return shutil.which(program) or shutil.which(program, path=":".join(ALSO))


class World:
    """What a measurement may use: the build, the folder for files, the seconds of a run, the namespaces."""

    def __init__(self, build, seconds, quick):
        self.build, self.seconds, self.quick = os.path.abspath(build), seconds, quick
        self.whole_seconds = max(1, round(seconds))  # for tools that take no others
        self.rakis = os.path.join(self.build, "rakis")
        self.folder = self.net = None

    def tool(self, name):
        """A program of ours, that meson built."""
        path = os.path.join(self.build, "bench", name)
        if not os.access(path, os.X_OK):
            raise Skip(f"there is no {path}")
        return path

    def command(self, mode, words, interface=None, stats=None):
        """The command line that runs a program in a mode."""
        words = [find(words[0]) or words[0]] + words[1:]
        if not mode.io:
            return words
        head = [self.rakis, "run", "--log", "error", "--io", mode.io]
        if stats:
            head += ["--stats", stats]
        if mode.cycles is not None:
            head += ["--transition-cycles", str(mode.cycles)]
        if interface and mode.io == "rings":
            head += ["--iface", interface]
        return head + ["--"] + words


class Program:
    """A started program; `with` ends it. Under test if a mode is given, else a plain tool of the measurement.

    stdout: an open file in the place of one that is read for its output.
    """

    def __init__(self, world, words, space=None, mode=None, interface=None, core=None, stdin=subprocess.DEVNULL,
                 stdout=None):
        self.words = words
        self.folder = tempfile.TemporaryDirectory(dir=world.folder)
        self.stats = os.path.join(self.folder.name, "stats.json")
        self.out = open(os.path.join(self.folder.name, "out"), "w+b")
        self.err = open(os.path.join(self.folder.name, "err"), "w+b")
        line = world.command(mode or MODES[0], words, interface, self.stats)
        if core is not None:
            line = ["taskset", "-c", str(core)] + line
        if space:
            line = Pair.inside(space) + line
        self.process = subprocess.Popen(line, stdin=stdin, stdout=stdout or self.out, stderr=self.err,
                                        cwd=world.folder)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._end()
        for file in (self.out, self.err, self.process.stdin):
            if file:
                file.close()
        self.folder.cleanup()

    def _poll(self):
        """True once it has ended; its usage is then known."""
        if self.process.returncode is None:
            pid, status, self.usage = os.wait4(self.process.pid, os.WNOHANG)
            if pid:
                self.process.returncode = os.waitstatus_to_exitcode(status)
        return self.process.returncode is not None

    def _wait(self, seconds):
        if self._poll():
            return True
        end = os.pidfd_open(self.process.pid)
        select.select([end], [], [], seconds)
        os.close(end)
        return self._poll()

    def _end(self):
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not self._poll():
                self.process.send_signal(number)
            if self._wait(5):
                return

    def said(self):
        text = ""
        for file in (self.out, self.err):
            file.flush()
            file.seek(0)
            text += file.read().decode(errors="replace")
        return text.strip()

    def failed(self, what):
        said = self.said()
        return Failed(f"{os.path.basename(self.words[0])}: {what}" + (f": {said[-400:]}" if said else ""))

    def _usage(self):
        self.out.seek(0)
        exits = None
        try:
            with open(self.stats) as file:
                exits = json.load(file)["exits"]["total"]
        except (OSError, ValueError, KeyError):
            pass
        return Usage(self.usage.ru_utime + self.usage.ru_stime, exits, self.out.read().decode(errors="replace"))

    def finish(self, seconds=PATIENCE):
        """Waits for its end, which has to be a success."""
        if not self._wait(seconds):
            raise self.failed(f"did not end in {seconds:.0f} s")
        if self.process.returncode:
            raise self.failed(f"status {self.process.returncode}")
        return self._usage()

    def stop(self):
        """Ends a server, which has to be there still."""
        if self._poll():
            raise self.failed(f"ended early with status {self.process.returncode}")
        self._end()
        if self.process.returncode == -signal.SIGKILL:
            raise self.failed("SIGTERM did not end it")
        return self._usage()

    def listening(self, space, port, protocol="tcp"):
        """Waits until it has the port."""
        return self.until(lambda: f":{port} " in run(*Pair.inside(space), "ss", "-Hln", f"--{protocol}").stdout,
                          f"never had {protocol} port {port}")

    def until(self, condition, otherwise):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if self._poll():
                raise self.failed(f"ended early with status {self.process.returncode}")
            if time.monotonic() > deadline:
                raise self.failed(otherwise)
            time.sleep(0.01)
        return self


def tool(world, words, space=None, seconds=PATIENCE, core=None):
    """Output of a program of the measurement, which has to succeed."""
    with Program(world, words, space, core=core) as program:
        return program.finish(seconds).output


def last_core():
    """A core for what makes load, away from the first."""
    cores = sorted(os.sched_getaffinity(0))
    return cores[-1] if len(cores) > 1 else None
