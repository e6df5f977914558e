"""The parts of tools/doctor: what is read of a machine, what is judged, how settings are made and undone. Python 3.9+, standard library."""
