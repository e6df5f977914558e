"""tools/nic_monitor from the command line to the exit code."""

import argparse
import os
import signal
import sys
import time

from ..common import command_line, exit_codes, network, streams, units
from . import card, counters, record, seconds, show

_TOOL = "tools/nic_monitor"
_SLICE_S = 0.25  # how often the way to the monitor is looked after
_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGUSR1}
# A terminal that is gone ends it as in order as the others; under nohup it goes on.
_SIGNALS |= {signal.SIGHUP} if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN else set()


def _parse(arguments):
    parser = command_line.Parser(
        prog=_TOOL,
        description="Packets, bandwidth, drops, softirqs and TCP counters of this machine, one row a second, until Ctrl-C. Drops are "
        "those the kernel counts, or those of the card's own counters (ethtool -S: rx_fw_discards and the like) where they are more.",
        epilog="""examples:
  tools/nic_monitor                                 every interface that has moved a packet
  tools/nic_monitor --interface eth0 --csv nic.csv  one of them, and a file beside the rows
  tools/nic_monitor --monitor 10.0.0.9:8002         one more source for hongbao-monitor

notes:
  The CSV file has one line a second and interface, with the counts of that second; the stack's are
  on the first line of each second. SIGUSR1 prints the summary so far to stderr.

exit codes:
  0    done; without --duration also by SIGINT, SIGTERM or SIGHUP
  1    could not start or write
  2    wrong usage
  129  interrupted by SIGHUP before --duration was over
  130  interrupted by SIGINT before --duration was over
  143  interrupted by SIGTERM before --duration was over""")
    add = parser.add_argument
    add("--interface", "-i", metavar="NAMES", help="only these, with commas between; one may come later")
    add("--duration", "-d", metavar="TIME", help="so long, e.g. 60s (default: until Ctrl-C)")
    add("--csv", metavar="FILE", help="append every second to FILE too")
    add("--json", action="store_true", help="one JSON document a second instead of rows, and one with the summary")
    add("--monitor", metavar="HOST:PORT", help="send counter records there (hongbao-monitor listens on port 8002); it may come and go")
    add("--netns", metavar="PID", type=int, help="in the network namespace of that process (root)")
    add("--quiet", "-q", action="store_true", help="no rows, only the summary and errors")
    add("--proc", default="/proc", help=argparse.SUPPRESS)  # a tree to read instead: for tests
    options = parser.parse_args(arguments)
    try:
        options.duration = units.parse_seconds(options.duration) if options.duration is not None else None
    except ValueError as error:
        raise command_line.UsageError(f"--duration: {error}") from None
    try:
        options.monitor = record.parse_address(options.monitor) if options.monitor is not None else None
    except ValueError as error:
        raise command_line.UsageError(f"--monitor: {error}") from None
    if options.interface is not None:
        options.interface = options.interface.split(",")
        if not all(options.interface):
            raise command_line.UsageError("--interface: an empty name; write eth0 or eth0,lo")
    if options.netns is not None and options.netns < 1:
        raise command_line.UsageError("--netns: must be a process id")
    return options


def _say(text):
    streams.say(f"{_TOOL}: {text}")


class _Outputs:
    """Rows, file and monitor of a run. OSError when one cannot be written, but for a reader of stdout that left."""

    def __init__(self, options):
        self._json, self._quiet = options.json, options.quiet
        self._rows = show.Rows(sys.stdout)
        self._csv = open(options.csv, "a", encoding="utf-8", errors="surrogateescape", newline="") if options.csv else None
        self.life = (time.time_ns(), os.getpid())
        self.link = record.Link(options.monitor, time.monotonic) if options.monitor else None
        self.nobody_reads = False
        if self._csv and os.fstat(self._csv.fileno()).st_size == 0:
            self._write_csv([",".join(show.CSV_COLUMNS)])

    def _write_csv(self, lines):
        self._csv.write("\n".join(lines) + "\n")
        self._csv.flush()

    def second(self, told, book):
        for name in told.gone:
            _say(f"{name} has gone")
        for name in told.came:
            _say(f"{name} has come")
        if self._csv:
            self._write_csv(show.csv_lines(told))
        if self.link:
            self.link.add(record.of_second(told, book, self.life))
        if not self._quiet:
            self._print(lambda: self._rows.print(show.rows(told)) if not self._json else print(show.json_line(told), flush=True))

    def _print(self, write):
        if self.nobody_reads:
            return
        try:
            write()
        except BrokenPipeError:
            self.nobody_reads = True
            _leave_stdout()

    def look_after_link(self):
        if self.link:
            self.link.tick()
            news = self.link.news()
            if news and not self._quiet:
                _say(news)

    def end(self, book, exit_code):
        if self._csv:
            self._csv.close()
        if self.link:
            self.link.add(record.of_end(int(time.time()), book, self.life, exit_code))
            if not self.link.flush(2.0, time.sleep):
                _say(f"the monitor has not got everything: {self.link.sent:,} records sent, {self.link.dropped:,} dropped")
        self._print(lambda: print(show.summary_json(book) if self._json else "\n".join(show.summary(book)), flush=True))


def _leave_stdout():
    """Nobody takes what is written any more. Python writes what is left at the end of the process, and would complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _wait_for_second(outputs, book):
    """Until the wall clock's next whole second. Returns a stop signal, or 0."""
    end = int(time.time()) + 1
    patience = time.monotonic() + 1.5  # a clock that was set back must not stop the rows
    while True:
        left = min(end - time.time(), patience - time.monotonic())
        if left <= 0:
            return 0
        got = signal.sigtimedwait(_SIGNALS, min(left, _SLICE_S))
        if got is not None and got.si_signo == signal.SIGUSR1:
            streams.say("\n".join(show.summary(book)))
        elif got is not None:
            return got.si_signo
        outputs.look_after_link()


def _watch(options, machine, outputs, book):
    """Second after second; (the book, a stop signal or 0 when it is over)."""
    stop = _wait_for_second(outputs, book)
    if stop:
        return book, stop
    book = seconds.Book(options.interface, machine.sample())  # a whole second is the first
    last = time.monotonic()
    missing = False
    while not outputs.nobody_reads or outputs.link or options.csv:
        stop = _wait_for_second(outputs, book)
        if stop:
            return book, stop
        try:
            sample = machine.sample()
            missing = False
        except OSError as error:
            if not missing:
                _say(f"cannot read the interfaces: {error}; trying again each second")
            missing = True
            continue
        now = time.monotonic()
        outputs.second(book.step(sample, int(time.time()) - 1, now - last), book)
        outputs.look_after_link()
        last = now
        if options.duration is not None and book.seconds >= options.duration - 0.5:
            break
    return book, 0


def _begin(options):
    """The machine and a first book. OSError or network.CouldNot: why not."""
    if options.netns is not None:
        network.join(f"/proc/{options.netns}/ns/net")
    # A kept copy of /proc has no drivers to ask.
    machine = counters.Machine(options.proc, card.Cards() if options.proc == "/proc" else None, card.lost)
    return machine, seconds.Book(options.interface, machine.sample())


def main(arguments):
    options, code = command_line.read(_TOOL, _parse, arguments)
    if options is None:
        return code
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a job started with & from a script inherits it ignored
    try:
        machine, book = _begin(options)
        outputs = _Outputs(options)
    except (network.CouldNot, OSError) as error:
        _say(f"cannot start: {error}")
        return exit_codes.COULD_NOT
    for name in book.absent:
        _say(f"there is no interface {name}; waiting for it")
    stop, exit_code = 0, exit_codes.DONE
    try:
        book, stop = _watch(options, machine, outputs, book)
        exit_code = exit_codes.of_signal(stop) if stop and options.duration is not None else exit_codes.DONE
        # From here on a second signal ends the process at once.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        outputs.end(book, exit_code)
    except OSError as error:
        _leave_stdout()
        _say(f"cannot write: {error}")
        return exit_codes.COULD_NOT
    return exit_code
