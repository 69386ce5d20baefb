"""The scenario as events for Kafka, by the published schemas: the fields of one event for each entity."""

import uuid
from typing import Any

from scenario import STORY, TRACE, part, time_of

KINDS = {"root": "SPAN", "event": "EVENT", "retrieval": "SPAN", "failed": "SPAN", "generation": "GENERATION"}

Said = dict[str, Any]


def events(project: str) -> list[tuple[str, Said]]:
    """(kind, fields) of each event; times are datetimes, metadata and the like are JSON values."""
    trace_id, ids = uuid.uuid4().hex, {name: uuid.uuid4().hex[:16] for name in KINDS}
    common = {"project_id": project, "trace_id": trace_id, "environment": TRACE["environment"]}
    trace = common | {"at": time_of("root"), "public": True, **TRACE, **part("root", "input", "output")}
    observations = [_observation(common, ids, name, kind) for name, kind in KINDS.items()]
    return [
        ("trace", trace),
        *(("observation", said) for said in observations),
        *(("score", said) for said in _scores(common, ids)),
    ]


def _observation(common: Said, ids: dict[str, str], name: str, kind: str) -> Said:
    said = common | part(name) | {"at": time_of(name, end=True), "observation_id": ids[name], "type": kind}
    said |= {"start_time": time_of(name), "version": TRACE["version"]}
    if name != "root":
        said["parent_observation_id"] = ids["root"]
    if kind != "EVENT":
        said["end_time"] = time_of(name, end=True)
    if kind == "GENERATION":
        prompt = said.pop("prompt")
        said |= {"prompt_name": prompt["name"], "prompt_version": prompt["version"]}
        said["completion_start_time"] = time_of("first token")
    return said


def _scores(common: Said, ids: dict[str, str]) -> list[Said]:
    found = []
    for score in STORY["scores"]:
        said = common | {name: value for name, value in score.items() if name not in ("of", "value")}
        said |= {"at": time_of("scores"), "score_id": uuid.uuid4().hex, "value": score["value"]}
        found.append(said | ({"observation_id": ids[score["of"]]} if "of" in score else {}))
    return found
