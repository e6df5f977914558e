"""The parts of tools/bench, one module per command and what they share."""
