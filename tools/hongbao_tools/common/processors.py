"""How much of its processors this machine really gets.

A virtual machine's processors may share one real one, or other machines', without anything in /proc telling. So for a moment
each is kept busy with reading the clock, and the time that went by unseen is counted: what a run cannot have.
"""

import json
import math
import os
import time

STALL_NS = 100_000  # a loop over the clock takes well under a microsecond; scheduling a short interrupt, tens of them


def _quota_in(folder, version):
    """Processors that this one control group may use; None: it does not limit."""
    words = []
    for name in ("cpu.max",) if version == 2 else ("cpu.cfs_quota_us", "cpu.cfs_period_us"):
        try:
            with open(os.path.join(folder, name), encoding="ascii", errors="replace") as file:
                words += file.read().split()
        except OSError:
            return None
    try:
        quota, period = float(words[0]), float(words[1])
    except (IndexError, ValueError):  # "max"
        return None
    return quota / period if quota > 0 and period > 0 else None


def _lines(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []


def quota(root=""):
    """The least that this process's control group and those above it allow, of either version; None: no limit."""
    groups = [line.split(":", 2) for line in _lines(root + "/proc/self/cgroup") if line.count(":") >= 2]
    found = []
    for line in _lines(root + "/proc/self/mountinfo"):
        left, _, right = line.partition(" - ")
        left, right = left.split(" "), right.split(" ")
        if len(left) < 5 or len(right) < 3 or not (right[0] == "cgroup2" or right[0] == "cgroup" and "cpu" in right[2].split(",")):
            continue
        version, mounted, mount = 2 if right[0] == "cgroup2" else 1, left[3], left[4]
        group = next((path for number, controllers, path in groups if (number == "0" if version == 2 else "cpu" in controllers.split(","))), "")
        if mounted != "/":  # a container may see its own group's folder, under the name that it has outside
            group = group[len(mounted):] if group.startswith(mounted) else ""
        group = group.strip("/")
        while True:
            found.append(_quota_in(os.path.join(root + mount, group), version))
            if not group:
                break
            group = os.path.dirname(group)
    return min((one for one in found if one is not None), default=None)


def usable(root=""):
    """How many threads this process can keep busy, a fraction of a processor being one. libhongbao/net/processors.h is its twin."""
    cores = len(os.sched_getaffinity(0))
    limit = quota(root)
    return cores if limit is None else max(min(cores, math.ceil(limit)), 1)


def stalls(readings, threshold_ns=STALL_NS):
    """(ns lost, stalls over 1 ms, longest stall in ns) of increasing clock readings in ns."""
    lost = over_1ms = longest = 0
    previous = None
    for reading in readings:
        if previous is not None:
            gap = reading - previous
            if gap > threshold_ns:
                lost += gap
                over_1ms += gap > 1_000_000
                longest = max(longest, gap)
        previous = reading
    return lost, over_1ms, longest


def _clock_until(end_ns):
    while True:
        now_ns = time.monotonic_ns()
        yield min(now_ns, end_ns)  # what is lost after the end is not asked for
        if now_ns >= end_ns:
            return


def _busy(processor, start_ns, seconds, descriptor):
    os.sched_setaffinity(0, {processor})
    while time.monotonic_ns() < start_ns:  # all at once
        pass
    os.write(descriptor, json.dumps(stalls(_clock_until(start_ns + int(seconds * 1e9)))).encode() + b"\n")


def measure(seconds=1.0):
    """Keeps all processors busy for `seconds`. share_pct: of the time asked for, how much they ran."""
    processors = sorted(os.sched_getaffinity(0))
    reader, writer = os.pipe()
    start_ns = time.monotonic_ns() + 50_000_000
    children = []
    for processor in processors:
        child = os.fork()
        if child == 0:
            try:
                _busy(processor, start_ns, seconds, writer)
            finally:
                os._exit(0)
        children.append(child)
    os.close(writer)
    with os.fdopen(reader, encoding="ascii") as lines:
        found = [json.loads(line) for line in lines]
    for child in children:
        os.waitpid(child, 0)
    wanted_ns = seconds * 1e9 * len(processors)
    return {
        "share_pct": round(100 * (1 - sum(lost for lost, _, _ in found) / wanted_ns), 1),
        "stalls_over_1ms": sum(over for _, over, _ in found),
        "longest_stall_us": max((longest for _, _, longest in found), default=0) // 1000,
    }


def describe(measured):
    return (f"{measured['share_pct']:.0f} % of the processors' time when all are busy, {measured['stalls_over_1ms']} stalls over 1 ms, "
            f"the longest {measured['longest_stall_us'] / 1000:.1f} ms")
