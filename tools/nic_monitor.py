"""Entry of tools/nic_monitor; the parts are in nic_monitor_lib/."""

import sys

from nic_monitor_lib import main

if __name__ == "__main__":
    sys.exit(main.main(sys.argv[1:]))
