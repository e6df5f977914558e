"""Entry of tools/doctor; the parts are in doctor_lib/."""

import sys

from doctor_lib import main

if __name__ == "__main__":
    sys.exit(main.main(sys.argv[1:]))
