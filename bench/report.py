# SPDX-License-Identifier: Apache-2.0
"""What a benchmark prints: the machine, a table a benchmark, a curve."""

import json
import os
import statistics
import subprocess

BUSY = 0.3  # load average from which the figures are doubtful


def machine(rakis):
    """What the figures were taken on."""
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "?")
    probe = subprocess.run([rakis, "run", "--log", "error", "--stats", "-", "--", "/bin/true"],
                           stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, timeout=60)
    try:
        stats = json.loads(probe.stderr)
    except ValueError:
        raise SystemExit("bench: rakis cannot run /bin/true: " + probe.stderr.decode(errors="replace").strip()
                         + " (rakis doctor says what this machine lacks)") from None
    return {
        "cpu": model, "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "kernel": os.uname().release, "load": os.getloadavg()[0], "platform": stats["platform"],
        "transition_cycles": stats["transition_cycles"], "mrenclave": stats["mrenclave"],
    }


def heading(about, options):
    print(f"machine: {about['cpu']}, {about['cores']} cores, {about['memory_gib']} GiB, Linux {about['kernel']}")
    if about["platform"] == "emu":
        cost = "" if options.curve else f", {about['transition_cycles']} cycles a transition"
        print(f"platform: SGX in software{cost}; no confidentiality, the same enclave image")
    else:
        print("platform: SGX")
    print(f"medians of {options.rounds}, modes interleaved; +: more is better, -: less is better; CPU: all threads of "
          "the process under test")
    if about["load"] > BUSY:
        print(f"note: the load average is {about['load']:.1f}: other work disturbs these figures")


def median(samples, value):
    values = [value(sample) for sample in samples]
    return statistics.median(values) if values and None not in values else None


def number(value):
    if value is None:
        return "-"
    if value >= 1000:
        return f"{value:.0f}"
    return f"{value:.{1 if value >= 100 else 2 if value >= 1 else 4}f}"


def ratio(value, base):
    return f"{value / base:.2f}" if value is not None and base else "-"


def per_operation(sample, value):
    return value / sample.operations if value is not None and sample.operations else None


def resources(case):
    """(name, unit, figure of a sample): what the operations cost."""
    yield "CPU", "s -", lambda s: s.cpu
    if any(s.operations for samples in case["samples"].values() for s in samples):
        yield "CPU an operation", "us -", lambda s: per_operation(s, s.cpu and s.cpu * 1e6)
        yield "exits an operation", "-", lambda s: per_operation(s, s.exits)


def rows(case):
    for metric in case["metrics"]:
        yield metric.name, f"{metric.unit} {metric.better}", lambda s, name=metric.name: s.values[name]
    if any(s.cpu is not None for samples in case["samples"].values() for s in samples):
        yield from resources(case)


def table(benchmark, cases, modes):
    """A line a figure: each mode, of native, and the last mode of the one before it."""
    head = f"\n{benchmark.title:<50}"
    for mode in modes:
        head += f" {mode.name:>11}" + (f" {'of native':>9}" if mode.io else "")
    print(head + f" {'of ' + modes[-2].name:>9}")
    for case in cases:
        print(f" {case['case']}")
        for name, unit, figure in rows(case):
            values = [median(case["samples"][mode.name], figure) for mode in modes]
            line = f"   {name:<35}{unit:>12}"
            for mode, value in zip(modes, values):
                line += f" {number(value):>11}" + (f" {ratio(value, values[0]):>9}" if mode.io else "")
            print(line + f" {ratio(values[-1], values[-2]):>9}")
        for mode, why in case["errors"].items():
            print(f"   {mode} failed: {why.splitlines()[0]}")
    print(end="", flush=True)


def curve(benchmark, cases, modes):
    """For each figure a line each for exits and rings over the cycles of a transition, values and of native."""
    costs = list(dict.fromkeys(mode.cycles for mode in modes if mode.io))
    print(f"\n{benchmark.title}; cycles a transition: value, of native")
    print(f"{'':<50}" + "".join(f" {cycles:>16}" for cycles in costs))
    for case in cases:
        print(f" {case['case']}")
        for name, unit, figure in rows(case):
            native = median(case["samples"][modes[0].name], figure)
            print(f"   {name + ', ' + unit:<38}native {number(native)}")
            for io in dict.fromkeys(mode.io for mode in modes if mode.io):
                line = f"     {io:<45}"
                for mode in modes:
                    if mode.io == io:
                        value = median(case["samples"][mode.name], figure)
                        line += f" {number(value) + ' ' + ratio(value, native).rjust(6):>16}"
                print(line)
        for mode, why in case["errors"].items():
            print(f"   {mode} failed: {why.splitlines()[0]}")
    print(end="", flush=True)
