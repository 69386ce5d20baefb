"""The scenario by the Langfuse SDK of version 2, which sends batches of JSON; its clock can be told."""

from langfuse import Langfuse
from langfuse.api import Prompt_Text
from langfuse.model import TextPromptClient
from scenario import STORY, TRACE, part, time_of

SAID = ("name", "input", "output", "metadata", "level", "status_message")


def main() -> None:
    client = Langfuse()  # keys, host, release and environment are variables
    assert client.auth_check()
    root = part("root")
    trace = client.trace(
        timestamp=time_of("root"), public=True, input=root["input"], output=root["output"],
        **{name: TRACE[name] for name in ("name", "user_id", "session_id", "tags", "metadata", "version")},
    )  # fmt: skip
    top = trace.span(start_time=time_of("root"), version=TRACE["version"], **part("root", "name", "input", "metadata"))
    top.event(start_time=time_of("event"), version=TRACE["version"], **part("event", *SAID))
    for name in ("retrieval", "failed"):
        child = top.span(start_time=time_of(name), version=TRACE["version"], **part(name, "name", "input", "metadata"))
        child.end(end_time=time_of(name, end=True), **part(name, "output", "level", "status_message"))
    prompt = Prompt_Text(prompt="{{question}}", config={}, labels=[], tags=[], **STORY["generation"]["prompt"])
    generation = top.generation(
        start_time=time_of("generation"), version=TRACE["version"], prompt=TextPromptClient(prompt),
        **part("generation", "name", "input", "metadata", "model", "model_parameters"),
    )  # fmt: skip
    generation.update(completion_start_time=time_of("first token"))
    generation.end(
        end_time=time_of("generation", end=True), usage_details=STORY["generation"]["usage"],
        output=STORY["generation"]["output"],
    )  # fmt: skip
    top.end(end_time=time_of("root", end=True), output=root["output"])
    for score in STORY["scores"]:
        subject = {"observation_id": generation.id} if "of" in score else {}
        said = {name: score[name] for name in ("name", "value", "data_type", "comment") if name in score}
        client.score(trace_id=trace.id, **subject, **said)
    client.flush()


if __name__ == "__main__":
    main()
