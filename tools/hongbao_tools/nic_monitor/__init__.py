"""The parts of tools/nic_monitor: where the counters are read, what a second's difference is, who is told. Python 3.9+, standard library."""
