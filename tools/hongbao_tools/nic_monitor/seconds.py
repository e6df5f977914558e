"""Seconds: what was counted between two samples, and in all. Pure."""

import dataclasses

from . import counters

_WRAP = 1 << 32


def difference(before, now):
    """What was counted between two readings of a counter. One that has fallen has wrapped around at 32 bits (some drivers'), when it
    stood in the last quarter and stands in the first; else it began anew, and what it shows has been counted since."""
    if now >= before:
        return now - before
    if before < _WRAP and before >= _WRAP // 4 * 3 and now < _WRAP // 4:
        return now + _WRAP - before
    return now


@dataclasses.dataclass
class Second:
    unix_s: int
    seconds: float    # how long it was: 1.0, or more when the machine was stopped
    interfaces: dict  # name -> {field: counted}
    system: dict      # field -> counted
    established: int
    came: list = dataclasses.field(default_factory=list)
    gone: list = dataclasses.field(default_factory=list)


class Book:
    """Seconds in order, their sums and peaks. `chosen`: names of interfaces; None: those that have ever moved a packet."""

    def __init__(self, chosen, first):
        self._chosen = chosen
        self._last = first
        self.count = 0
        self.seconds = 0.0
        self.interfaces = {}  # name -> {field: counted since the start}
        self.peaks = {}       # name -> {field: most in a second}
        self.system = dict.fromkeys(first.system, 0)
        self.absent = sorted(set(chosen or ()) - set(first.interfaces))

    def _shown(self, sample):
        return {name: fields for name, fields in sample.interfaces.items()
                if (name in self._chosen if self._chosen is not None else fields["rx_packets"] or fields["tx_packets"])}

    def step(self, sample, unix_s, seconds):
        """The Second that ends with this sample."""
        before, shown = self._last, self._shown(sample)
        told = Second(unix_s, max(seconds, 0.001), {}, {}, sample.established,
                      came=sorted(set(shown) - set(before.interfaces)), gone=sorted(set(self._shown(before)) - set(sample.interfaces)))
        for name, fields in shown.items():
            base = before.interfaces.get(name, fields)  # one that has just come begins with what it shows
            told.interfaces[name] = {field: difference(base[field], fields[field]) for field in counters.INTERFACE_FIELDS}
            sums = self.interfaces.setdefault(name, dict.fromkeys(counters.INTERFACE_FIELDS, 0))
            peaks = self.peaks.setdefault(name, dict.fromkeys(counters.INTERFACE_FIELDS, 0))
            for field, counted in told.interfaces[name].items():
                sums[field] += counted
                peaks[field] = max(peaks[field], round(counted / told.seconds))
        for field, value in sample.system.items():
            told.system[field] = difference(before.system.get(field, value), value)
            self.system[field] = self.system.get(field, 0) + told.system[field]
        self._last = sample
        self.count += 1
        self.seconds += told.seconds
        return told
