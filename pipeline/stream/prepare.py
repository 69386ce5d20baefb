"""What pricing will need and must not compute on the event loop: the token counts of calls that came without usage.

Between decoding and folding, the texts of finished calls whose model has a tokenizer are counted in a thread; pricing
then finds the counts. A call often comes as two events, the prompt first: prompts of models with a tokenizer are kept
until the answer comes, as many as fit into KEPT_BYTES. What is not kept is counted when it is priced: slower, the same.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from traceback import format_tb
from typing import NamedTuple

import structlog

from pipeline.cost.tokens import Text, TokenCounter, has_tokenizer, is_call, is_finished
from pipeline.events.model import Event, Kind, Record

log = structlog.get_logger(__name__)

KEPT_BYTES = 16 * 2**20
LONGEST_KEPT = 256 * 1024  # characters of one prompt

_OBSERVATION = Kind.OBSERVATION
_Key = tuple[str, str, str]


class _Prompt(NamedTuple):
    model: str
    text: str


class Preparation:
    """Call it with what a chunk was decoded to; returns when what they need is counted."""

    def __init__(self, counter: TokenCounter) -> None:
        self._counter = counter
        self._prompts: OrderedDict[_Key, _Prompt] = OrderedDict()
        self._kept = 0

    async def __call__(self, decoded: Iterable[tuple[Record, Iterable[Event]]]) -> None:
        """Count in a thread; at once, without one, where there is nothing to count, which is the common case."""
        texts: list[Text] = []
        try:
            for _, events in decoded:
                for event in events:
                    if event.kind is _OBSERVATION and (self._prompts or "model" in event.fields):
                        texts += self._texts(event)
            if texts:
                await asyncio.to_thread(self._counter.warm, texts)
        except Exception as error:  # our own mistake: pricing counts by itself, and fails for the one trace alone
            log.error("counting_failed", error=type(error).__name__, where="".join(format_tb(error.__traceback__)))

    def _texts(self, event: Event) -> list[Text]:
        """What to count for an event; a prompt whose answer has yet to come is kept instead."""
        fields = event.fields
        model = fields.get("model", "")
        key = (event.project_id, event.trace_id, event.entity_id)
        if fields.get("usage") or fields.get("cost"):
            if self._prompts:
                self._forget(key)
            return []
        if not model and key in self._prompts:
            model = self._prompts[key].model
        if not model or not has_tokenizer(model) or not is_call(fields):
            return []
        prompt = fields.get("input", "")
        if not is_finished(fields):
            self._keep(key, _Prompt(model, prompt))
            return []
        before = self._forget(key)
        texts = (Text(model, prompt or before, True), Text(model, fields.get("output", ""), False))
        return [text for text in texts if text.text]

    def _keep(self, key: _Key, prompt: _Prompt) -> None:
        if len(prompt.text) > LONGEST_KEPT:
            return
        if key in self._prompts:
            self._forget(key)
        self._prompts[key] = prompt
        self._kept += _size(prompt)
        while self._kept > KEPT_BYTES:
            self._forget(next(iter(self._prompts)))

    def _forget(self, key: _Key) -> str:
        prompt = self._prompts.pop(key, None)
        if prompt is None:
            return ""
        self._kept -= _size(prompt)
        return prompt.text


def _size(prompt: _Prompt) -> int:
    return 500 + 4 * len(prompt.text)  # an entry, and characters of up to four bytes
