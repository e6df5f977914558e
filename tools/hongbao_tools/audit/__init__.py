"""tools/audit: all identities of a ledger file, asked of a copy."""
