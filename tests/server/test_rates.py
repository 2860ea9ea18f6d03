"""How often and how much at once: 429 with the headers that clients of OpenAI's API know."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest

from server import rates
from server.errors import Limited
from server.rates import Buckets, Places, Rates
from server.settings import Settings
from tests.server.every_route import HELLO
from tests.server.served import Served

Serving = Callable[[Settings], AbstractContextManager[Served]]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_holds_a_minute_and_fills_steadily() -> None:
    """What is refused takes nothing; a clock that jumps back gives nothing."""
    clock = Clock()
    some = Rates(6, None, clock)
    left = [some.take("home", "key:a") for _ in range(6)]
    assert [one.remaining for one in left if one] == [5, 4, 3, 2, 1, 0]
    for _ in range(3):
        with pytest.raises(Limited, match="this key sends too many") as told:
            some.take("home", "key:a")
        assert told.value.retry_after_s == pytest.approx(10.0)
    assert some.take("home", "key:b")
    clock.now += 9.9
    with pytest.raises(Limited):
        some.take("home", "key:a")
    clock.now += 0.2
    standing = some.take("home", "key:a")
    assert standing is not None
    assert standing.headers == {
        "x-ratelimit-limit-requests": "6",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "59.900s",
    }
    clock.now -= 500.0
    with pytest.raises(Limited):
        some.take("home", "key:a")


def test_a_namespace_has_a_bucket_beside_its_keys() -> None:
    """The tighter one is told; what one refuses is not taken from the other."""
    some = Rates(2, 3, Clock())
    assert [some.take("home", name).remaining for name in ("a", "b", "c")] == [1, 1, 0]  # type: ignore[union-attr]
    with pytest.raises(Limited, match="the namespace 'home'"):
        some.take("home", "d")
    assert some.take("away", "a") is not None
    keyed = Rates(1, 100, Clock())
    keyed.take("home", "a")
    for _ in range(5):
        with pytest.raises(Limited):
            keyed.take("home", "a")
    assert keyed.take("home", "b").remaining == 0  # type: ignore[union-attr]


def test_buckets_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever called longest ago is forgotten first."""
    monkeypatch.setattr(rates, "MOST_BUCKETS", 3)
    some = Buckets(10, Clock())
    for name in "abcabd":
        some.take(name)
    assert len(some) == 3
    assert some.take("b").remaining == 7
    assert some.take("c").remaining == 9


def test_places_are_given_back() -> None:
    """Also when what held one broke; each namespace has its own."""
    places = Places(1)
    with places.one("home"):
        with pytest.raises(Limited), places.one("home"):
            raise AssertionError
        with places.one("away"):
            pass
    with pytest.raises(ZeroDivisionError), places.one("home"):
        raise ZeroDivisionError
    with places.one("home"):
        pass


def test_over_http(serving: Serving, tmp_path: Path) -> None:
    """Every answer says how the caller stands; one too many is told when to come back, MCP's too."""
    settings = Settings(
        data_dir=tmp_path, encoder="hash", model="talker", requests_per_minute_key=5, requests_per_minute=8
    )
    with serving(settings) as served, served.client("home", "user") as one, served.client("home") as other:
        answers = [one.get("/v1/models") for _ in range(5)]
        assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == list("43210")
        refused = one.post("/mcp", json={})
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
        assert 1 <= int(refused.headers["Retry-After"]) <= 12
        assert [other.get("/v1/models").status_code for _ in range(4)] == [200, 200, 200, 429]
        assert "namespace 'home'" in other.get("/v1/models").text
        with httpx.Client(base_url=served.url, trust_env=False) as nobody:
            assert {nobody.get("/health/live").status_code for _ in range(20)} == {200}


def test_chats_of_a_namespace_at_once(serving: Serving, tmp_path: Path) -> None:
    """A stream holds its place to its end, also when the client leaves; other routes need none."""
    settings = Settings(data_dir=tmp_path, encoder="hash", model="slow", max_chats=1)
    with serving(settings) as served, served.client() as client, served.client("away") as away:
        slow = {**HELLO, "model": "slow"}
        began, statuses = threading.Event(), []

        def stream() -> None:
            with client.stream("POST", "/v1/chat/completions", json={**slow, "stream": True}) as answer:
                began.set()
                statuses.append(answer.status_code)
                answer.read()

        held = served.services.doorkeeper.places
        with held.one("home"):
            refused = client.post("/v1/chat/completions", json=slow)
            assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
            assert "being answered already" in refused.text
            assert client.get("/v1/models").status_code == 200
            assert away.post("/v1/chat/completions", json=slow).status_code == 200
        running = threading.Thread(target=stream)
        running.start()
        running.join(30.0)
        assert statuses == [200]
        assert client.post("/v1/chat/completions", json=slow).status_code == 200
