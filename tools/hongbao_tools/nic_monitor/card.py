"""What a network card's driver counts by itself (`ethtool -S`): asked by ioctl, so that nothing has to be installed or started."""

import ctypes
import fcntl
import re
import socket
import struct

SIOCETHTOOL = 0x8946
ETHTOOL_GDRVINFO = 0x03
ETHTOOL_GSTRINGS = 0x1B
ETHTOOL_GSTATS = 0x1D
ETH_SS_STATS = 1
_DRIVER_INFO_BYTES = 196
_STATS_AT = 180  # n_stats within ethtool_drvinfo
_NAME_BYTES = 32
_SPARE = 256  # the kernel writes as many counters as there are by then, not as many as were asked for

_LOST = re.compile(r"discard|drop|missed|out_of_buf")
_MEANT = re.compile(r"tx|xdp|filter")  # what was to be sent, and what a program or a filter was told to drop
_PART = re.compile(r"\d")  # of a queue, a priority, a size


def lost(counters):
    """Received packets that the card or its driver lost, by its own counters; None if it has no such counter.

    Drivers name them as they like (rx_fw_discards, rx_missed_errors, rx_out_of_buffer), and some both in all and for each queue: those
    of the queues count only when there is none in all.
    """
    names = [name for name in counters if "rx" in name.lower() and _LOST.search(name.lower()) and not _MEANT.search(name.lower())]
    chosen = [name for name in names if not _PART.search(name)] or names
    return sum(counters[name] for name in chosen) if chosen else None


class Cards:
    """Asks the drivers of this machine's interfaces; one that does not answer is not asked again until it comes anew."""

    def __init__(self):
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._names = {}  # interface -> the counters' names; [] when the driver has none

    def forget(self, interface):
        self._names.pop(interface, None)

    def counters(self, interface):
        """{name: value}, {} when the driver counts nothing."""
        try:
            names = self._names.get(interface)
            if names is None:
                names = self._names[interface] = self._read_names(interface)
            if not names:
                return {}
            values = self._read_values(interface, len(names))
            if len(values) != len(names):  # queues were added or taken away
                names = self._names[interface] = self._read_names(interface)
                values = self._read_values(interface, len(names))
        except OSError:
            self._names[interface] = []
            return {}
        return dict(zip(names, values)) if len(values) == len(names) else {}

    def _ask(self, interface, buffer):
        address = ctypes.addressof(ctypes.c_char.from_buffer(buffer))
        fcntl.ioctl(self._socket, SIOCETHTOOL, struct.pack("16sP16x", interface.encode("utf-8", "surrogateescape")[:15], address))

    def _read_names(self, interface):
        information = bytearray(_DRIVER_INFO_BYTES)
        struct.pack_into("I", information, 0, ETHTOOL_GDRVINFO)
        self._ask(interface, information)
        count = struct.unpack_from("I", information, _STATS_AT)[0]
        if not 0 < count < 1 << 16:
            return []
        strings = bytearray(12 + (count + _SPARE) * _NAME_BYTES)
        struct.pack_into("III", strings, 0, ETHTOOL_GSTRINGS, ETH_SS_STATS, count)
        self._ask(interface, strings)
        count = struct.unpack_from("I", strings, 8)[0]
        names = [strings[12 + i * _NAME_BYTES:12 + (i + 1) * _NAME_BYTES].split(b"\0")[0] for i in range(count)]
        return [name.decode("ascii", "replace").strip() for name in names]

    def _read_values(self, interface, count):
        buffer = bytearray(8 + (count + _SPARE) * 8)
        struct.pack_into("II", buffer, 0, ETHTOOL_GSTATS, count)
        self._ask(interface, buffer)
        count = struct.unpack_from("I", buffer, 4)[0]
        return list(struct.unpack_from(f"{count}Q", buffer, 8)) if 8 + count * 8 <= len(buffer) else []
