"""`spanfold explain-cost` and `spanfold unpriced`: why a call costs what it costs, and which calls have no cost."""
