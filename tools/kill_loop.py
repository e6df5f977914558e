"""Entry of tools/kill_loop once Python is known to be there; the parts are in kill_loop_lib/."""

import sys

from kill_loop_lib import main

if __name__ == "__main__":
    sys.exit(main.main(sys.argv[1:]))
