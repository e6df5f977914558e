"""What the command lines of the tools have in common: a parser's manners, numbers with units, the question that start.sh asks before
set-up (--check-usage), and where the programs are."""

import argparse
import os
import textwrap

from . import exit_codes, streams, units
from .paths import ROOT
from .version import VERSION



class UsageError(Exception):
    """A wrong flag or value; the text says which and why."""


class Layout(argparse.RawDescriptionHelpFormatter):
    """--help as the C++ programs print it (libhongbao/cli/help.h): 100 columns wherever it goes to, short names first, one value.
    tools/manual reads it back."""

    def __init__(self, prog):
        super().__init__(prog, max_help_position=28, width=100)

    def add_usage(self, usage, actions, groups, prefix=None):
        """A line; the flags follow."""
        if usage is None and actions is not None:
            places = [action for action in actions if not action.option_strings]
            flags = ["[FLAGS]"] if len(places) < len(actions) else []
            usage = " ".join([self._prog, *flags, *(self._metavar(action) for action in places)])
        super().add_usage(usage, actions, groups, prefix)

    def _fill_text(self, text, width, indent):
        """Paragraphs; what is laid out already (examples, exit codes) stays."""
        return "\n\n".join(part if "\n " in part else textwrap.fill(part, width) for part in text.strip().split("\n\n")) + "\n"

    def _metavar(self, action):
        name = self._metavar_formatter(action, action.dest)(1)[0]
        return {"?": f"[{name}]", "*": f"[{name}...]", "+": f"{name}...", argparse.PARSER: f"{name} ..."}.get(action.nargs, name)

    def _format_action_invocation(self, action):
        if not action.option_strings:
            return super()._format_action_invocation(action)
        names = ", ".join(sorted(action.option_strings, key=len))
        return names if action.nargs == 0 else f"{names} {self._format_args(action, action.dest.upper())}"


class _ShowVersion(argparse.Action):
    """--version, "tools/simulate 0.1.0"."""

    def __init__(self, option_strings, dest, **settings):
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, **settings)

    def __call__(self, parser, namespace, values, option_string=None):
        print(f"{parser.prog.split()[0]} {VERSION}", flush=True)
        parser.exit()


class Parser(argparse.ArgumentParser):
    """One that raises UsageError, and lets nobody abbreviate a flag. It has -h, --help, and --version."""

    def __init__(self, **settings):
        super().__init__(allow_abbrev=False, formatter_class=Layout, add_help=False, **settings)
        self.add_argument("-h", "--help", action="help", help="print this text and end")
        self.add_argument("--version", action=_ShowVersion, help="print the version and end")

    def error(self, message):
        raise UsageError(message)

    def parse_known_args(self, args=None, namespace=None):
        """As argparse's; a file or folder is not "-", which elsewhere is a stream: what is written here is not for one."""
        values, rest = super().parse_known_args(args, namespace)
        for action in self._actions:
            if action.metavar in ("FILE", "DIR", "PATH") and getattr(values, action.dest, None) == "-":
                name = max(action.option_strings, key=len, default=action.metavar)
                self.error(f"{name}: - is no {'folder' if action.metavar == 'DIR' else 'file'} here; for one of that name: ./-")
        return values, rest


def in_range(flag, given, low, high):
    """The number that was given for the flag, as an int or as text (with k, M...); UsageError for one that cannot be."""
    try:
        number = units.parse_count(given) if isinstance(given, str) else given
    except ValueError as error:
        raise UsageError(f"{flag}: {error}") from None
    if not low <= number <= high:
        raise UsageError(f"{flag}: must be from {low:,} to {high:,}, not {number:,}")
    return number


def count(values, name, default, low, high):
    """The number that was given for the flag, or the default."""
    given = getattr(values, name)
    return default if given is None else in_range("--" + name.replace("_", "-"), given, low, high)


def wrong_usage(tool, error):
    streams.say(f"{tool}: {error}\nRun '{tool} --help' for the options.")
    return exit_codes.WRONG_USAGE


def read(tool, parse, arguments):
    """(options, None), or (None, exit code) when there is nothing more to do: wrong usage, help, or only the check."""
    streams.hold()
    checking = arguments[:1] == ["--check-usage"]
    try:
        options = parse(arguments[1:] if checking else arguments)
    except UsageError as error:
        return None, wrong_usage(tool, error)
    except SystemExit:
        code = streams.exit_code(exit_codes.DONE)
        return None, exit_codes.HELP_PRINTED if checking and code == exit_codes.DONE else code
    return (None, exit_codes.DONE) if checking else (options, None)


def can_write(tool, path):
    """To be asked before the minutes of work, not after. False after saying why not."""
    try:
        with open(path, "a", encoding="utf-8"):
            return True
    except OSError as error:
        streams.say(f"{tool}: cannot write {path}: {error.strerror}; choose another file with --out")
        return False


def default_build():
    return os.environ.get("HONGBAO_BUILD_DIR") or str(ROOT / "build")


def build_folder(tool, *programs, build=None):
    """The build folder (the default one, or `build`), with these programs in it; None after saying which is missing."""
    build = build or default_build()
    for program in programs:
        path = os.path.join(build, program)
        if not os.access(path, os.X_OK):
            streams.say(f"{tool}: {path} is not there: run {tool} (it builds) or ninja -C {build}")
            return None
    return build
