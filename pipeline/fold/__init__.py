"""Pure folding: what a trace's rows say is a function of the set of its distinct events.

Nothing here reads a clock, a topic or a table. Kafka order, repeats and restarts cannot change a result because every
rule is commutative, associative and idempotent over the set of events; docs/folding.md lists the rules.
"""
