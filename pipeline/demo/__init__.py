"""`spanfold demo`: what Spanfold does, in a minute, on a stack of its own.

Rule: 1 a stack starts in a scratch directory, 2 recorded traffic of a real client goes in over HTTP, a part of it
twice, 3 10,000 events go in through Kafka, 4 all of it and its scores are waited for, 5 freshness is measured at a
modest load, when that is all there is, 6 everything is counted, 7 the tables are printed. The exit code is 0 only where
every event is accounted for and the views show exactly what was sent.
The demo is a client: events go in by HTTP and Kafka, answers come from ClickHouse.
Fails with SpanfoldError where the stack does not start or does not take or store what is sent. The stack stops and the
scratch directory goes away in every case, except with `keep`.
"""

from pipeline.demo.run import run_demo

__all__ = ["run_demo"]
