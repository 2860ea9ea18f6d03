"""The OpenAPI document is worth reading: every route, parameter, field and setting says what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from server.app import create_app
from server.settings import Settings
from server.wiring import build

DOCUMENT: dict[str, Any] = create_app(build(Settings(data_dir=Path("nowhere")))).openapi()
OPERATIONS = [
    (f"{method.upper()} {path}", operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]


@pytest.mark.parametrize(("name", "operation"), OPERATIONS)
def test_every_route_says_what_it_does(name: str, operation: dict[str, Any]) -> None:
    """A summary of its own, a description, a tag, answers and the shape of errors."""
    assert operation["summary"]
    assert operation["summary"] != operation["operationId"]
    assert operation["description"].strip()
    assert operation["tags"]
    assert "4XX" in operation["responses"]


def test_every_schema_of_ours_says_what_it_is() -> None:
    """Nothing but the framework's own goes without a description."""
    silent = {
        name
        for name, schema in DOCUMENT["components"]["schemas"].items()
        if not schema.get("description") and "enum" not in schema
    }
    assert silent <= {
        "Json",
        "Json-Input",
        "Json-Output",
        "JsonValue",
        "HTTPValidationError",
        "ValidationError",
    }


def test_every_setting_says_what_it_means() -> None:
    """As the command `settings` prints it."""
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_settings_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists are comma-separated, maps are JSON."""
    monkeypatch.setenv("APPRENTICE_HOSTED_MODELS", "openai/*, anthropic/*")
    monkeypatch.setenv("APPRENTICE_ENDPOINTS", '{"hosted_vllm/x": "http://127.0.0.1:1/v1"}')
    monkeypatch.setenv("APPRENTICE_PORT", "9000")
    settings = Settings()
    assert settings.hosted_models == ("openai/*", "anthropic/*")
    assert settings.endpoints == {"hosted_vllm/x": "http://127.0.0.1:1/v1"}
    assert settings.port == 9000
