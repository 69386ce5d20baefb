"""`spanfold audit`: are the rows of every trace what its archived events make? All, or all the time the recent.

suspects.py finds with SQL what may be wrong, stored.py reads the rows of suspects, examine.py folds them anew and
diagnose.py (pure) says what is wrong, mend.py writes what is right; run.py is the order of work, watch.py runs it all
the time, and the ledger with it. The rules: docs/ledger.md.
"""
