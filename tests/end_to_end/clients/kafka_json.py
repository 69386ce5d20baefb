"""The scenario as lines of canonical JSON, for docs/examples/Produce.java to send."""

import json
import os
from datetime import datetime

from kafka_events import events

if __name__ == "__main__":
    for kind, event in events(os.environ["SPANFOLD_PROJECT"]):
        print(json.dumps({"kind": kind, **event}, default=datetime.isoformat))
