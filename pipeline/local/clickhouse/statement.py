"""What kind of statement a text is, and where an INSERT ends and its data begins.

Problem: one HTTP body holds `INSERT INTO t (a) FORMAT Native`, a newline, and then bytes that are not text; chDB
wants statement, format and data apart.
Rule: read tokens as ClickHouse's lexer does (strings, quoted names, comments) until the word that decides. Data
begins after the first newline that follows the format's name, or after the blanks if there is none.
Fails: never; a text that is not understood is passed to the engine, whose parser writes the error.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

HEAD_BYTES = 256 * 1024
"""An INSERT's own text must end within this many bytes (ClickHouse's `max_query_size`)."""

_TOKEN = re.compile(
    rb"""(?P<blank>\s+|--[^\n]*|\#[ !][^\n]*|/\*.*?\*/)
       | '(?:[^'\\]|\\.|'')*' | `(?:[^`\\]|\\.|``)*` | "(?:[^"\\]|\\.|"")*"
       | [A-Za-z_]\w* | . """,
    re.DOTALL | re.VERBOSE,
)
_AFTER_FORMAT = re.compile(rb"[ \t\f]*;?[ \t\f]*(?:\r?\n)?")
_OUTPUT_FORMAT = re.compile(r"\bFORMAT\s+(?P<name>\w+)\s*(?:\bSETTINGS\s[^;]*)?[;\s]*$", re.IGNORECASE)
_TAIL_CHARS = 4096
_ANSWERED_IN_BLOCKS = frozenset({b"SELECT", b"WITH", b"FROM", b"("})
_CHANGES_SESSION = frozenset({b"SET", b"USE"})
_LIGHT = frozenset({b"KILL", b"SHOW", b"DESCRIBE", b"DESC", b"EXISTS", b"SET", b"USE"})


@dataclass(frozen=True, slots=True)
class InsertHead:
    """`INSERT INTO t (a)` without its FORMAT clause, the format's name, and where in the text the data begins."""

    sql: str
    format: str
    data_at: int


def split_insert(text: bytes) -> InsertHead | None:
    """Split `INSERT … FORMAT name <data>`; None for every other statement (VALUES and SELECT inserts too)."""
    words = _words(text[:HEAD_BYTES])
    before = b""
    inserts = False
    for word, begin, end, depth in words:
        if not before and word != b"INSERT":
            return None
        inserts = inserts or word == b"INTO"
        if (
            depth == 0
            and inserts
            and word in (b"SELECT", b"WITH", b"VALUES")
            and before not in (b"INTO", b"TABLE", b".")
        ):
            return None
        if depth == 0 and inserts and word == b"FORMAT" and before not in (b"INTO", b"TABLE", b"."):
            return _head(text, begin, end)
        before = word
    return None


def _head(text: bytes, begin: int, end: int) -> InsertHead | None:
    """The head, when the FORMAT clause stands at [begin, end) and a name follows."""
    for word, _, name_end, _ in _words(text[end:HEAD_BYTES]):
        if not word[:1].isalpha() or word == b"VALUES":
            return None
        after = _AFTER_FORMAT.match(text, end + name_end)
        name = text[end : end + name_end].split()[-1]
        return InsertHead(text[:begin].decode().strip(), name.decode(), after.end() if after else end + name_end)
    return None


def _words(text: bytes) -> Iterator[tuple[bytes, int, int, int]]:
    """The tokens that count, in upper case: (word, begin, end, depth of brackets before it)."""
    depth = 0
    for token in _TOKEN.finditer(text):
        if token["blank"] is not None:
            continue
        word = token[0]
        yield word.upper(), token.start(), token.end(), depth
        depth += (word == b"(") - (word == b")")


def insert_from_file(head: str, quoted_path: str, data_format: str) -> str:
    """The insert with this head (no FORMAT clause) whose data is in a file; SETTINGS must stand behind the file."""
    text = head.encode()
    at = next((begin for word, begin, _, depth in _words(text) if word == b"SETTINGS" and not depth), len(text))
    target, settings = text[:at].decode(), text[at:].decode()
    return f"{target} FROM INFILE {quoted_path} COMPRESSION 'none' {settings} FORMAT {data_format}"


def first_word(sql: str) -> bytes:
    """The first word of a statement in upper case, or `(`; empty when there is none."""
    head = sql[:HEAD_BYTES].encode(errors="surrogatepass")
    return next((word for word, *_ in _words(head)), b"")


def answers_in_blocks(sql: str) -> bool:
    """Whether the engine can hand out the answer block by block (only SELECT in its forms)."""
    return first_word(sql) in _ANSWERED_IN_BLOCKS


def changes_session(sql: str) -> bool:
    """Whether the statement changes settings or the database of its session."""
    return first_word(sql) in _CHANGES_SESSION


def is_light(sql: str) -> bool:
    """Whether the statement is done at once, and so need not queue behind slow ones (KILL least of all)."""
    return first_word(sql) in _LIGHT


def is_insert(sql: str) -> bool:
    """Whether the statement writes rows that it carries itself or selects."""
    return first_word(sql) == b"INSERT"


def output_format(sql: str) -> str:
    """The name in a closing `FORMAT name` clause; empty when there is none."""
    found = _OUTPUT_FORMAT.search(sql[-_TAIL_CHARS:])
    return found["name"] if found else ""
