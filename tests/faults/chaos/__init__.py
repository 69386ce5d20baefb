"""Faults on a real stack under steady load, one after another, and the table of what they did: `make chaos`.

`scenarios.py` is the table of faults, as data. `bed.py` runs the stack they happen to, `load.py` sends events that
are known, `judge.py` compares what came out with the oracle (tests/oracle), `report.py` writes docs/reliability.md.
"""
