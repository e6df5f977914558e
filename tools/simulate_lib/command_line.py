"""What the command lines of the tools have in common: a parser's manners, numbers with units, the question that the shell script
asks before set-up (--check-usage), and where the programs are. For tools/simulate, tools/kill_loop, tools/audit and tools/bench."""

import argparse
import os
import sys

from . import units

EXIT_USAGE = 2
EXIT_HELP_PRINTED = 9  # of --check-usage only: help or version was asked for


class UsageError(Exception):
    """A wrong flag or value; the text says which and why."""


class Parser(argparse.ArgumentParser):
    """One that raises UsageError, and lets nobody abbreviate a flag."""

    def __init__(self, **settings):
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **settings)

    def error(self, message):
        raise UsageError(message)


def count(values, name, default, low, high):
    """The number that was given for the flag (with k, M...), or the default; UsageError for one that cannot be."""
    text = getattr(values, name)
    if text is None:
        return default
    flag = "--" + name.replace("_", "-")
    try:
        number = units.parse_count(text)
    except ValueError as error:
        raise UsageError(f"{flag}: {error}") from None
    if not low <= number <= high:
        raise UsageError(f"{flag}: must be from {low:,} to {high:,}, not {number:,}")
    return number


def read(tool, parse, arguments):
    """(options, None), or (None, exit code) when there is nothing more to do: wrong usage, help, or only the check."""
    checking = arguments[:1] == ["--check-usage"]
    try:
        options = parse(arguments[1:] if checking else arguments)
    except UsageError as error:
        print(f"{tool}: {error}\nRun '{tool} --help' for the options.", file=sys.stderr, flush=True)
        return None, EXIT_USAGE
    except SystemExit:
        return None, EXIT_HELP_PRINTED if checking else 0
    return (None, 0) if checking else (options, None)


def default_build():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return os.environ.get("HONGBAO_BUILD_DIR") or os.path.join(root, "build")


def build_folder(tool, *programs, build=None):
    """The build folder (the default one, or `build`), with these programs in it; None after saying which is missing."""
    build = build or default_build()
    for program in programs:
        path = os.path.join(build, program)
        if not os.access(path, os.X_OK):
            print(f"{tool}: {path} is not there: run {tool} (it builds) or ninja -C {build}", file=sys.stderr, flush=True)
            return None
    return build
