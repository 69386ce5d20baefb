"""Spanfold: a stream processing pipeline for LLM observability on Kafka, Faust and ClickHouse.

The rooms and who may know whom are described in docs/architecture.md.
"""

__version__ = "0.1.0"
