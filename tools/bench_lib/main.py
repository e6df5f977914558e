"""tools/bench from the command line to the exit code: finds the subcommands and hands over to one."""

import importlib
import os

from simulate_lib import command_line

VERSION = "0.1.0"
# Modules of this package. Each has add_parser(subparsers) -> parser, under its own name, and run(options) -> exit code.
SUBCOMMANDS = ("run", "compare", "floor")
EXIT_INTERRUPTED = 130


def modules():
    """Name -> module, of the subcommands that are there."""
    found = {}
    for name in SUBCOMMANDS:
        path = f"{__package__}.{name}"
        try:
            found[name] = importlib.import_module(path)
        except ModuleNotFoundError as error:
            if error.name != path:  # it is there, and something that it needs is not
                raise
    return found


def default_build():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return os.environ.get("HONGBAO_BUILD_DIR") or os.path.join(root, "build")


def parser(found):
    made = command_line.Parser(
        prog="tools/bench",
        description="Measures the microbenchmarks of a build, round by round, and compares such measurements.",
        epilog="""exit codes: 0 done, 1 could not, 2 wrong usage, 130 interrupted; a figure that misses its reach is no error.
Figures are worth something on a machine that does nothing else.""")
    made.add_argument("--build", metavar="DIR", default=default_build(), help="the build to measure (default: build/)")
    made.add_argument("--version", action="version", version=f"tools/bench {VERSION}")
    subparsers = made.add_subparsers(dest="subcommand", metavar="SUBCOMMAND", required=True)
    for module in found.values():
        module.add_parser(subparsers)
    return made


def main(arguments):
    found = modules()
    options, code = command_line.read("tools/bench", parser(found).parse_args, arguments)
    if options is None:
        return code
    try:
        return found[options.subcommand].run(options)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
