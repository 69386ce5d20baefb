"""Tokens counted from text: as tiktoken counts them, without a network, bounded, and never off the result's path."""

import asyncio
import gzip
import hashlib
import json
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from pipeline.cost import tokens, vocabulary
from pipeline.cost.price import ObservationPricer
from pipeline.cost.prompts import input_texts, output_texts
from pipeline.cost.tokens import MAX_CHARACTERS, PIECE, Text, TokenCounter, method_of
from pipeline.events.model import Event, Fields, Kind, Micros, Record
from pipeline.stream.prepare import Preparation
from tests.fixtures.corpus import CORPUS

# Run apart: tiktoken itself, with its own download path served from a folder.
_TIKTOKEN = """
import json, sys, tiktoken
texts = json.load(sys.stdin)
print(json.dumps({name: [len(tiktoken.get_encoding(name).encode(text, disallowed_special=())) for text in texts]
                  for name in ("o200k_base", "cl100k_base")}))
"""


def call(**fields: Any) -> Fields:
    return cast(Fields, {"type": "GENERATION", **fields})


def observation(entity: str, **fields: Any) -> tuple[Record, list[Event]]:
    event = Event("p", "t", Kind.OBSERVATION, entity, f"e-{entity}-{len(fields)}", Micros(1), call(**fields))
    return Record("t", 0, 0, Micros(1), None, None, ()), [event]


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[int]]:
    """What tiktoken.get_encoding counts when it is left alone, but for the download."""
    folder = tmp_path_factory.mktemp("tiktoken")
    for name in vocabulary.VOCABULARIES:
        url = f"https://openaipublic.blob.core.windows.net/encodings/{name}.tiktoken"
        data = cast(Path, vocabulary._data_file(name)).read_bytes()
        (folder / hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest()).write_bytes(gzip.decompress(data))
    done = subprocess.run(
        [sys.executable, "-c", _TIKTOKEN],
        input=json.dumps(CORPUS),
        env={"TIKTOKEN_CACHE_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return cast(dict[str, list[int]], json.loads(done.stdout))


@pytest.mark.parametrize(("model", "name"), [("gpt-4o", "o200k_base"), ("gpt-4-turbo", "cl100k_base")])
def test_counts_are_tiktokens_own(theirs: dict[str, list[int]], model: str, name: str) -> None:
    counter = TokenCounter()
    counted = [counter.count(model, call(output=text)) for text in CORPUS]
    assert [each.usage["output"] if each else 0 for each in counted] == theirs[name]
    assert {each.method for each in counted if each} == {f"tiktoken:{name}"}


@pytest.mark.parametrize(
    ("model", "method"),
    [
        ("gpt-4o-mini-2024-07-18", "o200k_base"),
        ("openai/gpt-5", "o200k_base"),
        ("o3-mini", "o200k_base"),
        ("gpt-4.1", "o200k_base"),
        ("gpt-4-0613", "cl100k_base"),
        ("gpt-35-turbo", "cl100k_base"),
        ("text-embedding-3-small", "cl100k_base"),
        ("claude-sonnet-4", "bytes/4"),
        ("gemini-2.5-pro", "bytes/4"),
        ("my-own-thing", ""),
        ("", ""),
        ("x" * 100_000, ""),
    ],
)
def test_a_models_tokenizer_is_told_by_its_name(model: str, method: str) -> None:
    assert method_of(model) == method


def test_hello_world_is_two_or_three_tokens_by_both_methods() -> None:
    for model in ("gpt-4o", "claude-3-haiku"):
        counted = TokenCounter().count(model, call(output="Hello world"))
        assert counted is not None
        assert counted.usage["output"] in (2, 3)


def test_the_estimate_is_near_the_real_count_on_plain_text(theirs: dict[str, list[int]]) -> None:
    counter = TokenCounter()
    near = [
        (counter.count("claude", call(output=text)), real)
        for text, real in zip(CORPUS, theirs["o200k_base"], strict=True)
        if 40 < len(text) < 10_000 and text.isascii() and " " in text
    ]
    ratios = sorted(counted.usage["output"] / real for counted, real in near if counted)
    assert 0.8 <= ratios[len(ratios) // 2] <= 1.2


@pytest.mark.parametrize(
    "fields",
    [
        {"input": "hello"},  # not finished: its usage may still come
        {"input": "hello", "end_time": 1, "level": "ERROR"},
        {"end_time": 1},
        {"output": ""},
        {"output": "a wrapper of the call", "type": "SPAN"},
        {"output": "an update of a span", "type": None, "type_provisional": "SPAN"},
    ],
)
def test_what_was_not_charged_or_is_not_over_is_not_counted(fields: dict[str, Any]) -> None:
    assert TokenCounter().count("gpt-4o", call(**fields)) is None


def test_a_failed_call_with_an_output_is_counted() -> None:
    assert TokenCounter().count("gpt-4o", call(output="partial", level="ERROR")) is not None


def test_chat_messages_cost_what_the_format_adds() -> None:
    messages = [
        {"role": "system", "name": "example_user", "content": "New synergies will help drive top-line growth."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "image_url", "image_url": {"url": "x"}}]},
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f"}}]},
    ]
    for text in (json.dumps(messages), json.dumps({"messages": messages, "temperature": 0})):
        made = input_texts(text)
        assert made.overhead == 3 * 3 + 1 + 3
        assert made.texts == [
            "system", "example_user", "New synergies will help drive top-line growth.", "user", "Hi", "assistant",
            '[{"function":{"name":"f"}}]',
        ]  # fmt: skip


def test_the_cookbooks_example_has_its_count() -> None:
    """OpenAI's cookbook gives 124 tokens for these messages with gpt-4o and 129 with gpt-4-0613."""
    talk = [
        ("system", None, "You are a helpful, pattern-following assistant that translates corporate jargon into "
         "plain English."),
        ("system", "example_user", "New synergies will help drive top-line growth."),
        ("system", "example_assistant", "Things working well together will increase revenue."),
        ("system", "example_user", "Let's circle back when we have more bandwidth to touch base on opportunities "
         "for increased leverage."),
        ("system", "example_assistant", "Let's talk later when we're less busy about how to do better."),
        ("user", None, "This late pivot means we don't have time to boil the ocean for the client deliverable."),
    ]  # fmt: skip
    text = json.dumps([{"role": r, "content": c, **({"name": n} if n else {})} for r, n, c in talk])
    for model, expected in (("gpt-4o", 124), ("gpt-4-0613", 129)):
        counted = TokenCounter().count(model, call(input=text, end_time=1))
        assert counted is not None
        assert counted.usage["input"] == expected


@pytest.mark.parametrize("text", ['{"role": 3}', '[{"role": null}]', "[", "{}", "[]", '{"messages": "x"}', "[1, 2]"])
def test_what_is_no_chat_is_counted_as_text(text: str) -> None:
    assert input_texts(text) == ([text], 0) == output_texts(text)


def test_a_text_of_any_length_is_counted_in_bounded_time() -> None:
    counter = TokenCounter()
    whole = counter.count("gpt-4o", call(output="a" * tokens.MAX_CHARACTERS))
    began = time.perf_counter()
    longer = counter.count("gpt-4o", call(output="a" * (4 * tokens.MAX_CHARACTERS)))
    assert time.perf_counter() - began < 1  # the first quarter is remembered
    assert whole is not None
    assert longer is not None
    assert longer.usage["output"] == 4 * whole.usage["output"]
    assert longer.method == "tiktoken:o200k_base+scaled"


@pytest.mark.parametrize("blank", [" ", "\t", "\n", "\u00a0", " \n", "\u3000"])
@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4"])
def test_a_million_blanks_do_not_end_the_process(model: str, blank: str) -> None:
    counted = TokenCounter().count(
        model, Fields(type="GENERATION", input=blank * (MAX_CHARACTERS // len(blank)), output="x")
    )
    assert counted is not None
    assert counted.usage["input"] > 0


def test_pieces_cost_no_more_than_a_token_each() -> None:
    text = "the quick brown fox, " * (3 * PIECE // 21)
    whole = len(vocabulary.encoding("o200k_base").encode_ordinary(text))  # type: ignore[union-attr]
    assert 0 <= TokenCounter()._tokens("o200k_base", text) - whole <= 3


def test_lone_surrogates_and_special_tokens_are_text() -> None:
    for text in ("\ud800 broken", "<|endoftext|>", "\x00"):
        assert TokenCounter().count("gpt-4o", call(output=text)) is not None


def test_without_the_vocabulary_the_estimate_is_used_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "_data_file", lambda _: None)
    vocabulary._encoding.cache_clear()
    try:
        counted = TokenCounter().count("gpt-4o", call(output="x" * 400))
    finally:
        vocabulary._encoding.cache_clear()
    assert counted == ({"output": 100, "total": 100}, "bytes/4")


def test_a_priced_call_without_usage_is_marked_as_estimated() -> None:
    priced = ObservationPricer()(
        "p", call(model="gpt-4o", input="Hello world", output="Hi!", end_time=5), Micros(10**15)
    )
    assert (priced.usage_source, priced.usage_rule) == ("estimated", "tiktoken:o200k_base")
    assert priced.usage == {"input": 2, "output": 2, "total": 4}
    assert priced.cost_source == "computed"


def test_a_given_usage_or_cost_is_never_overwritten() -> None:
    text = {"model": "gpt-4o", "input": "Hello world", "output": "Hi!"}
    price = ObservationPricer()
    assert price("p", call(**text, usage={"input": 7}), Micros(10**15)).usage == {"input": 7, "total": 7}
    assert price("p", call(**text, cost={"total": Decimal(1)}), Micros(10**15)).usage == {}


def test_the_result_never_depends_on_what_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "KEPT", 3)
    counter = TokenCounter()
    small = [text for text in CORPUS if text and len(text) < 1000]
    expected = [TokenCounter().count("gpt-4o", call(output=text)) for text in small]
    counter.warm(Text("gpt-4o", text, False) for text in small)
    for _ in range(2):
        assert [counter.count("gpt-4o", call(output=text)) for text in small] == expected
        assert len(counter._young) <= 3
        assert len(counter._old) <= 3


async def test_texts_are_counted_off_the_loop_before_they_are_priced() -> None:
    counter = TokenCounter()
    prepare = Preparation(counter)
    await prepare([observation("a", model="gpt-4o", input="the prompt came first")])
    assert not counter._young
    await prepare([observation("a", output="then the answer")])
    assert len(counter._young) == 2
    await prepare([
        observation("b", model="gpt-4o", output="x", usage={"input": 1}),
        observation("c", model="claude", output="no tokenizer"),
        observation("d", output="no model"),
    ])  # fmt: skip
    assert len(counter._young) == 2
    assert not prepare._prompts


async def test_a_prompt_whose_usage_comes_is_forgotten_and_prompts_are_bounded() -> None:
    prepare = Preparation(TokenCounter())
    await prepare([observation("a", model="gpt-4o", input="x"), observation("a", usage={"input": 1}, output="y")])
    assert (len(prepare._prompts), prepare._kept) == (0, 0)
    await prepare([observation(str(n), model="gpt-4o", input="x" * 200_000) for n in range(60)])
    assert 0 < prepare._kept <= 16 * 2**20


async def test_the_loop_goes_on_while_a_megabyte_is_counted() -> None:
    counter = TokenCounter()
    counter.warm([Text("gpt-4o", "load the vocabulary", False)])
    prepare = Preparation(counter)
    text = "a long answer, word for word " * 35_000
    pauses = []
    work = asyncio.create_task(prepare([observation("a", model="gpt-4o", output=text)]))
    last = time.perf_counter()
    while not work.done():
        await asyncio.sleep(0)
        now = time.perf_counter()
        pauses.append(now - last)
        last = now
    await work
    assert len(pauses) > 10  # it was not one long pause: counting releases the interpreter


async def test_a_mistake_in_counting_stops_no_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    counter, said = TokenCounter(), " ".join(["a", "private", "sentence"])

    def broken(_: object) -> None:
        raise ZeroDivisionError(said)

    monkeypatch.setattr(counter, "warm", broken)
    with capture_logs() as logs:
        await Preparation(counter)([observation("a", model="gpt-4o", input="x"), observation("a", output="y")])
    assert [line["event"] for line in logs] == ["counting_failed"]
    assert said not in str(logs)
