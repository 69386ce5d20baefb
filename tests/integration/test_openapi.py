"""Requests made up from the OpenAPI document, good and bad: no answer is a fault of ours, all are documented."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import content_type_conformance, status_code_conformance

from pipeline.config import Settings
from pipeline.ingest.app import create_app
from pipeline.ingest.openapi import OPERATIONS
from pipeline.local.kafka import LocalKafka
from tests.fixtures.front_door import Front, connected

DOCUMENT: Any = create_app(Settings(), None).openapi()  # type: ignore[arg-type]  # nothing is asked of the registry
NAMES = [(method, path) for path, methods in DOCUMENT["paths"].items() for method in methods]
CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance)
NOT_STORED = 501  # what exporters of logs and metrics are told, and shall not try again


def test_every_route_is_described() -> None:
    assert {(method.upper(), path) for method, path in NAMES} == set(OPERATIONS)
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"] and operation["responses"], f"{method} {path}"


@pytest.mark.stack
async def test_no_made_up_request_is_a_fault_of_the_front_door(kafka: LocalKafka, tmp_path: Path) -> None:
    async with connected(kafka, "openapi", tmp_path, find_score=_no_score) as front:
        base = str(front.client.base_url)
        document = schemathesis.openapi.from_dict((await front.client.get("/openapi.json")).json())
        document.config.update(base_url=base)
        for method, path in NAMES:
            operation = document[path][method.upper()]
            await asyncio.to_thread(_try_out, operation, GenerationMode.POSITIVE, front)
            if "requestBody" in DOCUMENT["paths"][path][method] and "/content" not in path:
                await asyncio.to_thread(_try_out, operation, GenerationMode.NEGATIVE, front)
        assert (await front.client.get("/health")).status_code == 200


async def _no_score(*_: Any) -> None:
    """No score is known."""


def _try_out(operation: Any, mode: GenerationMode, front: Front) -> None:
    headers = {"Authorization": front.client.headers["Authorization"]}

    @settings(
        max_examples=6, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def call(case: Any) -> None:
        response = case.call(headers=headers, timeout=20)
        if response.status_code != NOT_STORED:
            case.validate_response(response, checks=CHECKS)

    call()
