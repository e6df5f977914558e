"""tools/audit: a copy of a ledger file, its server not running, and all the questions it must answer with nothing."""

import os
import shutil
import tempfile

from ..common import command_line, exit_codes, streams
from ..ledger import files



def _parse(arguments):
    parser = command_line.Parser(
        prog="tools/audit",
        description="Copies a ledger file and its log, and asks the copy for every identity: one line each, 'holds' or 'BREACH'.\n"
        "The file itself is never opened with SQLite, and a file that a server has open is refused.",
        epilog="""exit codes:
  0    all identities hold
  1    could not look
  2    wrong usage
  4    a breach, or the file is damaged""")
    parser.add_argument("path", metavar="PATH", help="the ledger file")
    parser.add_argument("--folder", metavar="DIR", help="where there is room for the copy (default: the system's folder for such files)")
    return parser.parse_args(arguments)


def _say(text):
    streams.say(f"tools/audit: {text}")


def _audit(path, folder, server):
    copy = files.copy(path, folder)
    done = files.audit(server, copy)
    print(done.stdout, end="", flush=True)
    words = done.stderr.replace(copy, path).strip()  # the copy is gone when somebody reads it
    if words:
        streams.say(words)
    if done.returncode not in (exit_codes.DONE, exit_codes.COULD_NOT, exit_codes.DOES_NOT_RECONCILE):
        _say(f"hongbao-server --audit-only ended with {done.returncode}")
        return exit_codes.COULD_NOT
    return done.returncode


def main(arguments):
    options, code = command_line.read("tools/audit", _parse, arguments)
    if options is None:
        return code
    streams.go_on_unread()  # the exit code is the answer
    if not os.path.isfile(options.path):
        _say(f"{options.path}: " + ("there is no such file" if not os.path.exists(options.path) else "not a regular file"))
        return exit_codes.COULD_NOT
    build = command_line.build_folder("tools/audit", "server/hongbao-server")
    if build is None:
        return exit_codes.COULD_NOT
    folder = None
    try:
        folder = tempfile.mkdtemp(prefix="hongbao-audit-", dir=options.folder)
        return _audit(options.path, folder, os.path.join(build, "server", "hongbao-server"))
    except files.InUse as error:
        _say(f"{error}: stop that server first, or look at a copy made while it did not run")
        return exit_codes.COULD_NOT
    except OSError as error:
        _say(f"cannot copy {options.path} into {options.folder or tempfile.gettempdir()}: {error.strerror}; see --folder")
        return exit_codes.COULD_NOT
    finally:
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
