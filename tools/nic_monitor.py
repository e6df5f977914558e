"""Entry of tools/nic_monitor; the parts are in nic_monitor_lib/."""

import sys

from nic_monitor_lib import main
from simulate_lib import streams

if __name__ == "__main__":
    sys.exit(streams.run(main.main, sys.argv[1:]))
