"""What a machine says of itself, beyond what common/preflight.py reads. read() with a root reads a made-up machine: tests."""

import ctypes
import dataclasses
import glob
import os
import re
import struct
import time

from ..common import preflight
from . import cards

_STA_UNSYNC = 0x40
_TIME_ERROR = 5
_FEATURE_MIN_TIMEOUT = 1 << 15
_IO_URING_SETUP = 425
_STEAL_SAMPLE_S = 0.3


@dataclasses.dataclass
class Facts:
    base: preflight.Facts
    nr_open: int = -1
    tcp_mem: tuple = ()          # pages: low, pressure, high
    tcp_rmem: tuple = ()         # bytes: min, default, max
    tcp_wmem: tuple = ()
    tw_reuse: int = -1
    reserved_ports: str = ""
    netdev_backlog: int = -1
    overcommit: int = -1
    conntrack_buckets: int = -1
    addresses: int = 1           # IPv4 addresses of this machine that are not loopback ones
    page_bytes: int = 4096
    min_wait: bool = False       # io_uring can wait for several completions with a limit of time
    clock_read: bool = False     # the rest of the clock's means something
    clock_synchronised: bool = False
    clock_error_us: int = 0
    clocksource: str = ""
    governors: tuple = ()        # of all processors, each once
    steal_pct: float = -1.0      # -1: unknown
    cards: tuple = ()


def _numbers(path):
    text = preflight.read_text(path)
    words = text.split()
    return tuple(map(int, words)) if words and all(re.fullmatch(r"-?\d+", word) for word in words) else ()


def _number(path):
    found = _numbers(path)
    return found[0] if found else -1


def local_addresses(fib_trie):
    """/proc/net/fib_trie -> how many IPv4 addresses of this machine are not loopback ones."""
    found = set()
    address = ""
    for line in fib_trie.splitlines():
        match = re.search(r"\|--\s+(\S+)", line)
        if match:
            address = match.group(1)
        elif "/32 host LOCAL" in line and not address.startswith("127."):
            found.add(address)
    return len(found)


def steal_pct(before, after):
    """Two readings of /proc/stat's first line -> % of the time that other machines took; -1 when it does not say."""
    rows = [[int(word) for word in text.split()[1:9]] for text in (before, after) if re.match(r"cpu( +\d+){8}", text)]
    if len(rows) != 2:
        return -1.0
    spent = [max(now - then, 0) for then, now in zip(*rows)]
    return 100.0 * spent[7] / sum(spent) if sum(spent) else 0.0


def clock_state():
    """(read, synchronised, possible error in us), as libhongbao/time/clock_sync.h asks."""
    buffer = ctypes.create_string_buffer(512)  # a timex with no modes set: only reads
    try:
        state = ctypes.CDLL(None, use_errno=True).ntp_adjtime(buffer)
    except AttributeError:
        return False, False, 0
    if state < 0:
        return False, False, 0
    _, _, _, max_error, _, status = struct.unpack_from("@Illlli", buffer.raw)
    return True, state != _TIME_ERROR and not status & _STA_UNSYNC, max_error


def has_min_wait():
    """Whether a ring of this kernel says so; False when there is no ring to ask."""
    parameters = ctypes.create_string_buffer(120)
    ring = ctypes.CDLL(None).syscall(_IO_URING_SETUP, 1, parameters)
    if ring < 0:
        return False
    os.close(ring)
    return bool(struct.unpack_from("I", parameters.raw, 20)[0] & _FEATURE_MIN_TIMEOUT)


def _first_line(path):
    return preflight.read_text(path).split("\n")[0]


def read(root=""):
    proc, net = root + "/proc", root + "/proc/sys/net"
    facts = Facts(
        base=preflight.read_facts(root),
        nr_open=_number(proc + "/sys/fs/nr_open"),
        tcp_mem=_numbers(net + "/ipv4/tcp_mem"),
        tcp_rmem=_numbers(net + "/ipv4/tcp_rmem"),
        tcp_wmem=_numbers(net + "/ipv4/tcp_wmem"),
        tw_reuse=_number(net + "/ipv4/tcp_tw_reuse"),
        reserved_ports=preflight.read_text(net + "/ipv4/ip_local_reserved_ports"),
        netdev_backlog=_number(net + "/core/netdev_max_backlog"),
        overcommit=_number(proc + "/sys/vm/overcommit_memory"),
        conntrack_buckets=_number(net + "/netfilter/nf_conntrack_buckets"),
        addresses=max(local_addresses(preflight.read_text(proc + "/net/fib_trie")), 1),
        page_bytes=os.sysconf("SC_PAGE_SIZE"),
        clocksource=_first_line(root + "/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        governors=tuple(sorted({_first_line(path) for path in glob.glob(
            root + "/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor")})),
    )
    if not root:  # what is asked of the kernel, not read
        facts.min_wait = has_min_wait()
        facts.clock_read, facts.clock_synchronised, facts.clock_error_us = clock_state()
        facts.cards = tuple(cards.read())
        before = _first_line("/proc/stat")
        time.sleep(_STEAL_SAMPLE_S)
        facts.steal_pct = steal_pct(before, _first_line("/proc/stat"))
    return facts
