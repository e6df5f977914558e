"""Network cards: the size of their rings, their queues, what they take off the processor. By ioctl, as ethtool asks."""

import ctypes
import dataclasses
import fcntl
import os
import socket
import struct

SIOCETHTOOL = 0x8946
ETHTOOL_GRINGPARAM = 0x10
ETHTOOL_GCHANNELS = 0x3C
_OFFLOADS = {"tcp-segmentation-offload": 0x1E, "generic-segmentation-offload": 0x23, "generic-receive-offload": 0x2B}
_ARPHRD_ETHER = 1


@dataclasses.dataclass
class Card:
    name: str
    speed_mbit: int = -1    # -1: unknown, as all of a virtual machine's
    ring: int = -1          # receive descriptors now; -1: the driver does not say
    ring_max: int = -1
    queues: int = -1
    queues_max: int = -1
    off: tuple = ()         # offloads that are switched off


def _ask(sock, name, command, size):
    buffer = bytearray(size)
    struct.pack_into("I", buffer, 0, command)
    address = ctypes.addressof(ctypes.c_char.from_buffer(buffer))
    fcntl.ioctl(sock, SIOCETHTOOL, struct.pack("16sP16x", name.encode("ascii", "replace")[:15], address))
    return struct.unpack(f"{size // 4}I", buffer)


def _number(path):
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return -1


def read(sys_folder="/sys"):
    """The cards that have a device behind them and are up."""
    found = []
    folder = os.path.join(sys_folder, "class", "net")
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return found
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for name in names:
            path = os.path.join(folder, name)
            if _number(os.path.join(path, "type")) != _ARPHRD_ETHER or not os.path.exists(os.path.join(path, "device")) or \
                    _number(os.path.join(path, "carrier")) != 1:
                continue
            card = Card(name, speed_mbit=_number(os.path.join(path, "speed")))
            try:
                ring = _ask(sock, name, ETHTOOL_GRINGPARAM, 36)
                card.ring_max, card.ring = ring[1], ring[5]
            except OSError:
                pass
            try:
                channels = _ask(sock, name, ETHTOOL_GCHANNELS, 36)
                card.queues_max, card.queues = channels[4], channels[8]
            except OSError:
                pass
            off = []
            for offload, command in _OFFLOADS.items():
                try:
                    if _ask(sock, name, command, 8)[1] == 0:
                        off.append(offload)
                except OSError:
                    pass
            card.off = tuple(off)
            found.append(card)
    return found
