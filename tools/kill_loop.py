"""Entry of tools/kill_loop once Python is known to be there; the parts are in kill_loop_lib/."""

import sys

from kill_loop_lib import main
from simulate_lib import streams

if __name__ == "__main__":
    sys.exit(streams.run(main.main, sys.argv[1:]))
