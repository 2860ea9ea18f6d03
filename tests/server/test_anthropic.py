"""Through litellm: its `openai/` provider, its Anthropic shape before us, Anthropic's models behind us."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from agent.models.hosted import LiteModel
from server.settings import Settings
from tests.agent.openai_server import Scripted, Service
from tests.server.served import Served

pytestmark = pytest.mark.slow  # seconds of imports
CLAUDE = "anthropic/claude-3-5-haiku-20241022"
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: Any = {
    "type": "function",
    "function": {"name": "weather", "description": "Of a city.", "parameters": PARAMETERS},
}
CLAUDE_WEATHER: Any = {"name": "weather", "description": "Of a city.", "input_schema": PARAMETERS}


@pytest.fixture
def upstream() -> Iterator[Service]:
    running = Service()
    LiteModel("openai/any", api_base=running.url).warm_up()
    yield running
    running.close()


def answers(*content: Any, stop: str = "end_turn") -> Scripted:
    """A message as Anthropic's API answers it."""
    return Scripted(
        body={
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude",
            "content": list(content),
            "stop_reason": stop,
            "stop_sequence": None,
            "usage": {"input_tokens": 11, "output_tokens": 5, "cache_read_input_tokens": 8},
        }
    )


def test_models_of_anthropic_answer_behind_us(
    serving: Callable[[Settings], AbstractContextManager[Served]], tmp_path: Path, upstream: Service
) -> None:
    """OpenAI's shape in, Anthropic's out, memory between; what a tool brings goes on in one episode."""
    host = upstream.url.removesuffix("/v1")
    settings = Settings(data_dir=tmp_path, encoder="hash", model=CLAUDE, port=0, endpoints={CLAUDE: host})
    call = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}}
    upstream.script = [
        answers({"type": "text", "text": "Let me see."}, call, stop="tool_use"),
        answers({"type": "text", "text": "It is mild."}),
    ]
    with serving(settings) as served, served.client() as http:
        http.post("/v1/memory", json={"items": [{"kind": "tool_note", "text": "the weather in Oslo: ask"}]})
        with OpenAI(base_url=f"{served.url}/v1", api_key=served.key(), max_retries=0, timeout=120) as client:
            messages: list[Any] = [{"role": "user", "content": "the weather in Oslo"}]
            first = client.chat.completions.create(model=CLAUDE, messages=messages, tools=[WEATHER])
            message = first.choices[0].message
            (made,) = message.tool_calls or ()
            assert (made.type, message.content) == ("function", "Let me see.")
            assert made.type == "function"
            assert json.loads(made.function.arguments) == {"city": "Oslo"}
            messages += [
                message.model_dump(exclude_none=True),
                {"role": "tool", "tool_call_id": made.id, "content": "mild"},
            ]
            second = client.chat.completions.create(model=CLAUDE, messages=messages, tools=[WEATHER])
    assert second.choices[0].message.content == "It is mild."
    assert second.usage is not None
    assert second.usage.completion_tokens == 5
    asked, again = upstream.requests
    assert asked["tools"][0]["name"] == "weather"
    assert "ask" in json.dumps(asked["messages"][0])
    used, brought = again["messages"][-2]["content"][-1], again["messages"][-1]["content"][0]
    assert (used["type"], brought["type"]) == ("tool_use", "tool_result")
    assert used["id"] == brought["tool_use_id"]
    episodes = [one.model_extra["apprentice"]["episode"] for one in (first, second)]  # type: ignore[index]
    assert episodes[0] == episodes[1]


async def test_the_openai_provider_of_litellm_finds_us(served: Served) -> None:
    """Whole, streamed, with a call; errors keep their classes."""
    import litellm

    ours: Any = {"model": "openai/talker", "api_base": f"{served.url}/v1", "api_key": served.key("lite")}
    hello = [{"role": "user", "content": "good day"}]
    answer: Any = await litellm.acompletion(**ours, messages=hello)
    assert answer.choices[0].message.content == "you said: good day"
    stream: Any = await litellm.acompletion(**ours, messages=hello, stream=True)
    assert "".join([c.choices[0].delta.content or "" async for c in stream]) == "you said: good day"
    called: Any = await litellm.acompletion(
        **ours, messages=[{"role": "user", "content": "the weather"}], tools=[WEATHER]
    )
    assert called.choices[0].message.tool_calls[0].function.name == "weather"
    with pytest.raises(litellm.exceptions.NotFoundError):
        await litellm.acompletion(**{**ours, "model": "openai/local:nobody"}, messages=hello, max_retries=0)
    with pytest.raises(litellm.exceptions.AuthenticationError):
        await litellm.acompletion(**{**ours, "api_key": "apk_wrong"}, messages=hello, max_retries=0)


async def test_the_anthropic_shape_of_litellm_finds_us(served: Served) -> None:
    """Anthropic's messages, translated on the way: words, a call, and what it brought, in one episode."""
    import litellm

    ours: Any = {
        "model": "openai/talker",
        "api_base": f"{served.url}/v1",
        "api_key": served.key("claude"),
        "max_tokens": 100,
        "tools": [CLAUDE_WEATHER],
    }
    messages: list[Any] = [{"role": "user", "content": "the weather"}]
    first: Any = await litellm.anthropic.messages.acreate(**ours, messages=messages)
    (call,) = [block for block in first["content"] if block["type"] == "tool_use"]
    assert (call["name"], call["input"], first["stop_reason"]) == ("weather", {"city": "Oslo"}, "tool_use")
    result = {"type": "tool_result", "tool_use_id": call["id"], "content": "mild"}
    messages += [{"role": "assistant", "content": first["content"]}, {"role": "user", "content": [result]}]
    second: Any = await litellm.anthropic.messages.acreate(**ours, messages=messages)
    assert second["content"][0]["text"] == "the weather is mild"
    with served.client("claude") as http:
        (episode,) = http.get("/v1/episodes").json()["data"]
    assert [m["role"] for m in episode["messages"]] == ["user", "assistant", "tool", "assistant"]
