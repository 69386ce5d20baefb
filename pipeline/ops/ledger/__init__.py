"""`spanfold ledger`: accepted = stored + duplicate + rejected, for every project and minute, or where it is not.

run.py is the order of work, read.py asks the store, log.py asks Kafka, balance.py compares (pure), report.py shows.
What is compared with what, and what each witness can prove: docs/ledger.md.
"""
