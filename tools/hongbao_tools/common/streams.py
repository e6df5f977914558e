"""Standard output and standard error: of a tool that must come to its end whether anybody reads them or not, and that does not call a
success what the disk did not take."""

import errno
import os
import stat
import sys

from . import exit_codes

_lost = None  # the error of an output that is not complete; a reader who left is none


def hold():
    """Opens /dev/null for each of the three that is closed: the next file that is opened would get its number."""
    number = os.open(os.devnull, os.O_RDWR)
    while number <= 2:
        number = os.dup(number)
    os.close(number)
    for name, fd in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:  # so Python says that it was closed
            setattr(sys, name, os.fdopen(fd, "w", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a name that the locale has no letters for must not end a run
            stream.reconfigure(errors="backslashreplace")


def _leave(stream):
    """What is written from here on vanishes; Python itself writes once more at its end."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def _lose(error):
    global _lost  # pylint: disable=global-statement
    # A reader who left is no loss: a closed pipe, or a terminal whose window was closed.
    terminal = error.errno == errno.EIO and stat.S_ISCHR(os.fstat(sys.stdout.fileno()).st_mode)
    if error.errno != errno.EPIPE and not terminal and _lost is None:
        _lost = error


def exit_code(code):
    """`code`, or COULD_NOT in place of DONE when stdout did not take everything."""
    try:
        sys.stdout.flush()
    except OSError as error:
        _lose(error)
        _leave(sys.stdout)
    if code != exit_codes.DONE or _lost is None:
        return code
    say(f"error: cannot write to stdout: {_lost.strerror}; its output is not complete")
    return exit_codes.COULD_NOT


class _Watched:
    """A stream as it is, but for what becomes of an error of writing to it."""

    def __init__(self, stream):
        self._stream = stream

    def write(self, text):
        try:
            return self._stream.write(text)
        except OSError as error:
            self._failed(error)
            return len(text)

    def flush(self):
        try:
            self._stream.flush()
        except OSError as error:
            self._failed(error)

    def __getattr__(self, name):
        return getattr(self._stream, name)


class _Marked(_Watched):
    """Standard output; an error of writing to it is told from one of any other file."""

    def _failed(self, error):
        _lose(error)  # argparse goes on without what it could not print
        error.of_stdout = True
        raise error


class _Unbreakable(_Watched):
    """A stream that nobody reads any more (`| head`, a closed terminal) takes what is written to it all the same."""

    def _failed(self, error):
        if self._stream.fileno() == 1:
            _lose(error)
        _leave(self._stream)


def say(text):
    print(text, file=sys.stderr, flush=True)


def run(main, arguments):
    """main(arguments) to the exit code, for a tool whose work is its output: when nobody reads on it ends quietly, and when the disk is
    full it says so."""
    sys.stdout = _Marked(sys.stdout) if sys.stdout is not None else None
    try:
        return exit_code(main(arguments))
    except OSError as error:
        if not getattr(error, "of_stdout", False):
            raise
        _lose(error)
        _leave(sys.stdout)
        return exit_code(exit_codes.DONE)


def go_on_unread():
    """From here on a tool's output may end and the tool does not. Not for one whose work is its output."""
    sys.stdout, sys.stderr = _Unbreakable(sys.stdout), _Unbreakable(sys.stderr)
