"""Pictures in chats: to a hosted model's wire, into the episode, and never into a question to memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from agent.models.hosted import LiteModel
from memory.nouns.messages import LARGEST_KEPT
from server.settings import Settings
from tests.agent.openai_server import Service, says
from tests.server.served import Served

SMALL = "data:image/png;base64,AAAA"
LARGE = "data:image/png;base64," + "A" * LARGEST_KEPT
FAR = "https://example.com/cat.png"
LOOK: Any = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {"at": {"enum": ["it"]}}}},
}


@pytest.fixture
def eyes() -> Iterator[Service]:
    running = Service()
    # Seconds of imports, which would hold up the server.
    LiteModel("openai/eyes", api_base=running.url).warm_up()
    yield running
    running.close()


def asks(*urls: str) -> dict[str, Any]:
    pictures = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return {"role": "user", "content": [{"type": "text", "text": "what is on the mat?"}, *pictures]}


def urls(message: dict[str, Any]) -> list[str]:
    return [part["image_url"]["url"] for part in message["content"] if part["type"] == "image_url"]


@pytest.mark.slow
def test_a_model_sees_them_an_episode_keeps_them_and_memory_is_asked_in_words(
    serving: Callable[[Settings], AbstractContextManager[Served]], tmp_path: Path, eyes: Service
) -> None:
    """Large ones by their digest; they are whole again when the client goes on."""
    settings = Settings(
        data_dir=tmp_path, encoder="hash", model="openai/eyes", port=0, endpoints={"openai/eyes": eyes.url}
    )
    call = {"id": "x", "type": "function", "function": {"name": "look", "arguments": '{"at": "it"}'}}
    eyes.script = [says("", calls=[call], finish="tool_calls"), says("a cat")]
    with serving(settings) as served, served.client() as http:
        http.timeout = 120
        http.post("/v1/memory", json={"items": [{"kind": "tool_note", "text": "the cat is on the mat"}]})
        question = asks(SMALL, LARGE, FAR)
        body = {"messages": [question], "tools": [LOOK], "tool_choice": "required"}
        first = http.post("/v1/chat/completions", json=body)
        assert first.status_code == 200, first.text
        assert urls(eyes.requests[0]["messages"][-1]) == [SMALL, LARGE, FAR]
        assert eyes.requests[0]["tool_choice"] == "required"
        assert len(first.json()["apprentice"]["items"]) == 1
        name = first.json()["apprentice"]["episode"]
        episode = http.get(f"/v1/episodes/{name}").json()
        assert episode["recall"]["query"]["text"] == "what is on the mat?"
        assert episode["task"] == "what is on the mat?"
        kept = [part["url"] for part in _asked(episode)["content"] if "url" in part]
        assert (kept[0], kept[2]) == (SMALL, FAR)
        assert kept[1].startswith("urn:sha256:")
        answer = first.json()["choices"][0]["message"]
        result = {"role": "tool", "tool_call_id": answer["tool_calls"][0]["id"], "content": "fur"}
        second = http.post(
            "/v1/chat/completions", json={"messages": [question, answer, result], "tools": [LOOK]}
        )
        assert second.json()["choices"][0]["message"]["content"] == "a cat"
        assert second.json()["apprentice"]["episode"] == name
        seen = next(m for m in eyes.requests[1]["messages"] if isinstance(m["content"], list))
        assert urls(seen) == [SMALL, LARGE, FAR]
        for bad in ("http://10.0.0.1/a.png", "file:///etc/passwd", "data:text/html;base64,AA=="):
            refused = http.post("/v1/chat/completions", json={"messages": [asks(bad)]})
            assert refused.status_code == 400, bad
        blind = http.post("/v1/chat/completions", json={"model": "local:tiny", "messages": [asks(SMALL)]})
        assert blind.status_code == 400
        assert "reads text only" in blind.json()["error"]["message"]


def _asked(episode: dict[str, Any]) -> dict[str, Any]:
    return next(m for m in episode["messages"] if isinstance(m["content"], list))
