"""Values that every room may use: records, errors, ledger. No I/O, standard library only."""
