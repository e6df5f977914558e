"""What people see: rows and results on stdout, everything else on stderr."""

import json
import sys
import time

from ..common import units
from ..common.streams import say

_quiet = False

_HEADER = (f"{'second':>8} {'users':>7} {'target':>9} {'sent':>9} {'answered':>9} {'missed':>6} | {'won':>6} {'nothing':>8} {'refused':>7} "
           f"{'opened':>6} | {'p50':>5} {'p99':>5} {'p99.9':>5}   max ms | {'received':>9} {'cpu s/c %':>9} | given - got")


def be_quiet():
    """From now on only what somebody has to know: notes, errors, the result."""
    global _quiet  # pylint: disable=global-statement
    _quiet = True


def line(label, text):
    if not _quiet:
        say(f"{label:<10} {text}")


def note(text, label="note"):
    """What is to be known also when all is quiet."""
    say(f"{label:<10} {text}")


def out(text):
    """To stdout, which takes it whether anybody reads or not: streams.go_on_unread."""
    print(text, flush=True)


class Rows:
    """One line a second, client's and server's numbers side by side; or a JSON document a second."""

    def __init__(self):
        self._since_header = None

    def json(self, row):
        if not _quiet:
            out(json.dumps(row))

    def row(self, values):
        if _quiet:
            return
        if self._since_header is None or (sys.stdout.isatty() and self._since_header >= 20):
            out(_HEADER)
            self._since_header = 0
        self._since_header += 1
        out(format_row(values))


def format_row(row):
    count = lambda name: "-" if row[name] is None else f"{row[name]:,}"  # noqa: E731
    return (f"{time.strftime('%H:%M:%S', time.localtime(row['unix_s'])):>8} {units.short(row['users'] or 0):>7} {count('target'):>9} {count('sent'):>9} "
            f"{count('answered'):>9} {count('missed'):>6} | {count('won'):>6} {count('nothing'):>8} {count('refused'):>7} {count('opened'):>6} | "
            f"{units.ms(row['p50_us']):>5} {units.ms(row['p99_us']):>5} {units.ms(row['p999_us']):>5} "
            f"{units.ms(row['max_us']):>8} | {count('received'):>9} {row['server_cpu_pct'] or 0:>4}/{row['client_cpu_pct'] or 0:<4} | "
            f"{'-' if row['difference_fen'] is None else units.yuan(row['difference_fen']):>11}")


def _latency(phase, kind):
    found = phase["latency_us"].get(kind) or {}
    return " ".join(f"{label} {units.ms(found.get(key))}" for label, key in
                    (("p50", "p50"), ("p90", "p90"), ("p99", "p99"), ("p99.9", "p999"), ("max", "max")))


def _ledger(ledger):
    if ledger["path"] is None:
        return ["  ledger     none"]
    grants = f"{ledger['grants']:,} grants added" if ledger["grants"] is not None else "not read"
    out = [f"  ledger     {ledger['path']}: {grants}; server restarted {len(ledger['restarts'])} times"]
    return out + [f"             {restart['how']}, served again after {restart['recovery_ms']} ms, {restart['grants']:,} grants in the file"
                  for restart in ledger["restarts"]]


def files_line(folder, files):
    """'DIR/{report.json,series.csv}', the plots as one word."""
    if not files:
        return f"  files      none in {folder}"
    plots = [name for name in files if name.startswith("plot-")]
    names = [name for name in files if name not in plots] + (["plot-*.png"] if plots else [])
    return f"  files      {folder}/{{{','.join(names)}}}"


def result(report, folder, files):
    """The final block, as text. `files`: the names of what is in the folder."""
    lines = [f"result     {'INTERRUPTED' if report['interrupted'] else report['verdict'].upper()}"]
    lines += [f"           {reason}" for reason in report["reasons"] if reason != "interrupted"]
    connected = report["connections"]
    number = units.commas
    lines.append(f"  connect    {number(connected['established'])} of {connected['target']:,} in {number(connected['seconds'], 1)} s, {units.failed(connected['failed'])}")
    for phase in report["phases"]:
        lines.append(f"  {phase['name']:<10} {phase['sent']:,} sent, {phase['answered']:,} answered, {phase['missed']:,} missed, "
                   f"{phase['late']:,} late in {phase['duration_s']} s; per second {phase['worst_second_qps']:,.0f}-"
                   f"{phase['best_second_qps']:,.0f} of {phase['target_qps']:,}; wins {phase['wins_per_second']['min']:,}-"
                   f"{phase['wins_per_second']['max']:,}/s")
        lines.append(f"             from schedule {_latency(phase, 'schedule')} ms; from send {_latency(phase, 'service')} ms")
        if phase["latency_us"].get("winners"):
            lines.append(f"             of those that won {_latency(phase, 'winners')} ms; of the others {_latency(phase, 'others')} ms")
    if report["latency_us"]:
        lines.append(f"  latency    of the whole run, from schedule {_latency(report, 'schedule')} ms; from send {_latency(report, 'service')} ms")
    gifts, money, memory, cpu = report["gifts"], report["money_fen"], report["memory"], report["cpu"]
    shake = report["shake"]
    lines.append(f"  envelopes  shake {number(shake['issued'])} issued, {number(shake['won'])} won, {number(shake['left'])} left; gifts {number(gifts['sent'])} sent, "
               f"{number(gifts['opened'])} of {number(gifts['shares'])} shares opened, {number(gifts['refunded'])} refunded")
    lines.append(f"  money      issued {units.yuan(money['issued'])} = received {units.yuan(money['received'])} + left "
               f"{units.yuan(money['left'])} + refunded {units.yuan(money['refunded'])} yuan; difference {units.yuan(money['difference'])}")
    lines.append(f"  memory     server {units.bytes_text(memory['server_rss_bytes'])} ({number(memory['server_bytes_per_connection'])} B/connection), "
               f"clients {units.bytes_text(memory['client_rss_bytes'])} ({number(memory['client_bytes_per_connection'])} B/connection), "
               f"kernel {units.bytes_text(memory['kernel_bytes'])}")
    lines.append(f"  cpu        server {number(cpu['server_cores'], 2)} cores ({number(cpu['server_us_per_request'], 1)} us/request), "
               f"clients {number(cpu['client_cores'], 2)} cores, in the last phase")
    held = sum(identity["holds"] for identity in report["identities"])
    lines += _ledger(report["ledger"])
    lines.append(f"  reconciled {held} of {len(report['identities'])} identities hold" if report["identities"] else "  reconciled nothing: there are no reports to hold against each other")
    lines += [f"             not judged: {one['name']} ({one['why']})" for one in report["not_judged"]]
    lines.append(files_line(folder, files))
    return "\n".join(lines)
