"""What a machine needs for so many users at such a rate: facts and a plan in, findings out. Pure.

Figures that are measured, not derived, name where: docs/ARCHITECTURE.md ("Measured") for the time and memory of a connection.
"""

import dataclasses
import math

from ..common import preflight
from ..common.preflight import Finding

SIDES = ("both", "server", "client")
US_PER_REQUEST = 15              # of each side at a million connections: docs/ARCHITECTURE.md
WIRE_BYTES_PER_REQUEST = 16 + 28 + 2 * 66  # both ways, headers too
OUR_PORTS = (1025, 8002, 8003, 8989, 9090)
STALL_S = 0.02                   # for so long another processor may not take what was sent to it
ADDRESSES_OF_LOOPBACK = preflight.PAIRS_AVAILABLE


@dataclasses.dataclass
class Plan:
    users: int
    qps: int
    side: str = "both"
    server_ports: int = 1
    sources: int = 0  # of the client; 0: those this machine has, to itself as many as needed

    @property
    def ends(self):
        return 2 if self.side == "both" else 1


def _sysctl(name, level, text, key, value, needed):
    quoted = f"'{value}'" if " " in value else value
    return Finding(name, level, text, f"sysctl -w {key}={quoted}" if level != "ok" else "", (key, value) if level != "ok" else (), needed)


def _io_uring(facts):
    finding = preflight.judge_kernel(facts.base)
    if finding.level == "ok":
        finding.text += ", waits in batches" if facts.min_wait else "; waits one by one (batches need 6.12): more time a request"
    finding.needed = "Linux 6.1; best 6.13"
    return finding


def _memory(facts, plan):
    finding = preflight.judge_memory(facts.base, plan.users, plan.ends)
    finding.text = f"{facts.base.memory_available / 1e9:.1f} GB available"
    finding.needed += f": {plan.ends * preflight.BYTES_PER_END:,} bytes a connection, {'both ends' if plan.ends == 2 else 'one end'}"
    return finding


def _nr_open(facts, plan):
    """Only where each connection is a file of the process: the hard limit may not be above it."""
    if preflight.kernel_version(facts.base.kernel) >= (6, 13) or facts.nr_open < 0:
        return []
    needed = plan.users + -(-plan.users * preflight.SLOT_HEADROOM_PERCENT // 100) + 200
    level = "ok" if facts.nr_open >= needed else "fail"
    return [_sysctl("nr_open", level, f"{facts.nr_open:,}: no limit of open files may be higher", "fs.nr_open", str(needed), f"{needed:,}")]


def _sources(facts, plan):
    return plan.sources or (ADDRESSES_OF_LOOPBACK if plan.side == "both" else facts.addresses)


def _ports(facts, plan):
    """Local ports x source addresses x server's ports; half of the ports of a pair, as beyond it connect() searches for milliseconds."""
    ports = facts.base.port_last - facts.base.port_first + 1
    sources = _sources(facts, plan)
    pairs = sources * plan.server_ports
    wanted = preflight.pairs_needed(plan.users, facts.base.port_first, facts.base.port_last)
    text = (f"{ports:,} ports x {sources:,} source address{'es' if sources > 1 else ''} x {plan.server_ports} server "
            f"port{'s' if plan.server_ports > 1 else ''} = {ports * pairs:,}")
    needed = f"{plan.users:,} at half use: {wanted} pairs"
    key, value = "net.ipv4.ip_local_port_range", "1024 65535"
    widened = preflight.pairs_needed(plan.users, 1_024, 65_535)
    more = f"{math.ceil(widened / plan.server_ports)} source addresses (ip addr add), or {math.ceil(widened / sources)} server ports"
    level = "ok" if pairs >= wanted else "note" if ports * pairs >= plan.users else "fail"
    if level == "ok" and ports < 20_000:
        level = "note"
    finding = _sysctl("ports", level, text, key, value, needed)
    if level == "ok":
        return finding
    if (facts.base.port_first, facts.base.port_last) == (1_024, 65_535):
        finding.cure, finding.sysctl = more, ()
    elif pairs < widened:
        finding.cure += f", and {more}"
    return finding


def _reserved(facts, widened):
    """A client's socket must not sit on a port that a server of ours is to listen on."""
    first, last = (1_024, 65_535) if widened else (facts.base.port_first, facts.base.port_last)
    reserved = set()
    for part in filter(None, facts.reserved_ports.split(",")):
        ends = part.split("-")
        if all(end.isdigit() for end in ends):
            reserved.update(range(int(ends[0]), int(ends[-1]) + 1))
    lacking = [port for port in OUR_PORTS if first <= port <= last and port not in reserved]
    text = facts.reserved_ports or "none"
    value = ",".join(filter(None, [facts.reserved_ports, *map(str, lacking)]))
    return _sysctl("reserved", "note" if lacking else "ok", text + (": a client's end may take a server's port before it starts" if lacking else ""),
                   "net.ipv4.ip_local_reserved_ports", value, "our ports, where a client's end could take them")


def _tcp_mem(facts, plan):
    """Idle sockets hold none of it; a request holds a page at each end while it waits there."""
    if len(facts.tcp_mem) != 3:
        return []
    needed = max(plan.ends * plan.qps, 4_096)
    pressure, high = facts.tcp_mem[1:]
    level = "ok" if pressure >= needed else "note" if high >= needed else "fail"
    value = f"{needed} {2 * needed} {4 * needed}"
    finding = _sysctl("tcp_mem", level, f"{' '.join(f'{n:,}' for n in facts.tcp_mem)} pages", "net.ipv4.tcp_mem", value,
                      f"{needed:,} pages before pressure: one a request and end for a second")
    return [finding]


def _buffers(facts):
    """No frame is above 4 KiB; a gateway's 64 KiB want room for two."""
    findings = []
    for name, values in (("tcp_rmem", facts.tcp_rmem), ("tcp_wmem", facts.tcp_wmem)):
        if len(values) != 3:
            continue
        level = "ok" if values[1] >= 16_384 and values[2] >= 131_072 else "note"
        value = f"{values[0]} {max(values[1], 16_384)} {max(values[2], 131_072)}"
        findings.append(_sysctl(name, level, " ".join(f"{n:,}" for n in values), f"net.ipv4.{name}", value, "default 16,384, highest 131,072"))
    return findings


def _tw_reuse(facts, plan):
    if facts.tw_reuse < 0:
        return []
    ok = facts.tw_reuse == 1 or (facts.tw_reuse == 2 and plan.side == "both")
    text = {0: "0: never", 1: "1: always", 2: "2: on loopback only"}.get(facts.tw_reuse, str(facts.tw_reuse))
    if not ok:
        text += "; ports of closed connections stay taken for a minute, a second run may lack them"
    return [_sysctl("tw_reuse", "ok" if ok else "note", text, "net.ipv4.tcp_tw_reuse", "1", "1" if plan.side == "client" else "2 or 1")]


def _backlog(facts, plan):
    if facts.netdev_backlog < 0:
        return []
    needed = max(1_000, int(2 * plan.qps * STALL_S))
    level = "ok" if facts.netdev_backlog >= needed else "note"
    text = f"{facts.netdev_backlog:,}" + ("" if level == "ok" else f": a processor that stalls {STALL_S * 1000:.0f} ms drops segments of loopback")
    return [_sysctl("netdev backlog", level, text, "net.core.netdev_max_backlog", str(needed), f"{needed:,}")]


def _overcommit(facts):
    if facts.overcommit != 2:
        return []
    return [_sysctl("overcommit", "note", "2: memory that is reserved and never touched counts as used, the server may not start",
                    "vm.overcommit_memory", "0", "0 or 1")]


def _conntrack(facts, plan):
    findings = preflight.judge_conntrack(facts.base, plan.users)
    if facts.base.conntrack_count > 0 and 0 <= facts.conntrack_buckets < plan.users // 4:
        findings.append(_sysctl("conntrack table", "note", f"{facts.conntrack_buckets:,} buckets: each packet walks a list of "
                                f"{plan.users // max(facts.conntrack_buckets, 1)}", "net.netfilter.nf_conntrack_buckets",
                                str(plan.users // 2), f"{plan.users // 4:,}"))
    return findings


def _clock(facts, plan):
    findings = []
    if plan.side != "both":
        needed = "kept by NTP or PTP: the schedule of all machines comes from it"
        cure = "start chrony, ntpd or systemd-timesyncd: apt-get install chrony"
        if not facts.clock_read:
            findings.append(Finding("clock", "note", "the kernel does not say (ntp_adjtime is refused)", cure, needed=needed))
        elif not facts.clock_synchronised:
            findings.append(Finding("clock", "note", "no time daemon keeps it", cure, needed=needed))
        else:
            findings.append(Finding("clock", "ok", f"synchronised, possible error {facts.clock_error_us / 1000:.1f} ms", needed=needed))
    if facts.clocksource and facts.clocksource not in ("tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page"):
        findings.append(Finding("clock source", "note", f"{facts.clocksource}: each reading is a system call",
                                "echo tsc >/sys/devices/system/clocksource/clocksource0/current_clocksource", needed="tsc or kvm-clock"))
    return findings


def _processors(facts, plan):
    cores = plan.ends * plan.qps * US_PER_REQUEST / 1e6
    text = f"{facts.base.cores}"
    needed = f"{cores:.2g} at {US_PER_REQUEST} us a request and side"
    findings = []
    if cores > 0.8 * facts.base.cores:
        text += ": full, latencies will show it" if cores <= facts.base.cores else ": too few"
        fits = int(0.8 * facts.base.cores * 1e6 / (plan.ends * US_PER_REQUEST)) // 1000 * 1000
        findings.append(Finding("processors", "note", text, f"more of them, or --qps {fits}", needed=needed))
    else:
        findings.append(Finding("processors", "ok", text, needed=needed))
    slow = [governor for governor in facts.governors if governor not in ("performance", "schedutil")]
    if slow:
        findings.append(Finding("governor", "note", ", ".join(slow) + ": short work on a slow clock", "cpupower frequency-set -g performance",
                                needed="performance"))
    elif facts.governors:
        findings.append(Finding("governor", "ok", ", ".join(facts.governors), needed="performance"))
    if facts.steal_pct >= 0:
        level = "ok" if facts.steal_pct < 1 else "note"
        findings.append(Finding("steal", level, f"{facts.steal_pct:.1f} % of the time is taken by other machines",
                                "" if level == "ok" else "a machine that shares less; figures in the tail are not ours", needed="below 1 %"))
    return findings


def _cards(facts, plan):
    if plan.side == "both":
        return []
    findings = []
    mbit = plan.qps * WIRE_BYTES_PER_REQUEST * 8 / 1e6
    for card in facts.cards:
        if 0 < card.speed_mbit < 2 * mbit:
            findings.append(Finding(f"{card.name} speed", "note", f"{card.speed_mbit:,} Mbit/s", "a faster card", needed=f"{2 * mbit:,.0f} Mbit/s"))
        if 0 < card.ring < min(card.ring_max, 1_024):
            findings.append(Finding(f"{card.name} ring", "note", f"{card.ring:,} of {card.ring_max:,} receive descriptors",
                                    f"ethtool -G {card.name} rx {min(card.ring_max, 4_096)}", needed=f"{min(card.ring_max, 1_024):,}"))
        elif card.ring > 0:
            findings.append(Finding(f"{card.name} ring", "ok", f"{card.ring:,} of {card.ring_max:,} receive descriptors", needed="the most, or 1,024"))
        wanted = min(card.queues_max, facts.base.cores)
        if 0 < card.queues < wanted:
            findings.append(Finding(f"{card.name} queues", "note", f"{card.queues} of {card.queues_max}",
                                    f"ethtool -L {card.name} combined {wanted}", needed=f"{wanted}: one a processor"))
        if card.off:
            short = {"tcp-segmentation-offload": "tso", "generic-segmentation-offload": "gso", "generic-receive-offload": "gro"}
            findings.append(Finding(f"{card.name} offloads", "note", "off: " + ", ".join(card.off),
                                    f"ethtool -K {card.name} " + " ".join(f"{short[name]} on" for name in card.off), needed="on"))
    return findings


def judge(facts, plan):
    """All findings, in the order in which they stop a run."""
    base = facts.base
    findings = [_io_uring(facts), preflight.judge_open_files(base, plan.users), *_nr_open(facts, plan),
                *filter(None, [preflight.judge_locked_memory(base, plan.users, plan.ends)]),
                preflight.judge_file_max(base, plan.users, plan.ends), _memory(facts, plan)]
    widened = False
    if plan.side != "server":
        findings.append(_ports(facts, plan))
        widened = bool(findings[-1].sysctl)
    findings.append(_reserved(facts, widened))
    if plan.side != "client":
        findings += preflight.judge_backlogs(base)
    findings += _backlog(facts, plan) if plan.side == "both" else []
    findings += [*_conntrack(facts, plan), *_tcp_mem(facts, plan), *_buffers(facts)]
    if plan.side != "server":
        findings += _tw_reuse(facts, plan)
    findings += [*_overcommit(facts), *_clock(facts, plan), *_processors(facts, plan), *_cards(facts, plan)]
    for finding in preflight.judge_ehash(base, plan.users, plan.ends):
        finding.cure = "boot with thash_entries=4194304" + (", or tools/simulate --own-network" if plan.side == "both" else "")
        findings.append(finding)
    loopback = preflight.judge_loopback(base) if plan.ends == 2 else []
    return loopback + findings + preflight.judge_busy(base)
