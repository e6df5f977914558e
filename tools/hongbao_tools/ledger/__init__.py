"""What the tools know of ledger files: how to copy one, and a reader of the books that shares nothing with the server's."""
