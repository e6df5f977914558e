"""What this machine must allow before a run of a given size makes sense: each limit with its value, what is needed, and the cure.

`judge` and the functions it is made of are pure: facts and options in, findings out. `read_facts` and `apply` touch the machine.
tools/doctor judges more, with the same parts; `ends` is how many ends of each connection are on this machine (of a run: both).
"""

import ctypes
import dataclasses
import errno
import fcntl
import math
import os
import platform
import re
import resource
import socket
import struct

from . import processors

# Of locked memory, each: one set on its thread, many of them, and what they are not made smaller than (net/service_plan.cc).
RING_BYTES = 612 << 10
SMALL_RING_BYTES = 112 << 10
LEAST_RING_BYTES = 20 << 10
# Measured on Linux 6.x, per end of a connection: a socket (4.1 KB of slab) with an armed receive (0.87 KB of io_uring), and under 128
# bytes in the process.
BYTES_PER_END = 4_100 + 870 + 128
MEMORY_BASE_BYTES = 300 * 10**6
MEMORY_SAFETY = 1.15
SLOT_HEADROOM_PERCENT = 10  # a ring's table is filled to 90 %: SO_REUSEPORT spreads by hash
_SIOCGIFFLAGS = 0x8913
_IFF_UP = 1
PAIRS_AVAILABLE = 60_000  # source addresses within 127.0.0.0/8 that the clients may use


@dataclasses.dataclass
class Facts:
    kernel: str
    cores: int
    files_hard: int
    port_first: int
    port_last: int
    memory_available: int
    somaxconn: int
    syn_backlog: int
    file_max: int
    conntrack_max: int   # -1: not loaded
    conntrack_count: int
    io_uring_error: int  # errno of a trial set-up; 0: it works
    io_uring_disabled: int
    root: bool
    load_average: float = 0.0
    loopback_up: bool = True
    locked_bytes: int = -1   # of all rings of all the user's processes, where they count; -1: no limit
    seccomp: bool = False    # a filter watches this process
    ehash_entries: int = -1  # buckets of the table of established connections; -1: unknown


@dataclasses.dataclass
class Finding:
    name: str
    level: str  # "ok", "note" or "fail"
    text: str
    cure: str = ""
    sysctl: tuple = ()  # (key, value): what --apply may set
    needed: str = ""


def read_text(path, default=""):
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return default


def _number(path, default=-1):
    words = read_text(path).split()
    return int(words[0]) if words and words[0].lstrip("-").isdigit() else default


def memory_available(root=""):
    """Bytes a run may take: MemAvailable, or less under a cgroup's limit."""
    available = 0
    for line in read_text(root + "/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            available = int(line.split()[1]) * 1024
    limit = read_text(root + "/sys/fs/cgroup/memory.max")
    if limit.isdigit():
        available = min(available, int(limit) - _number(root + "/sys/fs/cgroup/memory.current", 0))
    return available


def _io_uring_error():
    """errno of setting up a ring of one entry; 0 when it works."""
    libc = ctypes.CDLL(None, use_errno=True)
    parameters = ctypes.create_string_buffer(120)
    io_uring_setup = 425  # the same number on every architecture Linux added it to
    ring = libc.syscall(io_uring_setup, 1, parameters)
    if ring < 0:
        return ctypes.get_errno()
    os.close(ring)
    return 0


def _loopback_up(root=""):
    """Of this network namespace; where nobody can tell, it is."""
    if root:
        return bool(int(read_text(root + "/sys/class/net/lo/flags", "0x1"), 16) & _IFF_UP)
    try:  # /sys may still show the namespace that it was mounted in
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            answer = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, struct.pack("16s16x", b"lo"))
        return bool(struct.unpack("16xh14x", answer)[0] & _IFF_UP)
    except OSError:
        return True


def _locked_bytes(root):
    """Rings count from Linux 6.14 on, unless the process has CAP_IPC_LOCK."""
    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
    found = re.search(r"^CapEff:\s*([0-9a-f]+)", read_text(root + "/proc/self/status"), re.MULTILINE)
    may_lock = found is not None and int(found.group(1), 16) >> 14 & 1
    return -1 if limit == resource.RLIM_INFINITY or may_lock else limit


def read_facts(root=""):
    """This machine's; with `root`, a folder with a proc and a sys in it, those instead, where there is a file to read."""
    proc = root + "/proc"
    ports = read_text(proc + "/sys/net/ipv4/ip_local_port_range", "32768 60999").split()
    return Facts(
        kernel=platform.release() if not root else read_text(proc + "/sys/kernel/osrelease"),
        cores=processors.usable(root),
        files_hard=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        port_first=int(ports[0]),
        port_last=int(ports[1]),
        memory_available=memory_available(root),
        somaxconn=_number(proc + "/sys/net/core/somaxconn"),
        syn_backlog=_number(proc + "/sys/net/ipv4/tcp_max_syn_backlog"),
        file_max=_number(proc + "/sys/fs/file-max"),
        conntrack_max=_number(proc + "/sys/net/netfilter/nf_conntrack_max"),
        conntrack_count=_number(proc + "/sys/net/netfilter/nf_conntrack_count", 0),
        io_uring_error=_io_uring_error(),
        io_uring_disabled=_number(proc + "/sys/kernel/io_uring_disabled", 0),
        root=os.geteuid() == 0,
        locked_bytes=_locked_bytes(root),
        seccomp=re.search(r"^Seccomp:\s*[12]", read_text(proc + "/self/status"), re.MULTILINE) is not None,
        load_average=os.getloadavg()[0],
        loopback_up=_loopback_up(root),
        # A namespace that shares its parent's table says so with a minus sign.
        ehash_entries=abs(_number(proc + "/sys/net/ipv4/tcp_ehash_entries")),
    )


def kernel_version(release):
    """'6.18.44-fc' -> (6, 18); (0, 0) when it says nothing."""
    parts = release.split("-")[0].split(".")
    try:
        return int(parts[0]), int(parts[1])
    except (IndexError, ValueError):
        return 0, 0


def memory_needed(users, ends=2):
    return int(users * ends * BYTES_PER_END * MEMORY_SAFETY) + MEMORY_BASE_BYTES


def pairs_needed(users, port_first, port_last):
    """(source, destination) pairs, none of which uses more than half of the ports: beyond, connect() searches for milliseconds."""
    return max(math.ceil(users / max((port_last - port_first + 1) // 2, 1)), 1)


def users_for_memory(available, ends=2):
    return max(int((available - MEMORY_BASE_BYTES) / (ends * BYTES_PER_END * MEMORY_SAFETY)), 0)


def judge_kernel(facts):
    version = kernel_version(facts.kernel)
    if facts.io_uring_error:
        reason = os.strerror(facts.io_uring_error)
        if facts.io_uring_disabled > 0:
            cure = f"sysctl -w kernel.io_uring_disabled=0 (it is {facts.io_uring_disabled})"
            if facts.io_uring_disabled == 1:
                cure += ", or kernel.io_uring_group= a group of yours"
        elif facts.io_uring_error == errno.ENOMEM:
            cure = "raise the limit of locked memory: ulimit -l unlimited (LimitMEMLOCK= of a unit, --ulimit memlock=-1 of a container)"
        elif facts.io_uring_error == errno.EPERM or facts.seccomp:  # filters answer "not implemented", too
            cure = "a container's seccomp profile forbids it: run with one that allows io_uring_setup, io_uring_enter, io_uring_register"
        else:
            cure = "use Linux 6.1 or newer, with CONFIG_IO_URING"
        return Finding("io_uring", "fail", f"refused: {reason} (kernel {facts.kernel})", cure)
    if version < (6, 1):
        return Finding("io_uring", "fail", f"kernel {facts.kernel} is older than 6.1", "use Linux 6.1 or newer")
    direct = "direct descriptors" if version >= (6, 13) else "regular descriptors (direct ones need 6.13)"
    return Finding("io_uring", "ok", f"kernel {facts.kernel}, {direct}")


def judge_locked_memory(facts, users, ends=2):
    """None where there is no limit, or rings do not count. The programs make their rings smaller before they fail."""
    if facts.locked_bytes < 0 or kernel_version(facts.kernel) < (6, 14):
        return None
    sets = max(facts.cores, math.ceil(users * 1.12 / max(min(facts.files_hard, 2**20), 1)))
    full = ends * sets * (RING_BYTES if sets == facts.cores else SMALL_RING_BYTES)
    least = ends * sets * LEAST_RING_BYTES
    needed = f"{full >> 10:,} KiB"
    text = f"{facts.locked_bytes >> 10:,} KiB for {ends * sets} rings"
    cure = "ulimit -l unlimited (LimitMEMLOCK= of a unit, --ulimit memlock=-1 of a container)"
    if facts.locked_bytes < least:
        return Finding("locked memory", "fail", f"{text}, the smallest of which take {least >> 10:,} KiB", cure, needed=needed)
    if facts.locked_bytes < full:
        return Finding("locked memory", "note", f"{text}, which will be smaller than {full >> 10:,} KiB: slower under load", cure, needed=needed)
    return Finding("locked memory", "ok", text, needed=needed)


def judge_open_files(facts, users):
    slots = users + -(-users * SLOT_HEADROOM_PERCENT // 100)
    if kernel_version(facts.kernel) >= (6, 13):
        if facts.files_hard < 1_024:
            return Finding("open files", "fail", f"hard limit {facts.files_hard:,} < 1,024", "raise it: ulimit -Hn 20000", needed="1,024")
        sets = math.ceil(slots / min(facts.files_hard, 2**20))
        return Finding("open files", "ok", f"hard limit {facts.files_hard:,}, so {sets} ring{'s' if sets > 1 else ''} a side",
                       needed="1,024")
    needed = slots + 200
    if facts.files_hard < needed:
        return Finding("open files", "fail", f"hard limit {facts.files_hard:,} < {needed:,}",
                       f"raise it (as root): ulimit -Hn {needed}, or use Linux 6.13, or --users {max(int((facts.files_hard - 200) / 1.1), 1)}",
                       needed=f"{needed:,}")
    return Finding("open files", "ok", f"hard limit {facts.files_hard:,} >= {needed:,}", needed=f"{needed:,}")


def _ports(facts, users):
    ports = facts.port_last - facts.port_first + 1
    pairs = pairs_needed(users, facts.port_first, facts.port_last)
    text = f"{ports:,} local ports, half of them on each of {pairs} source address{'es' if pairs > 1 else ''}"
    widen = ("net.ipv4.ip_local_port_range", "1024 65535")
    if ports < 2 or pairs > PAIRS_AVAILABLE:
        return Finding("ports", "fail", text, f"sysctl -w {widen[0]}='{widen[1]}'", widen)
    if ports < 20_000:
        return Finding("ports", "note", text, f"fewer source addresses with: sysctl -w {widen[0]}='{widen[1]}'", widen)
    return Finding("ports", "ok", text)


def judge_memory(facts, users, ends=2):
    needed = memory_needed(users, ends)
    text = f"{needed / 1e9:.1f} of {facts.memory_available / 1e9:.1f} GB"
    if needed > facts.memory_available:
        fits = users_for_memory(facts.memory_available, ends)
        return Finding("memory", "fail", text, f"free some, or --users {fits // 1000 * 1000 or fits}", needed=f"{needed / 1e9:.1f} GB")
    return Finding("memory", "ok", text, needed=f"{needed / 1e9:.1f} GB")


def judge_backlogs(facts):
    findings = []
    for name, value, needed, key in (("somaxconn", facts.somaxconn, 1_024, "net.core.somaxconn"),
                                     ("syn backlog", facts.syn_backlog, 1_024, "net.ipv4.tcp_max_syn_backlog")):
        if 0 <= value < needed:
            findings.append(Finding(name, "note", f"{value:,} < {needed:,}: connecting may be slow", f"sysctl -w {key}=4096", (key, "4096"),
                                    f"{needed:,}"))
        else:
            findings.append(Finding(name, "ok", f"{value:,}", needed=f"{needed:,}"))
    return findings


def judge_file_max(facts, users, ends=2):
    needed = ends * users + 10_000
    if 0 <= facts.file_max < needed:
        text = f"{facts.file_max:,} < {needed:,}"
        cure = f"sysctl -w fs.file-max={needed}"
        # The kernel does not hold root (CAP_SYS_ADMIN) to it.
        return Finding("file-max", "note" if facts.root else "fail", text, cure, ("fs.file-max", str(needed)),
                       f"{needed:,}")
    return Finding("file-max", "ok", f"{facts.file_max:,}", needed=f"{needed:,}")


def judge_conntrack(facts, users):
    # A loaded but unused conntrack (count 0) does not see loopback traffic; one that tracks drops packets when its table is full.
    if facts.conntrack_max >= 0 and facts.conntrack_max < users * 1.2:
        text = f"{facts.conntrack_max:,} connections at most, {facts.conntrack_count:,} now"
        cure = f"sysctl -w net.netfilter.nf_conntrack_max={int(users * 1.5)}"
        level = "note" if facts.conntrack_count == 0 else "fail"
        return [Finding("conntrack", level, text, cure, ("net.netfilter.nf_conntrack_max", str(int(users * 1.5))), f"{int(users * 1.2):,}")]
    return []


def judge_ehash(facts, users, ends=2):
    sockets = ends * users
    if 1 < facts.ehash_entries < sockets / 2:
        return [Finding("socket table", "note", f"{facts.ehash_entries:,} buckets for {sockets:,} sockets: each segment walks a list of "
                        f"{sockets // facts.ehash_entries}", "--own-network (as root), or boot with thash_entries=4194304", needed=f"{sockets // 2:,}")]
    return []


def judge_loopback(facts):
    if facts.loopback_up:
        return []
    return [Finding("loopback", "fail", "lo is down: nothing on this machine reaches this machine",
                    "ip link set lo up (as root), or --own-network")]


def judge_busy(facts):
    if facts.load_average > 0.5 * facts.cores:
        return [Finding("load", "note", f"{facts.load_average:.1f} on {facts.cores} cores: others are at work, latencies will show it",
                        "wait until they are done")]
    return []


def judge(facts, users, clients=1, own_network=False):
    """All findings for a run of this size. A network of its own has its own lo."""
    return [
        *([] if own_network else judge_loopback(facts)),
        judge_kernel(facts),
        judge_open_files(facts, users),
        *filter(None, [judge_locked_memory(facts, users)]),
        _ports(facts, users),
        judge_memory(facts, users),
        *judge_backlogs(facts),
        judge_file_max(facts, users),
        *judge_conntrack(facts, users),
        *judge_ehash(facts, users),
        *judge_busy(facts),
    ]


def apply(findings):
    """Sets what the findings ask for. Returns lines that say what was done or why not."""
    lines = []
    for finding in findings:
        if not finding.sysctl:
            continue
        key, value = finding.sysctl
        path = "/proc/sys/" + key.replace(".", "/")
        before = read_text(path).replace("\t", " ")
        try:
            with open(path, "w", encoding="ascii") as file:
                file.write(value)
            lines.append(f"set {key} = {value} (was {before})")
        except OSError as error:
            lines.append(f"cannot set {key} = {value}: {error.strerror}; run as root")
    return lines
