"""A network namespace for one run, with a table of established connections that fits it.

The kernel finds a segment's socket in a hash table whose size is fixed at boot (sysctl net.ipv4.tcp_ehash_entries), often 262,144
buckets. With both ends of a million connections on one machine each bucket is a list of eight, and walking it was a sixth of the
server's time. A new namespace can have a larger table (net.ipv4.tcp_child_ehash_entries, Linux 6.1). Nothing outside changes: the
setting is put back, the namespace ends with the last process in it.
"""

import ctypes
import fcntl
import os
import socket
import struct

CHILD_ENTRIES = "/proc/sys/net/ipv4/tcp_child_ehash_entries"
CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS = 0x8914
IFF_UP = 0x1
ENTRIES_MAX = 1 << 24  # the kernel's limit for a namespace


class CouldNot(Exception):
    """No namespace, and why."""


def entries_for(users):
    """Buckets for both ends of `users` connections: at most one socket a bucket on average, a power of two."""
    entries = 1 << 16
    while entries < 2 * users and entries < ENTRIES_MAX:
        entries *= 2
    return entries


def _call(name, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        error = ctypes.get_errno()
        raise CouldNot(f"{name}: {os.strerror(error)} (it needs root)")


def _bring_loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def enter(users):
    """Moves this process, and those it starts from now on, into a namespace of their own. Returns the table's size."""
    entries = entries_for(users)
    try:
        with open(CHILD_ENTRIES, encoding="ascii") as file:
            before = file.read()
        with open(CHILD_ENTRIES, "w", encoding="ascii") as file:
            file.write(str(entries))
    except OSError as error:
        raise CouldNot(f"{CHILD_ENTRIES}: {error.strerror} (it needs root and Linux 6.1)") from error
    outside = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        _call("unshare", CLONE_NEWNET)
        inside = os.open("/proc/self/ns/net", os.O_RDONLY)
        _call("setns", outside, CLONE_NEWNET)
    finally:
        with open(CHILD_ENTRIES, "w", encoding="ascii") as file:
            file.write(before)
        os.close(outside)
    _call("setns", inside, CLONE_NEWNET)
    os.close(inside)
    _bring_loopback_up()
    return entries


def join(path):
    """Moves this thread into the network namespace that `path` (/proc/PID/ns/net) names."""
    try:
        there = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise CouldNot(f"{path}: {error.strerror}") from error
    try:
        _call("setns", there, CLONE_NEWNET)
    finally:
        os.close(there)
