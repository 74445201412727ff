"""What a person tells the analytics, and what the ledger knows: `cellkeeper test`, `cellkeeper cells`."""
