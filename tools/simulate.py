"""Entry of tools/simulate once Python is known to be there; the parts are in simulate_lib/."""

import sys

from simulate_lib import main, streams

if __name__ == "__main__":
    sys.exit(streams.run(main.main, sys.argv[1:]))
