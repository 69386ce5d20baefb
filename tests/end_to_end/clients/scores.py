"""The scenario's scores over Langfuse's API, for programs whose own protocol has none."""

import base64
import json
import os
from urllib.request import Request, urlopen

from scenario import STORY, TRACE, time_of


def send_scores(trace_id: str, generation_id: str) -> None:
    """One request each; HTTPError where one is refused."""
    for score in STORY["scores"]:
        body = {
            "traceId": trace_id,
            "name": score["name"],
            "value": score["value"],
            "dataType": score["data_type"],
            "comment": score.get("comment"),
            "environment": TRACE["environment"],
            "timestamp": time_of("scores").isoformat(),
            "observationId": generation_id if "of" in score else None,
        }
        post("/api/public/scores", body)


def post(path: str, body: object) -> bytes:
    """The answer's body."""
    keys = f"{os.environ['LANGFUSE_PUBLIC_KEY']}:{os.environ['LANGFUSE_SECRET_KEY']}".encode()
    headers = {"Authorization": "Basic " + base64.b64encode(keys).decode(), "Content-Type": "application/json"}
    request = Request(os.environ["LANGFUSE_BASE_URL"] + path, json.dumps(body).encode(), headers)  # noqa: S310
    with urlopen(request, timeout=30) as answer:  # noqa: S310 (the test's own address)
        return bytes(answer.read())
