"""The work: bounded steps that meet only in the ledger. None calls another; losing one costs latency only."""
