"""Credentials and the memory of the registry's answers."""

import asyncio
import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.ingest import directory as directory_module
from pipeline.ingest.answers import ApiError
from pipeline.ingest.auth import Credentials, parse_credentials
from pipeline.ingest.directory import Answers, Directory
from pipeline.registry import Organization, Project, Registry, open_registry

PROJECT = Project("p", "P", Organization("o", "O"), datetime.now(UTC))


def basic(text: bytes) -> str:
    return "Basic " + base64.b64encode(text).decode()


def test_basic_and_bearer_are_read() -> None:
    assert parse_credentials(basic(b"pk:sk:with:colons")) == Credentials("pk", "sk:with:colons")
    assert parse_credentials(basic(b"pk:")) == Credentials("pk", "")
    assert parse_credentials("bearer pk") == Credentials("pk", None)


@pytest.mark.parametrize(
    "header",
    [None, "", "Basic", "Basic %%%", "Bearer", "Bearer ", basic(b"nocolon"), basic(b":sk"), basic(b"\xff:x"),
     basic(b"p\x00k:sk"), "Digest abc", "Basic \u00e9"],
)  # fmt: skip
def test_what_is_no_credential_is_401(header: str | None) -> None:
    with pytest.raises(ApiError) as refused:
        parse_credentials(header)
    assert refused.value.status == 401


def test_answers_are_forgotten_by_age_and_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(directory_module, "monotonic", lambda: now)
    answers = Answers(5.0, limit=2)
    answers.put(("a", b""), PROJECT)
    assert answers.get(("a", b"")) == PROJECT
    now = 104.9
    assert answers.get(("a", b"")) == PROJECT
    now = 105.0
    assert answers.get(("a", b"")) is None
    for name in "bcd":
        answers.put((name, b""), PROJECT)
    assert [answers.get((name, b"")) for name in "bcd"] == [None, PROJECT, PROJECT]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    registry = open_registry(f"sqlite:///{tmp_path / 'registry.sqlite'}")
    registry.create_project("P", project_id="p")
    yield registry
    registry.close()


async def test_a_revoked_key_stops_working_when_its_answer_is_old(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(directory_module, "monotonic", lambda: now)
    key = registry.create_key("p")
    directory = Directory(registry)
    assert await directory.project_of(key.public_key, "wrong") is None
    found = await asyncio.gather(*[directory.project_of(key.public_key, key.secret_key) for _ in range(20)])
    assert {project.id for project in found if project} == {"p"}
    registry.revoke_key(key.public_key)
    assert await directory.project_of(key.public_key, key.secret_key) is not None
    now += directory_module.BELIEVE_YES
    assert await directory.project_of(key.public_key, key.secret_key) is None
    directory.close()


async def test_a_new_key_works_when_the_no_is_old(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(directory_module, "monotonic", lambda: now)
    directory = Directory(registry)
    assert await directory.project_of("pk-new", None) is None
    registry.create_key("p", public_key="pk-new")
    now += directory_module.BELIEVE_NO
    project = await directory.project_of("pk-new", None)
    assert project is not None
    directory.close()
