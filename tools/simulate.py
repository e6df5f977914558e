"""Entry of tools/simulate once Python is known to be there; the parts are in simulate_lib/."""

import sys

from simulate_lib import main

if __name__ == "__main__":
    sys.exit(main.main(sys.argv[1:]))
