"""The scenario as one batch of Langfuse's JSON, written by hand: creates and updates, in no order."""

import json
from typing import Any

from scenario import STORY, TRACE, part, time_of
from scores import post

ID = "batch"
BODY_NAMES = {
    "start_time": "startTime", "end_time": "endTime", "status_message": "statusMessage", "user_id": "userId",
    "session_id": "sessionId", "model_parameters": "modelParameters", "usage": "usageDetails", "data_type": "dataType",
}  # fmt: skip


def event(kind: str, at: str, body: dict[str, Any]) -> dict[str, Any]:
    named = {BODY_NAMES.get(name, name): value for name, value in body.items()}
    return {"id": f"{kind}-{body['id']}", "type": kind, "timestamp": at, "body": named}


def observation(kind: str, name: str, parent: str | None = f"{ID}-root", **more: Any) -> list[dict[str, Any]]:
    start, end = time_of(name).isoformat(), time_of(name, end=True).isoformat()
    common = {"id": f"{ID}-{name}", "traceId": f"{ID}-trace"}
    begun = {"parentObservationId": parent, "startTime": start, "version": TRACE["version"]}
    begun |= {"environment": TRACE["environment"]} | part(
        name, "name", "input", "metadata", "model", "model_parameters"
    )
    ended = part(name, "output", "level", "status_message", "usage")
    if kind == "event":
        return [event("event-create", start, common | begun | ended)]
    return [
        event(f"{kind}-update", end, common | ended | {"endTime": end} | more),
        event(f"{kind}-create", start, common | begun),
    ]


def scores() -> list[dict[str, Any]]:
    at = time_of("scores").isoformat()
    found = []
    for score in STORY["scores"]:
        body = {name: score[name] for name in ("name", "value", "data_type", "comment") if name in score}
        body |= {"id": f"{ID}-{score['name']}", "traceId": f"{ID}-trace", "environment": TRACE["environment"]}
        if "of" in score:
            body["observationId"] = f"{ID}-{score['of']}"
        found.append(event("score-create", at, body))
    return found


def main() -> None:
    prompt = STORY["generation"]["prompt"]
    first = {"completionStartTime": time_of("first token").isoformat()}
    batch = [
        *scores(),
        *observation("generation", "generation", promptName=prompt["name"], promptVersion=prompt["version"], **first),
        *observation("event", "event"),
        *observation("span", "failed"),
        *observation("span", "retrieval"),
        *observation("span", "root", None),
        event("trace-create", time_of("root").isoformat(), {"id": f"{ID}-trace", "public": True, **TRACE}
              | part("root", "input", "output")),
    ]  # fmt: skip
    answer = json.loads(post("/api/public/ingestion", {"batch": batch}))
    assert answer["errors"] == [], answer


if __name__ == "__main__":
    main()
