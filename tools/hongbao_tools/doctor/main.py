"""tools/doctor from the command line to the exit code."""

import argparse
import json
import os
import signal

from ..common import command_line, exit_codes, streams
from ..common.version import VERSION
from . import facts as facts_module
from . import judge, settings

_TOOL = "tools/doctor"
_SIDES = {"both": "both ends on this machine", "server": "the server's end on this machine", "client": "the clients' ends on this machine"}


def _parse(arguments):
    parser = command_line.Parser(
        prog=_TOOL,
        description="Says what this machine needs for so many users at such a rate: each limit, what it is, what is needed, and the command "
        "that raises it. Changes nothing unless told to.",
        epilog="""examples:
  tools/doctor --users 1M --qps 60k         both ends here, as tools/simulate runs them
  tools/doctor --users 1M --side client     a machine for clients; --side server: for the server
  tools/doctor --users 1M --apply           as root: set what can be set, now and at every start
  tools/doctor --undo                       as root: take all of that back

notes:
  --apply writes /etc/sysctl.d/60-hongbao.conf and no other file. The values from before stand in it
  as comments, with the commands that restore them.

exit codes:
  0    nothing fails; notes are advice
  1    something fails, or could not be set or undone
  2    wrong usage""")
    add = parser.add_argument
    add("-c", "--users", metavar="N", help="connections (default 1M)")
    add("-R", "--qps", metavar="N", help="requests a second in all (default 60 in 1,000 users)")
    add("--side", metavar="both|server|client", choices=judge.SIDES, default="both", help="which ends are on this machine (default both)")
    add("--server-ports", metavar="N", help="ports that the server listens on (default 1)")
    add("--sources", metavar="N", help="source addresses of the clients (default: all this machine has; with both ends here as many as needed)")
    add("--apply", action="store_true", help="set what the findings ask for, and keep it in a file for every start (root)")
    add("--undo", action="store_true", help="restore what --apply changed, and remove its file (root)")
    add("-n", "--dry-run", action="store_true", help="with --apply or --undo: say what would be done, and do nothing")
    add("--json", action="store_true", help="one JSON document instead of lines")
    add("-q", "--quiet", action="store_true", help="only what is not ok")
    add("--root", default="", help=argparse.SUPPRESS)  # a made-up machine: for tests
    options = parser.parse_args(arguments)
    options.users = command_line.count(options, "users", 10**6, 1, 2**31)
    options.qps = command_line.count(options, "qps", max(options.users * 6 // 100, 1), 1, 100_000_000)
    options.server_ports = command_line.count(options, "server_ports", 1, 1, 65_535)
    options.sources = command_line.count(options, "sources", 0, 1, 2**24)
    if options.apply and options.undo:
        raise command_line.UsageError("--apply and --undo: one of them")
    if options.dry_run and not (options.apply or options.undo):
        raise command_line.UsageError("--dry-run goes with --apply or --undo: without them nothing is changed anyway")
    return options


def _say(text):
    streams.say(f"{_TOOL}: {text}")


def lines_of(findings, quiet=False):
    """For people: level, name, what it is, what is needed; the cure below."""
    lines = []
    for finding in findings:
        if quiet and finding.level == "ok":
            continue
        needed = f"  (needed: {finding.needed})" if finding.needed else ""
        lines.append(f"{finding.level:<5} {finding.name:<15} {finding.text}{needed}")
        if finding.level != "ok":
            lines.append(f"{'':<21} -> {finding.cure}")
    return lines


def _counts(findings):
    return {level: sum(f.level == level for f in findings) for level in ("ok", "note", "fail")}


def summary_of(findings):
    counts = _counts(findings)
    text = f"{counts['ok']} ok, {counts['note']} notes, {counts['fail']} fail"
    if any(f.sysctl for f in findings):
        text += "; tools/doctor with --apply sets what sysctl can (as root), --undo takes it back"
    return text


def _document(options, found, findings):
    return {"users": options.users, "qps": options.qps, "side": options.side, "kernel": found.base.kernel, "cores": found.base.cores,
            "memory_available_bytes": found.base.memory_available, "counts": _counts(findings),
            "findings": [{"name": f.name, "level": f.level, "is": f.text, "needed": f.needed, "cure": f.cure,
                          "sysctl": dict([f.sysctl]) if f.sysctl else {}} for f in findings]}


def _undo(options, kernel):
    try:
        lines, done = settings.undo(kernel, really=not options.dry_run)
    except (settings.CouldNot, OSError) as error:
        _say(f"cannot undo: {error}")
        return exit_codes.COULD_NOT
    print(json.dumps({"undo": lines, "done": done}) if options.json else "\n".join(lines), flush=True)
    return exit_codes.DONE if done else exit_codes.COULD_NOT


def _purpose(options):
    return f"{options.users:,} users, {options.qps:,} requests/s, {_SIDES[options.side]}"


def _apply(options, kernel, findings):
    """(lines, whether all could be set)."""
    if options.dry_run:
        kept, to_set, lines = settings.plan(kernel, findings)
        lines += [f"would set {s.key} = {s.value} (is {kernel.read(s.key)})" for s in to_set]
        if to_set:
            lines += [f"would write {kernel.path}:", *("  " + line for line in settings.text_of(kept, _purpose(options)).splitlines())]
        return lines or ["nothing to set"], True
    lines, done = settings.apply(kernel, findings, _purpose(options))
    kept = kernel.kept()
    if kept:
        lines += ["to undo: tools/doctor --undo, or as root:", *("  " + command for command in settings.commands_to_undo(kept, kernel.path))]
    return lines or ["nothing to set"], done


def main(arguments):
    options, code = command_line.read(_TOOL, _parse, arguments)
    if options is None:
        return code
    streams.go_on_unread()  # the exit code is the answer
    kernel = settings.Kernel(options.root)
    changes = (options.apply or options.undo) and not options.dry_run
    if changes and not options.root and os.geteuid() != 0:
        _say(f"--{'apply' if options.apply else 'undo'} changes the kernel's settings: run it as root")
        return exit_codes.COULD_NOT
    if changes:  # the file and the kernel must not part: a signal that is still there at the end has come too late
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    if options.undo:
        return _undo(options, kernel)
    plan = judge.Plan(options.users, options.qps, options.side, options.server_ports, options.sources)
    found = facts_module.read(options.root)
    findings = judge.judge(found, plan)
    applied, done = [], True
    if options.apply:
        try:
            applied, done = _apply(options, kernel, findings)
        except (settings.CouldNot, OSError) as error:
            _say(f"cannot apply: {error}")
            return exit_codes.COULD_NOT
        found = facts_module.read(options.root)
        findings = judge.judge(found, plan)
    if options.json:
        document = _document(options, found, findings)
        if options.apply:
            document["applied"] = applied
        print(json.dumps(document), flush=True)
    else:
        if not options.quiet:
            _say(f"hongbao {VERSION}: {_purpose(options)} ({found.base.cores} cores, {found.base.memory_available / 2**30:.0f} GiB available)")
        print("\n".join([*applied, *lines_of(findings, options.quiet), f"{'':<5} {summary_of(findings)}"]), flush=True)
    return exit_codes.DONE if done and not any(f.level == "fail" for f in findings) else exit_codes.FAULTS_FOUND
