"""Ledger files from outside: whether somebody has one open, and a copy to look at. The live file is never opened with SQLite:
two connections to one WAL file may corrupt it (SQLite's WAL-reset defect, before 3.51.3)."""

import fcntl
import os
import random
import shutil
import socket
import struct
import subprocess

_LOCK_BYTES = (0x40000000, 512)  # sqlite.org/fileformat2.html: pending, reserved and shared locks
_FLOCK = "hhqqi"


class InUse(Exception):
    """A process has the file open; the text says which."""


def owner(path):
    """The process that holds SQLite's lock on the file: its id, -1 if the kernel does not tell, 0 if there is none."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        ask = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, *_LOCK_BYTES, 0)
        kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, ask))
        return 0 if kind == fcntl.F_UNLCK else pid or -1
    finally:
        os.close(descriptor)


def _refuse_if_open(path):
    pid = owner(path)
    if pid:
        raise InUse(f"{path} is open in " + (f"process {pid}" if pid > 0 else "another process"))


def copy(path, folder):
    """Copies the file and its log into `folder`; the copy's path. InUse, OSError."""
    path = os.path.realpath(path)  # the log lies beside the file, not beside a link to it
    _refuse_if_open(path)
    target = os.path.join(folder, "copy.sqlite")
    shutil.copyfile(path, target)
    for suffix in ("-wal", "-journal"):
        if os.path.exists(path + suffix):
            shutil.copyfile(path + suffix, target + suffix)
    _refuse_if_open(path)  # a server that was started meanwhile may have changed one of them after the other
    return target


def audit(server, path):
    """What the program `server` says of a file that no process has open: its process, which has ended."""
    return subprocess.run([server, "--audit-only", "--ledger", f"sqlite:{path}"], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False)


def free_port(sysctl="/proc/sys/net/ipv4/ip_local_port_range"):
    """A TCP port of 127.0.0.1 for a server that will be started on it again and again: not one that the kernel gives to clients, or
    one of the server's own clients may sit on it when the server comes back; unless it gives them all (`sysctl`)."""
    with open(sysctl, encoding="ascii") as file:
        first, last = map(int, file.read().split())
    candidates = [port for port in range(10_000, 60_000) if not first <= port <= last] or range(10_000, 60_000)
    for port in random.sample(candidates, min(100, len(candidates))):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    return 0
