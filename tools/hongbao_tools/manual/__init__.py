"""Parts of tools/manual: --help and prose in, man pages and bash completion out."""
