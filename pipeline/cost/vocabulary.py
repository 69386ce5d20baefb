"""Tokenizers of OpenAI's models without any network: tiktoken's code with the vocabularies of the package bpe-openai.

Problem: tiktoken downloads its vocabularies when they are first used. Rule: they are read from the data files of
bpe-openai instead (its compiled part is never loaded) and checked against the hash that tiktoken itself expects, so
counts are tiktoken's own. Failure: where the package is missing or its data differ, `encoding` answers None, says so
once in the log, and the stated estimate is used (tokens.py). Loading takes about half a second of CPU: call it from a
thread.
"""

import base64
import gzip
import hashlib
import threading
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import structlog
import tiktoken

log = structlog.get_logger(__name__)

_loading = threading.Lock()


class _Vocabulary(NamedTuple):
    pattern: str
    special: dict[str, int]
    sha256: str


# Patterns, special tokens and hashes as tiktoken publishes them (tiktoken_ext/openai_public.py, MIT licence).
# ruff: noqa: E501  # a pattern is one line
VOCABULARIES: dict[str, _Vocabulary] = {
    "cl100k_base": _Vocabulary(
        r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s""",
        {
            "<|endoftext|>": 100257,
            "<|fim_prefix|>": 100258,
            "<|fim_middle|>": 100259,
            "<|fim_suffix|>": 100260,
            "<|endofprompt|>": 100276,
        },
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    ),
    "o200k_base": _Vocabulary(
        "|".join(
            (
                r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?""",
                r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?""",
                r"""\p{N}{1,3}""",
                r""" ?[^\s\p{L}\p{N}]+[\r\n/]*""",
                r"""\s*[\r\n]+""",
                r"""\s+(?!\S)""",
                r"""\s+""",
            )
        ),
        {"<|endoftext|>": 199999, "<|endofprompt|>": 200018},
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    ),
}


def encoding(name: str) -> tiktoken.Encoding | None:
    """The encoding, loaded once; None where its vocabulary is not at hand."""
    with _loading:
        return _encoding(name)


@cache
def _encoding(name: str) -> tiktoken.Encoding | None:
    vocabulary = VOCABULARIES[name]
    path = _data_file(name)
    if path is None:
        log.warning("vocabulary_missing", name=name, remedy="Install bpe-openai; tokens are estimated until then.")
        return None
    data = gzip.decompress(path.read_bytes())
    if hashlib.sha256(data).hexdigest() != vocabulary.sha256:
        log.warning(
            "vocabulary_differs", name=name, remedy="Install bpe-openai 0.1.4; tokens are estimated until then."
        )
        return None
    pairs = (line.split() for line in data.splitlines() if line)
    ranks = {base64.b64decode(token): int(rank) for token, rank in pairs}
    return tiktoken.Encoding(name, pat_str=vocabulary.pattern, mergeable_ranks=ranks, special_tokens=vocabulary.special)


def _data_file(name: str) -> Path | None:
    """The vocabulary's file, found without importing the package."""
    spec = find_spec("bpe_openai")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / "data" / f"{name}.tiktoken.gz"
        if path.is_file():
            return path
    return None
