"""How much of its processors this machine really gets.

A virtual machine's processors may share one real one, or other machines', without anything in /proc telling. So for a moment
each is kept busy with reading the clock, and the time that went by unseen is counted: what a run cannot have.
"""

import json
import os
import time

STALL_NS = 100_000  # a loop over the clock takes well under a microsecond; scheduling a short interrupt, tens of them


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
