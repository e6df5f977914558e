"""What tools/bench floor and tools/bench monitoring have in common: both run programs for minutes and write down what they measured."""

import json
import shutil
import signal
import tempfile

from ..common import command_line, exit_codes, processes
from ..common.streams import say


def run(tool, options, programs, document, measure):
    """Calls measure(build, folder) with a folder for what the programs leave, and returns the exit code. `document` is what it measures
    into; --out gets it however the experiment ends."""
    build = command_line.build_folder("tools/bench", *programs, build=options.build)
    if build is None or (options.out is not None and not command_line.can_write(tool, options.out)):
        return exit_codes.COULD_NOT
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what was started is ended
    folder = tempfile.mkdtemp(prefix="hongbao-bench-")
    try:
        measure(build, folder)
        return exit_codes.DONE
    except KeyboardInterrupt:
        say(f"{tool}: stopped")
        return exit_codes.INTERRUPTED
    except (processes.Died, processes.AdminError, OSError) as error:
        say(f"{tool}: error: {error}")
        return exit_codes.COULD_NOT
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if options.out is not None:
            with open(options.out, "w", encoding="utf-8") as file:
                json.dump(document, file, indent=2)
                file.write("\n")
