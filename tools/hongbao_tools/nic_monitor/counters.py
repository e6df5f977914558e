"""Counters of interfaces and of the network stack: read from a /proc tree, as they stand.

The parsers are pure and leave out what they do not understand; Machine reads. /proc/net/dev has one line an interface and is of this
process's network namespace, which /sys/class/net need not be. Its rx drops contain those that the driver reports as missed.
"""

import dataclasses
import os

_DEV_FIELDS = {0: "rx_bytes", 1: "rx_packets", 2: "rx_errors", 3: "rx_dropped", 8: "tx_bytes", 9: "tx_packets", 10: "tx_errors",
               11: "tx_dropped"}
INTERFACE_FIELDS = ("rx_packets", "tx_packets", "rx_bytes", "tx_bytes", "rx_dropped", "tx_dropped", "rx_errors", "tx_errors")
SYSTEM_FIELDS = ("softirq_rx", "softirq_tx", "softnet_dropped", "softnet_squeezed", "tcp_received", "tcp_sent", "tcp_retransmitted",
                 "tcp_in_errors", "listen_overflows", "listen_dropped")


@dataclasses.dataclass
class Sample:
    interfaces: dict  # name -> {field of INTERFACE_FIELDS: value since boot}
    system: dict      # field of SYSTEM_FIELDS -> value since boot; without those this kernel does not have
    established: int  # TCP connections now; -1: unknown


def parse_dev(text):
    """/proc/net/dev -> {interface: {field: value}}."""
    found = {}
    for line in text.splitlines():
        name, colon, rest = line.partition(":")
        words = rest.split()
        if colon and name.strip() and len(words) >= 16 and all(word.isdigit() for word in words[:16]):
            found[name.strip()] = {field: int(words[i]) for i, field in _DEV_FIELDS.items()}
    return found


def parse_softirqs(text):
    """/proc/softirqs -> {name: sum over processors}."""
    found = {}
    for line in text.splitlines():
        name, colon, rest = line.partition(":")
        words = rest.split()
        if colon and words and all(word.isdigit() for word in words):
            found[name.strip()] = sum(map(int, words))
    return found


def parse_softnet(text):
    """/proc/net/softnet_stat -> (dropped, squeezed), sums over processors."""
    dropped = squeezed = 0
    for line in text.splitlines():
        words = line.split()
        try:
            numbers = [int(word, 16) for word in words[:3]]
        except ValueError:
            continue
        if len(numbers) == 3:
            dropped, squeezed = dropped + numbers[1], squeezed + numbers[2]
    return dropped, squeezed


def parse_pairs(text):
    """/proc/net/snmp and netstat: lines in pairs, names and values -> {"Tcp": {"InSegs": 5, ...}, ...}."""
    found, names = {}, {}
    for line in text.splitlines():
        prefix, colon, rest = line.partition(":")
        words = rest.split()
        if not colon or not words:
            continue
        if all(word.lstrip("-").isdigit() for word in words):
            if len(names.get(prefix, ())) == len(words):
                found[prefix] = dict(zip(names[prefix], map(int, words)))
        else:
            names[prefix] = words
    return found


def system_counters(softirqs, softnet, snmp, netstat):
    """The four files' texts (None: not there) -> ({field: value}, established connections or -1)."""
    system = {}
    if softirqs is not None:
        by_name = parse_softirqs(softirqs)
        system.update({field: by_name[name] for field, name in (("softirq_rx", "NET_RX"), ("softirq_tx", "NET_TX")) if name in by_name})
    if softnet is not None:
        system["softnet_dropped"], system["softnet_squeezed"] = parse_softnet(softnet)
    tcp = parse_pairs(snmp).get("Tcp", {}) if snmp is not None else {}
    more = parse_pairs(netstat).get("TcpExt", {}) if netstat is not None else {}
    for field, source, name in (("tcp_received", tcp, "InSegs"), ("tcp_sent", tcp, "OutSegs"), ("tcp_retransmitted", tcp, "RetransSegs"),
                                ("tcp_in_errors", tcp, "InErrs"), ("listen_overflows", more, "ListenOverflows"),
                                ("listen_dropped", more, "ListenDrops")):
        if name in source:
            system[field] = source[name]
    return system, tcp.get("CurrEstab", -1)


class Machine:
    """Reads this machine's counters, or those of a tree that looks like its /proc. `cards` is a card.Cards, or None."""

    def __init__(self, proc="/proc", cards=None, lost=None):
        self._proc, self._cards, self._lost = proc, cards, lost
        # This thread's, as only it has moved into another namespace; a kept copy of /proc has no threads.
        own = os.path.join(proc, "thread-self", "net")
        self._net = own if os.path.isdir(own) else os.path.join(proc, "net")
        self._known = set()

    def _read(self, *path):
        try:
            with open(os.path.join(*path), encoding="ascii", errors="replace") as file:
                return file.read()
        except OSError:
            return None

    def sample(self):
        """A Sample; OSError when there is not even a list of interfaces."""
        with open(os.path.join(self._net, "dev"), encoding="utf-8", errors="surrogateescape") as file:
            interfaces = parse_dev(file.read())
        if self._cards is not None:
            for name in self._known - set(interfaces):
                self._cards.forget(name)
            for name, fields in interfaces.items():
                lost = self._lost(self._cards.counters(name))
                # Drivers differ in whether the kernel's count has it too, so the larger is taken, not the sum.
                fields["rx_dropped"] = max(fields["rx_dropped"], lost or 0)
        self._known = set(interfaces)
        system, established = system_counters(self._read(self._proc, "softirqs"), self._read(self._net, "softnet_stat"),
                                              self._read(self._net, "snmp"), self._read(self._net, "netstat"))
        return Sample(interfaces, system, established)
