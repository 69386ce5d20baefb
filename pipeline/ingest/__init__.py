"""The HTTP front door: authenticate, limit, validate, split by trace, and answer once Kafka has acknowledged.

One file per protocol (`ingestion.py` is Langfuse's batch, `single.py` and `scores.py` its single objects); what they
share is `FrontDoor` in front.py, the gate in admit.py and `accept` in accept.py. A new protocol is a router of its own,
added in app.py.
"""

from pipeline.ingest.app import create_app
from pipeline.ingest.server import serve

__all__ = ["create_app", "serve"]
