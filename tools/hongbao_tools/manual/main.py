"""tools/manual from the command line to the exit code."""

import os
import pathlib
import shutil
import signal
import tempfile

from ..common import command_line, exit_codes, streams
from ..common.version import VERSION
from . import commands, completion, roff

COMPLETION = "hongbao"  # the file's name


def _parse(arguments):
    parser = command_line.Parser(
        prog="tools/manual",
        description="Shows the man page of a command, or writes all of them and the bash completion into a folder. Flags, examples and exit "
        "codes are what the command's own --help says; the rest is in docs/commands/.",
        epilog="""examples:
  tools/manual simulate       read the page of tools/simulate
  tools/manual --out manual   write all pages, and the completion: . manual/hongbao

exit codes:
  0    done
  1    a command is not built, or its --help keeps to another layout, or its page lacks something
  2    wrong usage
  130  interrupted""")
    parser.add_argument("page", metavar="PAGE", nargs="?", help="server, simulate, profile, ...: the page to show")
    parser.add_argument("--out", "-o", metavar="DIR", help="write all pages and the completion here")
    parser.add_argument("--build", metavar="DIR", default=command_line.default_build(), help="where the programs are (default: build/)")
    values = parser.parse_args(arguments)
    if (values.page is None) == (values.out is None):
        raise command_line.UsageError("give either a PAGE to show or --out DIR")
    return values


def write_page(prose, build, folder):
    """Writes one page and returns its path and the Command, None for a page of no command."""
    command = commands.read(prose, build) if prose.command else None
    path = os.path.join(folder, f"{prose.page}.{prose.section}")
    pathlib.Path(path).write_text(roff.page(prose, VERSION, command), encoding="ascii")
    return path, command


def _write_all(build, folder):
    os.makedirs(folder, exist_ok=True)
    written = [write_page(prose, build, folder)[1] for prose in commands.all_prose()]
    script = completion.script([command for command in written if command], VERSION)
    pathlib.Path(folder, COMPLETION).write_text(script, encoding="ascii")


def _show(page, build):
    wanted = page if page.startswith("hongbao-") else "hongbao-" + page.replace("_", "-")
    for prose in commands.all_prose():
        if prose.page == wanted:
            break
    else:
        raise commands.Wrong(f"no page '{page}'; there are: " + ", ".join(commands.short_names(commands.all_prose())))
    if not shutil.which("man"):
        raise commands.Wrong("no man here to show it with (Debian's man-db); --out DIR writes the pages")
    with tempfile.TemporaryDirectory(prefix="hongbao-manual-") as folder:
        signal.signal(signal.SIGINT, lambda *_: None)  # the pager's own: man takes the default again
        return os.spawnlp(os.P_WAIT, "man", "man", "-l", write_page(prose, build, folder)[0])


def main(arguments):
    options, code = command_line.read("tools/manual", _parse, arguments)
    if options is None:
        return code
    try:
        if options.out is None:
            return exit_codes.COULD_NOT if _show(options.page, options.build) else exit_codes.DONE
        _write_all(options.build, options.out)
        return exit_codes.DONE
    except KeyboardInterrupt:
        return exit_codes.INTERRUPTED
    except (commands.Wrong, OSError) as error:
        streams.say(f"tools/manual: {error}")
        return exit_codes.COULD_NOT
