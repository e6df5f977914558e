"""tools/simulate --ten-billion: the whole evening. Ten billion shakes through gateways to the end, every one answered and counted, one
in 280 a win that is durable before it is told of. May be interrupted and gone on with: what is done stands in the folder."""

import collections
import contextlib
import json
import os
import secrets
import shlex
import shutil
import signal
import sqlite3
import time

from ..common import command_line, exit_codes, preflight, processes, streams, units
from ..common.command_line import UsageError, count
from ..common.documents import get
from ..ledger import files, totals
from . import environment, html_report, seconds, show
from .reconcile import Identity

GALA_RATIO = 280             # shakes for each win: 11 billion shakes, and what was won, in 2015
GALA_QPS = 14_000_000        # at its peak
LEDGER_BYTES_PER_WIN = 160   # of the file and its log, rounded up
ROW_S = 5
ETA_OVER_S = 30              # the estimate is by what the last seconds did, not by what was planned
LEAD_S = 3                   # before the first request
# In a long run shakes flow for so long before there is anything to win, and after the last envelope: while a side still warms up, each
# shake would win, and wins alone are all that a ledger can do.
WARM_S = 3
LONG_S = 60
STATE = "ten-billion.json"


def parser():
    parser = command_line.Parser(
        prog="tools/simulate --ten-billion",
        description="Ten billion shakes through gateways, at the rate of the 2015 Gala's peak, with its ratio of wins, to the end.\n"
        "Ctrl-C stops in order; the same command with the same --out goes on from there.",
        epilog="""exit codes:
  0    pass
  1    could not run
  2    wrong usage
  4    something does not reconcile
  130  interrupted by SIGINT; the same command goes on
  143  interrupted by SIGTERM; the same command goes on
  129  interrupted by SIGHUP (the terminal is gone); the same command goes on""")
    add = parser.add_argument
    add("--ten-billion", action="store_true", help=command_line.argparse.SUPPRESS)
    add("--requests", metavar="N", help="shakes in all (default 10G)")
    add("--qps", metavar="N", help="shakes/s (default 14M); one that is late waits, it is not left out")
    add("--users", metavar="N", help="users, shared out over the gateways (default 1M)")
    add("--gateways", metavar="N", help="connections (default 2)")
    add("--window", metavar="N", help="shakes under way on a gateway at most (default: 65536, as an answer waits for its commit)")
    add("--workers", metavar="N", help="threads of the server and of the client (default 1 each)")
    add("--seed", metavar="N", help="seed of the envelopes' amounts (default 1)")
    add("--no-audit", action="store_true", help="leave out the audit of the whole ledger at the end (minutes, after the shakes)")
    add("--no-statements", action="store_true", help="do not ask at the end what each user got")
    add("--out", "-o", metavar="DIR", help="folder of the ledger, the state and the report (default ./ten-billion)")
    add("--dry-run", "-n", action="store_true", help="preflight and plan only")
    return parser


def parse(arguments):
    values = parser().parse_args(arguments)
    values.requests = count(values, "requests", 10**10, 1_000, 10**13)
    values.qps = count(values, "qps", GALA_QPS, GALA_RATIO, 10**9)
    values.users = count(values, "users", 10**6, 2, 2**28)
    values.gateways = count(values, "gateways", 2, 1, min(values.users // 2, 64))
    values.window = count(values, "window", 65_536, 64, 1 << 20)
    values.workers = count(values, "workers", 1, 1, 64)
    values.seed = count(values, "seed", 1, 0, 2**63 - 1)
    if values.out == "":
        raise UsageError("--out: give a folder's name")
    values.out = values.out or "ten-billion"
    return values


class CouldNotRun(Exception):
    """The text says why, and what would help."""


class State:
    """What has been done so far, as it stands in the folder: one part for each time the program ran."""

    KEPT = ("requests", "qps", "users", "seed")  # what must not change between parts

    def __init__(self, options):
        self.path = os.path.join(options.out, STATE)
        self.document = {"asked": {key: getattr(options, key) for key in self.KEPT}, "ordered": False, "parts": []}
        if os.path.exists(self.path):
            with open(self.path, encoding="utf-8") as file:
                self.document = json.load(file)
            self._check(options)
        self.done_before = self.done()

    def _check(self, options):
        for key in self.KEPT:
            if self.document["asked"][key] != getattr(options, key):
                raise CouldNotRun(f"{self.path} was begun with --{key} {self.document['asked'][key]:,}: give the same, or another --out")
        if any("answered" not in part for part in self.parts):
            raise CouldNotRun(f"{self.path}: its last part did not end in order, so nobody knows what was answered in it; start anew with "
                              "another --out")

    @property
    def parts(self):
        return self.document["parts"]

    def done(self, key="answered"):
        return sum(part.get(key, 0) for part in self.parts)  # one that runs has none yet

    def left(self):
        return self.document["asked"]["requests"] - self.done()

    def save(self):
        with open(self.path + ".new", "w", encoding="utf-8") as file:
            json.dump(self.document, file, indent=1)
        os.replace(self.path + ".new", self.path)


class Part:
    """The server and its one client, from start to end or interruption."""

    def __init__(self, options, state, build):
        self.options, self.state, self.build = options, state, build
        self.number = len(state.parts) + 1
        self.ledger = os.path.abspath(os.path.join(options.out, "ledger.sqlite"))
        self.server = self.client = None
        self.samples = collections.deque(maxlen=ETA_OVER_S)  # (monotonic seconds, answered)
        self.memory = []  # (answered, server's bytes, client's bytes)
        self.latency = {}
        self.begun_s = self.seconds = 0.0
        self._row_due_s = 0.0
        self._cpu = None

    def start(self):
        o = self.options
        token = os.path.join(o.out, "gateway-token")
        with open(os.open(token, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_hex(16) + "\n")
        self.state.parts.append({"begun_unix_s": int(time.time()), "asked": self.state.left()})
        self.server = processes.Process("server", [
            os.path.join(self.build, "server", "hongbao-server"), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0",
            "--users-max", str(o.users), "--workers", str(o.workers), "--ledger", f"sqlite:{self.ledger}", "--ledger-waiting-max", "131072",
            "--gateway-token-file", token, "--queue-wait-max", "0", "--idle-timeout", "0", "--quiet"], o.out, stem=f"server-{self.number}")
        self.server.wait_ready(timeout_s=600)
        at = int(time.time()) + LEAD_S + o.users // 500_000
        client = [os.path.join(self.build, "client", "hongbao-client"), "--server", self.server.listen, "--admin", "127.0.0.1:0",
                  "--users", f"0-{o.users - 1}/{o.users}", "--gateways", str(o.gateways), "--gateway-token-file", token, "--qps", str(o.qps),
                  "--requests", str(self.state.left()), "--workers", str(o.workers), "--duration", "0", "--at", str(at), "--drain", "10m",
                  "--quiet"]
        client += ["--window", str(o.window)]
        client += ["--no-statements"] if o.no_statements else []
        self.client = processes.Process("client", client, o.out, stem=f"client-{self.number}")
        self.client.wait_ready()
        if not self.state.document["ordered"]:  # later parts find the order in the ledger, with what is left of it
            seconds_planned = o.requests / o.qps
            warm_s = WARM_S if seconds_planned > LONG_S else 0
            rate = int(o.qps / GALA_RATIO * seconds_planned / (seconds_planned - 2 * warm_s))
            self.server.post("/v1/envelopes/shake", rate=max(rate, 1), count=envelopes(o.requests), at=at + warm_s, seed=o.seed)
            self.state.document["ordered"] = True
        self.state.save()
        show.line("server", f"{self.server.listen}, admin http://{self.server.admin}/v1/status (pid {self.server.pid})")
        show.line("client", f"{o.gateways} gateways, {o.users:,} users, admin http://{self.client.admin}/v1/status (pid {self.client.pid})")
        self.begun_s = at

    def run(self):
        """Until the client has all its answers and ends by itself."""
        while self.client.alive():
            self.server.check_alive()
            with contextlib.suppress(processes.AdminError, processes.Died):
                self.look()
            self.client.wait(max(1.0 - time.time() % 1.0, 0.05))
        self.seconds = max(self.seconds, 1e-3)

    def look(self):
        page = self.client.status()
        answered, now = get(page, "requests.answered"), time.time()
        if answered < get(page, "requests.sent") or answered < self.state.parts[-1]["asked"]:
            self.seconds = max(now - self.begun_s, 0.0)
        self.samples.append((now, answered, get(page, "won.count")))
        self.memory.append((answered, self.server.rss_bytes(), self.client.rss_bytes()))
        cpu = (now, self.server.cpu_s(), self.client.cpu_s())
        if self._cpu is None or now < self._row_due_s or answered == 0:
            self._cpu = self._cpu or cpu
            return
        rows = self.client.series(int(now) - ROW_S - 1)
        self.latency = {key: max((row.get(f"{key}_us", 0) for row in rows), default=0) for key in ("p50", "p99")}
        self._row_due_s = now + ROW_S - 0.5
        self.row(now, answered, cpu)
        self._cpu = cpu

    def row(self, now, answered, cpu):
        first = self.samples[0]
        span = max(now - first[0], 1e-9)
        rate, wins = (answered - first[1]) / span, (self.samples[-1][2] - first[2]) / span
        whole = self.options.requests
        done = self.state.done_before + answered
        eta = (whole - done) / rate if rate > 0 else float("inf")
        elapsed = max(cpu[0] - self._cpu[0], 1e-9)
        cores = [(cpu[i] - self._cpu[i]) / elapsed for i in (1, 2)]
        ledger = sum(os.path.getsize(path) for path in (self.ledger, self.ledger + "-wal") if os.path.exists(path))
        show_row(f"{time.strftime('%H:%M:%S', time.localtime(now))} {done:>14,} {100 * done / whole:>6.2f} % {rate / 1e6:>7.2f} M/s {wins:>8,.0f} wins/s  "
                 f"p50 {units.ms(self.latency['p50'])} p99 {units.ms(self.latency['p99'])} ms  cores {cores[0]:.2f} + {cores[1]:.2f}  "
                 f"memory {units.bytes_text(self.memory[-1][1])} + {units.bytes_text(self.memory[-1][2])}  ledger {units.bytes_text(ledger)}  "
                 f"ETA {duration(eta)}")

    def interrupt(self):
        """No new shakes; what is under way gets its answers."""
        if self.client and self.client.alive():
            self.client.process.send_signal(signal.SIGINT)
            self.client.wait(660)

    def stop(self):
        """Ends both; the part's figures into the state. The reports."""
        if self.client:
            self.client.wait(5)
            self.client.kill()
        if self.server:
            self.server.terminate()
            self.server.wait(120)
            self.server.kill()
        server, client = self.server and self.server.report(), self.client and self.client.report()
        if server is None or client is None:
            return
        part = self.state.parts[-1]
        phases = get(client, "phases", [])
        part.update(
            answered=get(client, "requests.answered"), sent=get(client, "requests.sent"), lost=get(client, "requests.lost"),
            received=get(server, "requests.received"), dropped=get(server, "requests.dropped"), refused=get(client, "requests.refused"),
            superseded=get(client, "connections.superseded"), repeated=get(client, "requests.repeated"), late=get(client, "requests.late"),
            won=get(client, "won.count"), won_fen=get(client, "won.fen"), server_won=get(server, "shake.won"),
            server_won_fen=get(server, "shake.won_fen"), left=get(server, "shake.left"), left_fen=get(server, "shake.left_fen"),
            seconds=round(self.seconds, 1), statements=get(client, "statements", {}),
            latency_us=get(phases[-1], "latency_us.schedule", {}) if phases else {},
            cpu_s={"server": sum(get(server, "cpu", {}).values()), "client": sum(get(client, "cpu", {}).values())},
            memory=flat(self.memory),
            broken=[f"{name}: {key}" for name, report in (("server", server), ("client", client))
                    for key, holds in get(report, "identities", {}).items() if not holds])
        self.state.save()


def show_row(text):
    with contextlib.suppress(BrokenPipeError):
        print(text, flush=True)


def duration(seconds):
    if seconds == float("inf"):
        return "unknown"
    return f"{int(seconds) // 60}m{int(seconds) % 60:02d}s"


def flat(memory):
    """Bytes of (server, client) when a quarter of the part was done, and the most after that."""
    if not memory:
        return {}
    quarter = next((one for one in memory if one[0] >= memory[-1][0] / 4), memory[-1])
    later = [one for one in memory if one[0] >= quarter[0]]
    return {"server_at_quarter": quarter[1], "client_at_quarter": quarter[2],
            "server_max": max(one[1] for one in later), "client_max": max(one[2] for one in later)}


def envelopes(requests):
    return max(requests // GALA_RATIO, 1)


def identities(state, ledger, audit_code, statements=True):
    """What must hold at the end over all parts. `ledger`: the file's sums, or None; `audit_code`: of the audit, None if it was left out;
    `statements`: whether every user was asked."""
    parts = state.parts
    total = lambda key: sum(part[key] for part in parts)  # noqa: E731
    found = [
        Identity("shakes: asked = answered", state.document["asked"]["requests"], total("answered"), "client"),
        Identity("shakes: sent = answered", total("sent"), total("answered"), "client"),
        Identity("shakes: refused or lost", total("refused") + total("lost"), 0, "shakes"),
        Identity("gateways ended because their users logged in elsewhere", sum(part.get("superseded", 0) for part in parts), 0, "gateways"),
        Identity("wins: client = server", total("won"), total("server_won"), "envelopes"),
        Identity("money: client = server", total("won_fen"), total("server_won_fen"), "fen"),
        Identity("each side's own identities", sum(len(part["broken"]) for part in parts), 0, "broken"),
        Identity("statements: users whose account differs", sum(get(part, "statements.different") for part in parts), 0, "users"),
    ]
    if not total("repeated"):
        found.append(Identity("shakes: client sent = server received", total("sent"), total("received"), "shakes"))
    if statements:
        found.append(Identity("statements: users whose account is equal", get(parts[-1], "statements.equal"), state.document["asked"]["users"], "users"))
    if ledger is not None:
        found += [
            Identity("wins: ledger = client", ledger["won"], total("won"), "envelopes"),
            Identity("wins: asked for = won + left", envelopes(state.document["asked"]["requests"]), ledger["won"] + ledger["shake_left"], "envelopes"),
            Identity("money: ledger = client", ledger["won_fen"], total("won_fen"), "fen"),
            Identity("money: ordered = won + left", ledger["shake_issued_fen"], ledger["won_fen"] + ledger["shake_left_fen"], "ledger, fen"),
        ]
    if audit_code is not None:
        found.append(Identity("the audit of the whole ledger", audit_code, 0, "exit code"))
    return found


def final_page(state, found, report):
    """The lines of the last page."""
    parts = state.parts
    total = lambda key: sum(part[key] for part in parts)  # noqa: E731
    seconds = total("seconds")
    out = [f"result     {report['verdict'].upper()}",
           f"  shakes     {total('answered'):,} of {state.document['asked']['requests']:,} answered in {duration(seconds)} "
           f"({total('answered') / max(seconds, 1e-3) / 1e6:.2f} M/s), {total('late'):,} late, {total('refused'):,} refused, {total('lost'):,} lost; "
           f"{len(parts)} part{'s' if len(parts) > 1 else ''}"]
    latency = parts[-1]["latency_us"]
    out.append("  latency    " + " ".join(f"{name} {units.ms(latency.get(key))}" for name, key in
               (("p50", "p50"), ("p99", "p99"), ("p99.9", "p999"), ("max", "max"))) + " ms from the intended time (sampled)")
    out.append(f"  wins       {total('won'):,}, one in {total('answered') / max(total('won'), 1):.1f}; {units.yuan(total('won_fen'))} yuan")
    cpu = [sum(part["cpu_s"][side] for part in parts) for side in ("server", "client")]
    out.append(f"  cpu        server {1e9 * cpu[0] / max(total('answered'), 1):.1f} ns/shake (with the ledger), client {1e9 * cpu[1] / max(total('answered'), 1):.1f} ns/shake")
    for part in parts:
        memory = part["memory"]
        if memory:
            out.append(f"  memory     server {units.bytes_text(memory['server_at_quarter'])} at a quarter, {units.bytes_text(memory['server_max'])} at most "
                       f"after it; client {units.bytes_text(memory['client_at_quarter'])}, {units.bytes_text(memory['client_max'])}")
    for identity in found:
        out.append(f"  {'holds' if identity.holds else 'BROKEN':<10} {identity.name}: {identity.left:,}" +
                   ("" if identity.holds else f" != {identity.right:,}") + f" ({identity.detail})")
    return out


def audit(build, ledger):
    """The exit code of the server's audit of the whole file, and the seconds it took."""
    begun = time.monotonic()
    done = files.audit(os.path.join(build, "server", "hongbao-server"), ledger)
    show.line("audit", (done.stdout.strip().splitlines() or done.stderr.strip().splitlines() or ["said nothing"])[-1])
    return done.returncode, time.monotonic() - begun


def finish(options, state, part, build, interrupted, trouble):
    if interrupted or trouble:
        show.line("state", f"{state.done():,} of {options.requests:,} shakes are done" +
                  (f"; go on with: tools/simulate --ten-billion {resume_flags(options)}" if not trouble else ""))
        return interrupted or exit_codes.COULD_NOT
    try:
        show.line("ledger", "adding up")
        ledger = totals.read(part.ledger, options.out)
    except (files.InUse, OSError, sqlite3.Error) as error:
        show.say(f"tools/simulate: error: the ledger could not be read: {error}")
        ledger = None
    code = None if options.no_audit else audit(build, part.ledger)[0]
    found = identities(state, ledger, code, not options.no_statements)
    holds = ledger is not None and all(identity.holds for identity in found)
    report = {"verdict": "pass" if holds else "fail", "asked": state.document["asked"], "parts": state.parts, "ledger": ledger,
              "identities": [{"name": one.name, "left": one.left, "right": one.right, "holds": one.holds} for one in found]}
    with open(os.path.join(options.out, "report.json"), "w", encoding="utf-8") as file:
        json.dump(report, file, indent=1)
    write_html(options, state, build, report)
    page = final_page(state, found, report)
    with open(os.path.join(options.out, "report.txt"), "w", encoding="utf-8") as file:
        file.write("\n".join(page) + "\n")
    show_row("\n".join([*page, f"  files      {options.out}/{{report.json,report.txt,report.html,{STATE}}}"]))
    return exit_codes.DONE if holds else exit_codes.DOES_NOT_RECONCILE


def write_html(options, state, build, report):
    """report.html, from the rows that the parts' programs left; a part whose files are gone has none."""
    rows = []
    for number in range(1, len(state.parts) + 1):
        told = []
        for side in ("server", "client"):
            try:
                with open(os.path.join(options.out, f"{side}-{number}.json"), encoding="utf-8") as file:
                    told.append(json.load(file))
            except (OSError, ValueError):
                told.append(None)
        rows += seconds.from_programs(told[0], told[1:])
    command = f"tools/simulate --ten-billion {resume_flags(options, other_folder=True)}".strip()
    summary = html_report.evening(report, command, environment.gather(build, None))
    said = html_report.write(os.path.join(options.out, "report.html"), build,
                             html_report.document(summary, rows, f"hongbao, {options.requests:,} shakes through gateways"))
    if said:
        show.note(said)


def resume_flags(options, other_folder=False):
    defaults = parse([])
    flags = [] if other_folder else ["--out", options.out]
    for name, value in vars(options).items():
        if name not in ("out", "ten_billion", "dry_run") and value != getattr(defaults, name):
            flags += ["--" + name.replace("_", "-"), *([] if value is True else [str(value)])]
    return shlex.join(flags)


def check_machine(options, state):
    """Raises CouldNotRun when it can be known beforehand that the run will not come to its end."""
    needed = state.left() // GALA_RATIO * LEDGER_BYTES_PER_WIN
    needed += 0 if options.no_audit else options.requests // GALA_RATIO * LEDGER_BYTES_PER_WIN  # the copy that is read at the end
    free = shutil.disk_usage(options.out).free
    memory = preflight.memory_available()
    show.line("preflight", f"ledger will take about {units.bytes_text(needed)} with the copy to check, {units.bytes_text(free)} are free; "
              f"{units.bytes_text(memory)} of memory available")
    if free < needed:
        raise CouldNotRun(f"the disk of {options.out} has {units.bytes_text(free)} free and {units.bytes_text(needed)} are needed: choose another --out")
    if memory < options.users * 150 + 300 * 10**6:
        raise CouldNotRun(f"{units.bytes_text(memory)} of memory are too little for {options.users:,} users: choose fewer --users")


_NOHUP = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN  # then a terminal that is gone does not end the run


class _Stopped(BaseException):
    pass


def _signals(handler):
    """`handler` for the signals that end a run; the exit code of the one that came is its own affair."""
    for number in (signal.SIGINT, signal.SIGTERM, *(() if _NOHUP else (signal.SIGHUP,))):
        signal.signal(number, handler)


def _play(part):
    """(interrupted, trouble). From the first signal on further ones are not listened to: what was answered must be written down."""
    came = []

    def stopped(signum, frame):
        _signals(signal.SIG_IGN)
        came.append(signum)
        raise _Stopped()
    _signals(stopped)
    try:
        part.start()
        part.run()
        return 0, ""
    except _Stopped:
        show.line("stopping", "no new shakes, finishing answers")
        part.interrupt()
        return exit_codes.of_signal(came[0]), ""
    except (processes.Died, processes.AdminError, OSError) as error:
        show.say(f"tools/simulate: error: {error}")
        return 0, str(error)
    finally:
        _signals(signal.SIG_IGN)


def main(arguments):
    options, code = command_line.read("tools/simulate --ten-billion", parse, arguments)
    if options is None:
        return code
    streams.go_on_unread()
    build = command_line.build_folder("tools/simulate", "server/hongbao-server", "client/hongbao-client")
    if build is None:
        return exit_codes.COULD_NOT
    part = None
    try:
        os.makedirs(options.out, exist_ok=True)
        state = State(options)
        show.say(f"tools/simulate --ten-billion: {state.left():,} of {options.requests:,} shakes, {options.qps:,} a second, one win in {GALA_RATIO}, "
                 f"at the least {duration(state.left() / options.qps)}")
        check_machine(options, state)
        if options.dry_run:
            return exit_codes.DONE
        part = Part(options, state, build)
        interrupted, trouble = (0, "") if state.left() == 0 else _play(part)
        part.stop()
        _signals(signal.SIG_DFL)  # all is written down
        if not interrupted and not trouble and state.left() != 0:
            trouble = f"the client ended with {state.left():,} shakes to go: see {part.client.log_path}"
            show.say(f"tools/simulate: error: {trouble}")
        return finish(options, state, part, build, interrupted, trouble)
    except (CouldNotRun, OSError, ValueError) as error:
        show.say(f"tools/simulate: error: {error}")
        return exit_codes.COULD_NOT
    finally:
        for process in (part and part.client, part and part.server):
            if process:
                process.kill()
