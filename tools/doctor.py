"""Entry of tools/doctor; the parts are in doctor_lib/."""

import sys

from doctor_lib import main
from simulate_lib import streams

if __name__ == "__main__":
    sys.exit(streams.run(main.main, sys.argv[1:]))
