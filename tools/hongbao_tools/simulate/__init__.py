"""The parts of tools/simulate: options, preflight, processes, the story, reconciliation, the report. Python 3.9+, standard library."""
