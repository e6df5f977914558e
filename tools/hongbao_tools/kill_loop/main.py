"""tools/kill_loop from the command line to the exit code."""

import os
import shutil
import signal
import tempfile

from ..common import command_line, exit_codes, processes, streams
from ..common.streams import say
from . import loop as loop_module
from . import options as options_module
from . import plan



def _folder(options):
    if options.folder is None:
        return tempfile.mkdtemp(prefix="hongbao-kill-")
    os.makedirs(options.folder, exist_ok=True)
    if os.listdir(options.folder):
        raise OSError(0, "it is not empty", options.folder)
    return os.path.abspath(options.folder)


def _run(loop):
    """(exit code, what ended it)."""
    try:
        loop.run()
        return (exit_codes.DOES_NOT_RECONCILE if loop.proof.failed else exit_codes.DONE), ""
    except loop_module.DoesNotReconcile as error:
        return exit_codes.DOES_NOT_RECONCILE, str(error)
    except (loop_module.CouldNotRun, processes.Died, processes.AdminError, OSError) as error:
        return exit_codes.COULD_NOT, str(error)
    except KeyboardInterrupt:
        return exit_codes.INTERRUPTED, "interrupted"
    finally:
        loop.stop()


def main(arguments):
    options, code = command_line.read("tools/kill_loop", options_module.parse, arguments)
    if options is None:
        return code
    streams.go_on_unread()
    build = command_line.build_folder("tools/kill_loop", "server/hongbao-server", "client/hongbao-client")
    if build is None:
        return exit_codes.COULD_NOT
    try:
        folder = _folder(options)
    except OSError as error:
        say(f"tools/kill_loop: cannot use the folder {error.filename}: {error.strerror}")
        return exit_codes.COULD_NOT
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job started with & inherits it ignored
    say(f"tools/kill_loop: {options.rounds} rounds, seed {options.seed}, {options.users} users, {options.qps} requests/s, in {folder}")
    loop = loop_module.Loop(options, plan.plan(options.rounds, options.seed), build, folder)
    code, trouble = _run(loop)
    for line in loop.proof.told():
        say(f"  {line}")
    if trouble:
        say(f"tools/kill_loop: {trouble}")
    verdict = {exit_codes.DONE: "PASS", exit_codes.DOES_NOT_RECONCILE: "FAIL"}.get(code, "UNFINISHED")
    print(f"result {verdict}  {loop.result()}", flush=True)
    if code == exit_codes.DONE and not options.keep:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        say(f"tools/kill_loop: seed {options.seed}; ledger, money log and logs are in {folder}")
    return code
