"""tools/tidy: the rules of the source tree."""
