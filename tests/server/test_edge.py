"""The edge: other origins, headers for browsers, slow bodies, secrets from files, logs without keys."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest

from server.middleware import POLICY
from server.quotas import Quotas
from server.settings import Settings
from tests.server.every_route import HELLO
from tests.server.served import Served

Serving = Callable[[Settings], AbstractContextManager[Served]]
PAGE = "https://app.example.com"


def made(data: Path, **given: object) -> Settings:
    return Settings(data_dir=data, encoder="hash", model="talker", **given)  # type: ignore[arg-type]


def test_other_origins_are_closed_by_default(served: Served) -> None:
    """No page of another origin reads an answer, and none may ask for more than a form can."""
    with served.client() as client:
        asked = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
        assert client.options("/v1/chat/completions", headers=asked).status_code == 405
        assert "access-control-allow-origin" not in client.get("/v1/models", headers=asked).headers


def test_every_answer_tells_browsers_what_it_may_do(served: Served) -> None:
    """Errors and unknown paths too; what a key opens is kept by nobody; the report keeps its own policy."""
    with served.client() as client:
        for path in ("/v1/models", "/v1/nothing", "/health/live", "/openapi.json"):
            headers = client.get(path).headers
            assert headers["content-security-policy"] == POLICY
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            assert headers["referrer-policy"] == "no-referrer"
            assert headers.get("cache-control", "") == ("no-store" if path.startswith("/v1") else "")
        assert "cdn.jsdelivr.net" in client.get("/docs").headers["content-security-policy"]
    assert "unsafe" not in POLICY


def test_what_nobody_foresaw_is_answered_like_the_rest(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With all headers and the request's id; what broke stands in the log alone."""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("seven by nothing")

    monkeypatch.setattr(Quotas, "spent", broken)
    with served.client() as client:
        answer = client.get("/v1/quotas", headers={"X-Request-Id": "mine-1"})
        well = client.get("/v1/models")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert "seven" not in answer.text
    assert "seven by nothing" in caplog.text
    assert answer.headers["X-Request-Id"] == "mine-1"
    assert {name for name in well.headers if name not in answer.headers} <= {"server-timing"}


def test_the_origins_that_are_listed_are_open(serving: Serving, tmp_path: Path) -> None:
    """Those alone, errors too; a page sees the headers it needs and sends no cookies."""
    with serving(made(tmp_path, cors_origins=f"{PAGE}, http://127.0.0.1:3000")) as served:
        with served.client() as client:
            asked = {
                "Origin": PAGE,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os",
            }
            before = client.options("/v1/chat/completions", headers=asked)
            assert (before.status_code, before.headers["access-control-allow-origin"]) == (200, PAGE)
            assert "x-stainless-os" in before.headers["access-control-allow-headers"]
            answer = client.post("/v1/chat/completions", json=HELLO, headers={"Origin": PAGE})
            assert answer.headers["access-control-allow-origin"] == PAGE
            assert "x-apprentice-episode" in answer.headers["access-control-expose-headers"].lower()
            assert "access-control-allow-credentials" not in answer.headers
            for origin in ("https://evil.test", f"{PAGE}.evil.test", "null"):
                other = client.get("/v1/models", headers={"Origin": origin})
                assert "access-control-allow-origin" not in other.headers
        wrong = httpx.get(f"{served.url}/v1/models", headers={"Origin": PAGE}, trust_env=False)
        assert (wrong.status_code, wrong.headers["access-control-allow-origin"]) == (401, PAGE)


def test_a_slow_body_is_given_up(serving: Serving, tmp_path: Path) -> None:
    """408 when it has not come in time, and the connection is done; a slow answer is waited for."""
    with serving(made(tmp_path, max_body_s=0.5)) as served:
        head = (
            f"POST /v1/memory/search HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {served.key()}\r\n"
            "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n"
        )
        host, port = served.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=20.0) as slow:
            slow.sendall(head.encode() + b'{"query":')
            answer = b"".join(iter(lambda: slow.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"did not come within 0.5 s" in answer
        with served.client() as client:
            body = {"world": "household", "site": "maple 27", "model": "slow", "wait": "finished"}
            task = client.post("/v1/tasks", json={**body, "budget": {"max_steps": 6}})
            assert task.json()["state"] == "done", task.text


def test_logs_hold_no_keys(
    serving: Serving, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever is logged, at any level, while keys are made, used well, used badly and revoked."""
    caplog.set_level(logging.DEBUG)
    with serving(made(tmp_path)) as served, served.client() as client:
        fresh = client.post("/v1/keys", json={"role": "user"}).json()
        secrets = [served.key(), fresh["secret"]]
        with httpx.Client(base_url=served.url, trust_env=False) as user:
            user.headers["Authorization"] = f"Bearer {fresh['secret']}"
            user.post("/v1/chat/completions", json=HELLO)
            user.post("/v1/chat/completions", content=b"{")
            secrets.append(client.post(f"/v1/keys/{fresh['id']}/rotate").json()["secret"])
            user.get("/v1/me")
            user.headers["Authorization"] = "Bearer apk_wrong-and-secret"
            user.get("/v1/me")
        client.delete(f"/v1/keys/{fresh['id']}")
        client.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
    out, err = capfd.readouterr()
    logged = "\n".join([out, err, *(record.getMessage() for record in caplog.records), caplog.text])
    for secret in [*secrets, "apk_wrong-and-secret"]:
        assert secret not in logged
    kept = "".join(path.read_text("utf-8") for path in tmp_path.glob("*.json"))
    assert not any(secret in kept for secret in secrets)
    assert json.loads((tmp_path / "keys.used.json").read_text("utf-8")).keys() >= {f"key:{fresh['id']}"}


def test_secrets_come_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a folder as containers mount it; the environment goes before it, and nothing prints them."""
    (tmp_path / "apprentice_memory_url").write_text("postgresql://u:hidden@h/n\n", "utf-8")
    (tmp_path / "apprentice_cors_origins").write_text("https://a.test,https://b.test", "utf-8")
    monkeypatch.setenv("APPRENTICE_SECRETS_DIR", str(tmp_path))
    settings = Settings()
    assert settings.memory_url is not None
    assert settings.memory_url.get_secret_value() == "postgresql://u:hidden@h/n"
    assert settings.cors_origins == ("https://a.test", "https://b.test")
    assert "hidden" not in repr(settings)
    monkeypatch.setenv("APPRENTICE_MEMORY_URL", "postgresql://other/n")
    from_environment = Settings().memory_url
    assert from_environment is not None
    assert from_environment.get_secret_value() == "postgresql://other/n"
