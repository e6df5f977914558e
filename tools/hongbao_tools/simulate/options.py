"""The command line of tools/simulate, and the plan that follows from it."""

import dataclasses
import shlex
from typing import List, Optional

from ..common import processors, units
from ..common.command_line import Parser, UsageError, count
from . import thresholds

DEFAULT_USERS = 20_000
LARGE_USERS = 100_000  # from here on a run is meant to last minutes, not seconds


@dataclasses.dataclass(frozen=True)
class Phase:
    name: str
    qps: int
    seconds: int


@dataclasses.dataclass
class Options:
    users: int
    phases: List[Phase]
    clients: int
    protocol: int
    workers: int
    connect_rate: Optional[int]
    shake_rate: Optional[int]  # None: of a profile, until its peak is known
    gift_rate: int
    gift_users: int
    seed: int
    out: Optional[str]
    ledger: Optional[str]  # a file, "none", or None: the default one in the run's folder
    kill_server: List[int]  # seconds after the first phase's start
    apply: bool
    own_network: bool
    dry_run: bool
    fail_if: List[thresholds.Threshold]
    json: bool
    quiet: bool
    monitor: bool
    linger: int  # seconds
    profile: Optional[str]  # then phases has one, whose length the client tells if it is 0
    profile_qps: Optional[int]
    server_flags: List[str] = dataclasses.field(default_factory=list)
    client_flags: List[str] = dataclasses.field(default_factory=list)

    @property
    def seconds(self):
        return sum(phase.seconds for phase in self.phases)


def _parser():
    parser = Parser(
        prog="tools/simulate",
        description="Runs the whole story on this machine: a server, its users, two steps of load, shaking and sending;\n"
        "reconciles every request and every fen, and keeps report.html, report.json, series.csv, latency.hgrm and plots.",
        epilog="""examples:
  tools/simulate                              20,000 users, 600 then 1,200 requests/s: a minute
  tools/simulate --users 1M --qps 60k         a million connections: 30k for 60 s, 60k for 120 s
  tools/simulate --users 100k --phases 5k:30s,20k:1m,peak=40k:20s --out runs/first
  tools/simulate --users 1M --dry-run         only the preflight and the plan
  tools/simulate --ten-billion                ten billion shakes through gateways
                                              (--ten-billion --help says more)
  tools/simulate --kill-server 20s            the server is killed in the middle and comes back

exit codes:
  0    pass
  1    could not run, or not as asked
  2    wrong usage
  3    the schedule was not held, requests have no answer, users were taken by another client,
       nothing was measured, or a --fail-if threshold does not hold
  4    money or requests do not reconcile
  130  interrupted by SIGINT, with a partial report
  143  interrupted by SIGTERM, with a partial report
  129  interrupted by SIGHUP (the terminal is gone), with a partial report""")
    add = parser.add_argument
    add("--users", metavar="N", help="users, each with a connection of its own (default 20k)")
    add("--qps", metavar="N", help="requests/s of the last step; the step before has half (default: 60k for each million users)")
    add("--duration", metavar="TIME", help="length of the last step; the one before takes half (default 30s; from 100k users on 120s)")
    add("--phases", metavar="[NAME=]QPS:TIME,...", help="the steps of load one by one, instead of --qps and --duration")
    add("--profile", metavar="TIME:QPS,..|FILE|gala2015", help="a rate over time instead of steps, as hongbao-client has it; a name takes --qps as its peak and\n"
        "--duration as its length")
    add("--out", "-o", metavar="DIR", help="folder of the report (default ./hongbao-<UTC time>)")
    add("--clients", metavar="N", help="client processes to share the users (default 1)")
    add("--protocol", metavar="1|2", choices=["1", "2"], default="2", help="wire protocol of the users (default 2)")
    add("--workers", metavar="N", help="threads of the server and of each client (default: half of the cores each)")
    add("--connect-rate", metavar="N", help="connections/s while all connect, over all clients (default: the client's own)")
    add("--shake-rate", metavar="N", help="shake envelopes/s (default 200, at most a third of the slowest step's qps, of a profile a sixth of its\n"
        "peak's). With --profile: at its peak, elsewhere in proportion")
    add("--gift-rate", metavar="N", help="gifts/s (default 200, within reason for the users); with --profile as above")
    add("--gift-users", metavar="N", help="users each gift is for (default 3)")
    add("--ledger", metavar="FILE|none", help="where the server keeps the money (default: ledger.sqlite in the report's folder); a server\n"
        "that is killed comes back on it. none: in memory only")
    add("--kill-server", metavar="TIME", action="append", default=[],
        help="kill the server (SIGKILL) so long after the first step's start; may be given several times. What is missed until 4 s\n"
        "after it serves again, and 1 s for each 10k users, is not held against the run")
    add("--server-flags", metavar="FLAGS", default="", help="further flags for hongbao-server, as one word: --server-flags='--pin 0'")
    add("--client-flags", metavar="FLAGS", default="", help="further flags for each hongbao-client")
    add("--fail-if", metavar="EXPR", action="append", default=[],
        help="what the whole run must have done, or exit code 3: --fail-if 'p99<50ms,missed<0.1%%,lost==0'; may be given several times.\n"
        f"Without it {thresholds.STANDARD.replace('%', '%%')} has to hold; a\n"
        "condition with one of these keys takes that one's place")
    add("--seed", metavar="N", help="seed of the envelopes' amounts (default 1)")
    add("--apply", action="store_true", help="let the preflight change what it may of the kernel's settings (needs root)")
    add("--own-network", action="store_true",
        help="run in a network namespace of its own, with a table of sockets as large as the run needs (needs root)")
    add("--no-monitor", action="store_true", help="without hongbao-monitor and its page")
    add("--linger", metavar="TIME", help="keep the monitor and its pages up so long after the end (default 0s)")
    add("--json", action="store_true", help="rows as JSON on stdout, one a line, the report as the last line")
    add("--quiet", "-q", action="store_true", help="no rows and no progress, only the result and what went wrong")
    add("--dry-run", "-n", action="store_true", help="preflight and plan only")
    add("--ten-billion", action="store_true", help="instead: ten billion shakes through gateways, with flags of its own")
    return parser


def parse_phases(text):
    """'30k:60s,peak=60k:2m' -> phases; UsageError otherwise."""
    phases = []
    for item in text.split(","):
        name, equals, rest = item.rpartition("=")
        qps_text, colon, time_text = rest.partition(":")
        if not colon or (equals and not name):
            raise UsageError(f"--phases: '{item}' is not a phase; write it like 30k:60s or peak=60k:2m")
        try:
            qps, seconds = units.parse_count(qps_text), units.parse_seconds(time_text)
        except ValueError as error:
            raise UsageError(f"--phases: {error}") from None
        if qps < 1:
            raise UsageError(f"--phases: '{item}': a phase needs at least 1 request/s")
        phases.append(Phase(name or units.short(qps).replace(",", ""), qps, seconds))
    return phases


def _duration(values, default):
    try:
        return units.parse_seconds(values.duration) if values.duration is not None else default
    except ValueError as error:
        raise UsageError(f"--duration: {error}") from None


def _phases(values, users):
    if values.profile is not None:
        if values.phases is not None:
            raise UsageError("--profile and --phases both say the rates and times: leave one out")
        if values.kill_server:
            raise UsageError("--kill-server goes with steps of load, not with --profile")
        if not values.profile:
            raise UsageError("--profile: give points, a file or a name")
        return [Phase("profile", 0, _duration(values, 0))]
    if values.phases is not None:
        if values.qps is not None or values.duration is not None:
            raise UsageError("--phases already says the rates and times: leave out --qps and --duration")
        return parse_phases(values.phases)
    qps = count(values, "qps", max(users * 6 // 100, 10), 2, 100_000_000)
    seconds = _duration(values, 120 if users >= LARGE_USERS else 30)
    return [
        Phase(units.short(qps // 2).replace(",", ""), qps // 2, max(seconds // 2, 1)),
        Phase(units.short(qps).replace(",", ""), qps, seconds),
    ]


def _kills(values, phases):
    seconds = []
    for text in values.kill_server:
        try:
            seconds.append(units.parse_seconds(text))
        except ValueError as error:
            raise UsageError(f"--kill-server: {error}") from None
        if seconds[-1] >= sum(phase.seconds for phase in phases):
            raise UsageError(f"--kill-server: {text} is after the last step's end")
    if seconds and values.ledger == "none":
        raise UsageError("--kill-server needs a ledger: without one the money is gone with the server")
    return sorted(seconds)


def _linger(values):
    try:
        return units.parse_seconds(values.linger) if values.linger not in (None, "0", "0s") else 0
    except ValueError as error:
        raise UsageError(f"--linger: {error}") from None


def _fail_if(values):
    try:
        return [one for text in values.fail_if for one in thresholds.parse(text)]
    except UsageError as error:
        raise UsageError(f"--fail-if: {error}") from None


def _flags(values, name):
    try:
        return shlex.split(getattr(values, name))
    except ValueError as error:
        raise UsageError(f"--{name.replace('_', '-')}: {error}") from None


def shake_rate(slowest_qps):
    """Shake envelopes/s that leave most shakes without one."""
    return min(200, slowest_qps // 3)


def parse(arguments, default_users=DEFAULT_USERS):
    """Options from the command line; UsageError for a wrong one; SystemExit(0) after --help and --version."""
    values = _parser().parse_args(arguments)
    users = count(values, "users", default_users, 1, 2**31)
    phases = _phases(values, users)
    gift_users = count(values, "gift_users", min(3, users), 1, min(users, 255))
    if values.ledger == "":
        raise UsageError("--ledger: give a file's name, or none")
    default_shakes = shake_rate(min(phase.qps for phase in phases)) if values.profile is None else None
    return Options(
        users=users,
        phases=phases,
        clients=count(values, "clients", 1, 1, min(users, 200)),
        protocol=int(values.protocol),
        workers=count(values, "workers", max(processors.usable() // 2, 1), 1, 1024),
        connect_rate=count(values, "connect_rate", None, 1, 10_000_000),
        shake_rate=count(values, "shake_rate", default_shakes, 0, 100_000_000),
        gift_rate=count(values, "gift_rate", min(200, max(users // 10, 1)), 0, 1_000_000),
        gift_users=gift_users,
        seed=count(values, "seed", 1, 0, 2**63 - 1),
        out=values.out,
        ledger=values.ledger,
        kill_server=_kills(values, phases),
        apply=values.apply,
        own_network=values.own_network,
        dry_run=values.dry_run,
        fail_if=_fail_if(values),
        json=values.json,
        quiet=values.quiet,
        monitor=not values.no_monitor,
        linger=_linger(values),
        profile=values.profile,
        profile_qps=count(values, "qps", None, 1, 100_000_000) if values.profile is not None else None,
        server_flags=_flags(values, "server_flags"),
        client_flags=_flags(values, "client_flags"),
    )


def command(o):
    """The command that asks for the same again on any machine: what was left to defaults is spelt out. The folder is not named, as it
    would hold the earlier run's ledger."""
    words = ["tools/simulate", "--users", str(o.users)]
    if o.profile is not None:
        words += ["--profile", o.profile, *(["--qps", str(o.profile_qps)] if o.profile_qps else []), "--duration", f"{o.phases[0].seconds}s"]
    else:
        words += ["--phases", ",".join(f"{p.name}={p.qps}:{p.seconds}s" for p in o.phases)]
    words += ["--clients", str(o.clients), "--protocol", str(o.protocol), "--workers", str(o.workers)]
    words += ["--connect-rate", str(o.connect_rate)] if o.connect_rate else []
    words += ["--shake-rate", str(o.shake_rate)] if o.shake_rate is not None else []
    words += ["--gift-rate", str(o.gift_rate), "--gift-users", str(o.gift_users), "--seed", str(o.seed)]
    words += ["--ledger", o.ledger] if o.ledger else []
    words += [word for at in o.kill_server for word in ("--kill-server", f"{at}s")]
    words += ["--own-network"] if o.own_network else []
    words += ["--no-monitor"] if not o.monitor else []
    words += [word for one in o.fail_if for word in ("--fail-if", one.expr)]
    for name, flags in (("server", o.server_flags), ("client", o.client_flags)):
        words += [f"--{name}-flags={shlex.join(flags)}"] if flags else []
    return shlex.join(words)


def user_ranges(users, clients):
    """The users' ids shared out evenly: [(first, last), ...], last included."""
    bounds = [users * i // clients for i in range(clients + 1)]
    return [(bounds[i], bounds[i + 1] - 1) for i in range(clients)]
