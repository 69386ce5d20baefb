"""The scenario by the Langfuse SDKs of version 3, 4 and 5, which send spans; their clock is the machine's."""

from datetime import UTC, datetime
from typing import Any

from langfuse import Langfuse, propagate_attributes
from langfuse.api import Prompt_Text
from langfuse.model import TextPromptClient
from scenario import STORY, TRACE, part

SAID = ("name", "input", "output", "metadata", "level", "status_message")


def observe(client: Langfuse) -> tuple[str, str]:
    """The trace; its id and the generation's."""
    with client.start_as_current_observation(as_type="span", **part("root", *SAID)) as top:
        make_public(top)
        top.create_event(**part("event", *SAID))
        for name in ("retrieval", "failed"):
            top.start_observation(as_type="span", **part(name, *SAID)).end()
        prompt = Prompt_Text(prompt="{{question}}", config={}, labels=[], tags=[], **STORY["generation"]["prompt"])
        generation = top.start_observation(
            as_type="generation", prompt=TextPromptClient(prompt),
            **part("generation", "name", "input", "metadata", "model", "model_parameters"),
        )  # fmt: skip
        generation.update(completion_start_time=datetime.now(UTC))
        generation.update(output=STORY["generation"]["output"], usage_details=STORY["generation"]["usage"]).end()
    return top.trace_id, generation.id


def make_public(top: Any) -> None:
    """As each version says it; version 5 and 4 have a call of its own."""
    if hasattr(top, "set_trace_as_public"):
        top.set_trace_as_public()
    else:
        top.update_trace(public=True)


def main() -> None:
    client = Langfuse()  # keys, address, release and environment are variables
    assert client.auth_check()
    attributes = {name: TRACE[name] for name in ("user_id", "session_id", "tags", "metadata", "version")}
    with propagate_attributes(trace_name=TRACE["name"], **attributes):
        trace_id, generation_id = observe(client)
    for score in STORY["scores"]:
        subject = {"observation_id": generation_id} if "of" in score else {}
        said = {name: score[name] for name in ("name", "value", "data_type", "comment") if name in score}
        client.create_score(trace_id=trace_id, **subject, **said)
    client.flush()


if __name__ == "__main__":
    main()
