"""tools/audit: a copy of a ledger file, its server not running, and all the questions it must answer with nothing."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile

from ledger_lib import files

EXIT_COULD_NOT = 1
EXIT_USAGE = 2
EXIT_DOES_NOT_RECONCILE = 4
EXIT_HELP_PRINTED = 9  # of --check-usage only, for the shell script before set-up


class UsageError(Exception):
    """A wrong flag; the text says which and why."""


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise UsageError(message)


def _parse(arguments):
    parser = _Parser(
        prog="tools/audit", allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Copies a ledger file and its log, and asks the copy for every identity: one line each, 'holds' or 'BREACH'.\n"
        "The file itself is never opened with SQLite, and a file that a server has open is refused.",
        epilog="exit codes: 0 all hold, 1 could not look, 2 wrong usage, 4 a breach, or the file is damaged.")
    parser.add_argument("path", metavar="PATH", help="the ledger file")
    parser.add_argument("--folder", metavar="DIR", help="where there is room for the copy (default: the system's folder for such files)")
    return parser.parse_args(arguments)


def _say(text):
    print(f"tools/audit: {text}", file=sys.stderr)


def _server():
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    build = os.environ.get("HONGBAO_BUILD_DIR") or os.path.join(root, "build")
    return os.path.join(build, "server", "hongbao-server")


def _audit(path, folder):
    copy = files.copy(path, folder)
    done = subprocess.run([_server(), "--audit-only", "--ledger", "sqlite:" + copy], capture_output=True, text=True, check=False)
    print(done.stdout, end="", flush=True)
    words = done.stderr.replace(copy, path).strip()  # the copy is gone when somebody reads it
    if words:
        print(words, file=sys.stderr)
    if done.returncode not in (0, EXIT_COULD_NOT, EXIT_DOES_NOT_RECONCILE):
        _say(f"hongbao-server --audit-only ended with {done.returncode}")
        return EXIT_COULD_NOT
    return done.returncode


def main(arguments):
    check_usage = arguments[:1] == ["--check-usage"]
    try:
        options = _parse(arguments[1:] if check_usage else arguments)
    except UsageError as error:
        _say(f"{error}\nRun 'tools/audit --help' for the options.")
        return EXIT_USAGE
    except SystemExit:
        return EXIT_HELP_PRINTED if check_usage else 0
    if check_usage:
        return 0
    if not os.path.isfile(options.path):
        _say(f"{options.path}: " + ("there is no such file" if not os.path.exists(options.path) else "not a regular file"))
        return EXIT_COULD_NOT
    if not os.access(_server(), os.X_OK):
        _say(f"{_server()} is not there: run tools/audit (it builds)")
        return EXIT_COULD_NOT
    folder = None
    try:
        folder = tempfile.mkdtemp(prefix="hongbao-audit-", dir=options.folder)
        return _audit(options.path, folder)
    except files.InUse as error:
        _say(f"{error}: stop that server first, or look at a copy made while it did not run")
        return EXIT_COULD_NOT
    except OSError as error:
        _say(f"cannot copy {options.path} into {options.folder or tempfile.gettempdir()}: {error.strerror}; see --folder")
        return EXIT_COULD_NOT
    finally:
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
