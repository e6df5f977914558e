"""tools/simulate from the command line to the exit code."""

import contextlib
import json
import os
import signal
import time

from ..common import command_line, exit_codes, network, preflight, processes, processors, streams
from ..common.version import VERSION
from . import options as options_module
from . import artefacts, show, story, ten_billion

SHARED_BELOW_PCT = 95


class Stopped(BaseException):
    """SIGTERM or SIGHUP, as KeyboardInterrupt is SIGINT."""

    def __init__(self, number):
        super().__init__(signal.Signals(number).name)
        self.code = exit_codes.of_signal(number)


def _stop(signum, frame):
    raise Stopped(signum)


def _listen():
    """Signals end the run in order. SIGHUP says that the terminal is gone; under nohup it is ignored and stays so."""
    signal.signal(signal.SIGTERM, _stop)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _stop)
    # A job started with & from a script inherits SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _default_users(facts):
    fits = preflight.users_for_memory(facts.memory_available // 2)
    return max(min(options_module.DEFAULT_USERS, fits // 1000 * 1000), 100)


def _preflight(options, facts):
    """Prints the findings; True when the run may begin."""
    findings = preflight.judge(facts, options.users, options.clients, options.own_network)
    if options.apply:
        for line in preflight.apply(findings):
            show.line("apply", line)
        findings = preflight.judge(preflight.read_facts(), options.users, options.clients, options.own_network)
    good = [f"{f.name} {f.text}" for f in findings if f.level == "ok"]
    show.line("preflight", "ok    " + "; ".join(good))
    for finding in findings:
        if finding.level != "ok":
            show.note(f"{finding.level:<5} {finding.name}: {finding.text}. Cure: {finding.cure}", "")
    return not any(f.level == "fail" for f in findings)


def _plan(options, facts):
    steps = f"profile {options.profile}" if options.profile is not None else ", then ".join(f"{phase.qps:,} requests/s for {phase.seconds} s" for phase in options.phases)
    show.line("hongbao", f"{VERSION}  simulate: {options.users:,} users, {steps}, on this machine "
              f"({facts.cores} cores, {facts.memory_available / 2**30:.0f} GiB available)")


def _folder(options):
    folder = options.out or f"hongbao-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}"
    os.makedirs(folder, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise OSError(13, "Permission denied", folder)
    return folder


def _ledger(options, folder):
    """The ledger's file, or None. OSError when it is a name that is taken already and was not asked for."""
    if options.ledger == "none":
        return None
    if options.ledger is not None:
        return os.path.abspath(options.ledger)
    path = os.path.abspath(os.path.join(folder, "ledger.sqlite"))
    if os.path.exists(path) and os.path.getsize(path) > 0:
        raise FileExistsError(17, "there is a ledger of an earlier run in it (to go on with that one: --ledger "
                              f"{os.path.join(folder, 'ledger.sqlite')})", folder)
    return path


def _play(told):
    """Runs the story to its end or to what ends it. Returns (trouble, exit code of an interruption or 0)."""
    try:
        told.run()
        return "", 0
    except KeyboardInterrupt:
        show.note("no new requests, finishing answers (Ctrl-C again to leave now)", "stopping")
        return "", exit_codes.INTERRUPTED
    except Stopped as stopped:
        show.note(f"no new requests, finishing answers ({stopped})", "stopping")
        return "", stopped.code
    except (processes.Died, processes.AdminError, story.CouldNotRun, OSError) as error:
        show.say(f"tools/simulate: error: {error}")
        return str(error), 0


def _finish(told, folder, trouble, interrupted):
    told.ended_s, lingers = time.time(), False
    try:
        for wrong in [*told.stop(hurry=bool(trouble)), told.read_ledger()]:
            if wrong:
                show.say(f"tools/simulate: error: {wrong}")
                trouble = trouble or wrong
        lingers = told.options.linger > 0 and told.watch and told.watch.page and not interrupted
        if told.watch and not lingers:
            told.watch.stop()
        document, exit_code, files = artefacts.write(told, folder, trouble, interrupted)
    except (KeyboardInterrupt, Stopped) as signalled:  # somebody waits to leave, but the figures are there
        told.kill()
        interrupted, lingers = interrupted or getattr(signalled, "code", exit_codes.INTERRUPTED), False
        document, exit_code, files = artefacts.write(told, folder, trouble, interrupted, hurry=True)
    if told.options.json:
        show.out(json.dumps(document))
        show.line("files", show.files_line(folder, files).split(maxsplit=1)[1])
    else:
        show.out(show.result(document, folder, files))
    if lingers:
        _linger(told)
    return exit_code


def _linger(told):
    """Keeps the monitor's pages up; the run is over, so that a signal only ends this."""
    show.line("linger", f"{told.watch.page} stays for {told.options.linger} s; Ctrl-C ends it")
    with contextlib.suppress(KeyboardInterrupt, Stopped):
        told.watch.wait(told.options.linger)
    told.watch.stop()


def main(arguments):
    if "--ten-billion" in arguments:
        return ten_billion.main(arguments)
    streams.go_on_unread()
    # A status that is asked for before there is one must not end the run.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        return _main(arguments)
    except KeyboardInterrupt:
        show.say("tools/simulate: interrupted")
        return exit_codes.INTERRUPTED
    except Stopped as stopped:
        show.say(f"tools/simulate: interrupted by {stopped}")
        return stopped.code


def _main(arguments):
    facts = preflight.read_facts()
    options, code = command_line.read("tools/simulate", lambda given: options_module.parse(given, _default_users(facts)), arguments)
    if options is None:
        return code
    if options.quiet:
        show.be_quiet()
    _plan(options, facts)
    if not _preflight(options, facts):
        show.say("tools/simulate: this machine cannot hold the run; see the cures above")
        return exit_codes.COULD_NOT
    if options.dry_run:
        return exit_codes.DONE
    if options.own_network:
        try:
            show.line("network", f"a namespace of its own, with {network.enter(options.users):,} buckets for sockets "
                      f"(look in with: nsenter -t {os.getpid()} -n)")
        except network.CouldNot as error:
            show.say(f"tools/simulate: no network namespace: {error}")
            return exit_codes.COULD_NOT
    measured = processors.measure()
    show.line("processors", processors.describe(measured) + ("" if measured["share_pct"] >= SHARED_BELOW_PCT else
              ": other work shares them, and rate and latency will show it"))
    build = command_line.build_folder("tools/simulate", "server/hongbao-server", "client/hongbao-client")
    if build is None:
        return exit_codes.COULD_NOT
    try:
        folder = _folder(options)
        ledger = _ledger(options, folder)
    except OSError as error:
        show.say(f"tools/simulate: cannot write into {error.filename}: {error.strerror}; choose another folder with --out")
        return exit_codes.COULD_NOT
    _listen()
    told = story.Story(options, build, folder, ledger)
    told.processors, told.facts = measured, facts
    signal.signal(signal.SIGUSR1, told.want_status)
    try:
        trouble, interrupted = _play(told)
        return _finish(told, folder, trouble, interrupted)
    finally:
        told.kill()
