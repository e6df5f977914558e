"""Standard output and standard error of a tool that must come to its end whether anybody reads them or not."""

import os
import sys


def hold():
    """Opens /dev/null for each of the three that is closed: the next file that is opened would get its number."""
    number = os.open(os.devnull, os.O_RDWR)
    while number <= 2:
        number = os.dup(number)
    os.close(number)
    for name, fd in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:  # so Python says that it was closed
            setattr(sys, name, os.fdopen(fd, "w", closefd=False))


class _Unbreakable:
    """A stream that nobody reads any more (`| head`, a closed terminal) takes what is written to it all the same."""

    def __init__(self, stream):
        self._stream = stream

    def write(self, text):
        try:
            return self._stream.write(text)
        except OSError:
            self._let_go()
            return len(text)

    def flush(self):
        try:
            self._stream.flush()
        except OSError:
            self._let_go()

    def _let_go(self):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self._stream.fileno())
        os.close(null)

    def __getattr__(self, name):
        return getattr(self._stream, name)


def go_on_unread():
    """From here on a tool's output may end and the tool does not. Not for one whose work is its output."""
    sys.stdout, sys.stderr = _Unbreakable(sys.stdout), _Unbreakable(sys.stderr)
