"""tools/bench from the command line to the exit code: finds the subcommands and hands over to one."""

from ..common import command_line, exit_codes
from . import compare, floor, monitoring, run

# Each has add_parser(subparsers), under its own name, and run(options) -> exit code.
SUBCOMMANDS = {"run": run, "compare": compare, "floor": floor, "monitoring": monitoring}


def parser():
    made = command_line.Parser(
        prog="tools/bench",
        description="Measures the microbenchmarks of a build, round by round, and compares such measurements.",
        epilog="""notes:
  Figures are worth something on a machine that does nothing else. One that misses its reach is no
  error.

exit codes:
  0    done
  1    could not measure
  2    wrong usage
  130  interrupted""")
    made.add_argument("--build", metavar="DIR", default=command_line.default_build(), help="the build to measure (default: build/)")
    subparsers = made.add_subparsers(dest="subcommand", metavar="SUBCOMMAND", required=True)
    for module in SUBCOMMANDS.values():
        module.add_parser(subparsers)
    return made


def main(arguments):
    options, code = command_line.read("tools/bench", parser().parse_args, arguments)
    if options is None:
        return code
    try:
        return SUBCOMMANDS[options.subcommand].run(options)
    except command_line.UsageError as error:
        return command_line.wrong_usage(f"tools/bench {options.subcommand}", error)
    except KeyboardInterrupt:
        return exit_codes.INTERRUPTED
