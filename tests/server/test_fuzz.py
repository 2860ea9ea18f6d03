"""Requests made up from the OpenAPI document: none breaks the server, answers are as the document says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS

from server.app import create_app
from server.settings import Settings
from server.wiring import build
from tests.server import scripted_server
from tests.server.served import Served, serve

# The server's threads draw random numbers while requests are made up, which is none of theirs.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")

DOCUMENT = create_app(build(Settings())).openapi()
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
LONG = {
    "POST /v1/distillations",
    "POST /v1/constitution/builds",
    "POST /v1/flows/improvements",
    "POST /v1/proposals",
    "POST /v1/health/learning/canary",
}
"""What sets agents or training to work for minutes; other tests send them what is wrong."""
OPERATIONS = {one.ok().label: one.ok() for one in SCHEMA.get_all_operations() if one.ok().label not in LONG}
NAMES = "not_a_server_error status_code_conformance content_type_conformance response_schema_conformance"
KEPT = CHECKS.get_by_names(NAMES.split())


@schemathesis.serializer("application/x-tar", "application/jsonl")
def as_it_is(_context: schemathesis.SerializationContext, value: object) -> bytes:
    """Files are sent as any bytes."""
    return value if isinstance(value, bytes) else str(value).encode()


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that nothing made up can make call anybody."""
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("data"),
        encoder="hash",
        model="talker",
        hosted_models=(),
        job_poll_s=0.02,
        max_wait_s=1.0,
    )
    models = scripted_server.models()
    with serve(scripted_server.make(settings, models), models) as served:
        yield served


@pytest.fixture(scope="module")
def session(fuzzed: Served) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {fuzzed.key('fuzz')}"
        yield session


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("label", list(OPERATIONS))
def test_nothing_made_up_breaks_the_server(
    fuzzed: Served, session: requests.Session, label: str, mode: GenerationMode
) -> None:
    """What keeps to the document, and what breaks it in one place."""
    fuzz(fuzzed, session, label, mode, examples=1)


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("label", list(OPERATIONS))
def test_nothing_made_up_breaks_the_server_for_longer(
    fuzzed: Served, session: requests.Session, label: str, mode: GenerationMode
) -> None:
    """The same with more of it."""
    fuzz(fuzzed, session, label, mode, examples=60)


def fuzz(
    served: Served, session: requests.Session, label: str, mode: GenerationMode, *, examples: int
) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=OPERATIONS[label].as_strategy(generation_mode=mode))
    def holds(case: Any) -> None:
        answer = case.call(base_url=served.url, session=session, timeout=30.0)
        case.validate_response(answer, checks=KEPT)

    with suppress(Unsatisfiable):  # nothing in it can be wrong
        holds()
