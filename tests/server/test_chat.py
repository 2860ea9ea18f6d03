"""Chat with the real `openai` client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from tests.server.served import Served

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


@pytest.fixture(scope="module")
def chat(served: Served) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{served.url}/v1", api_key=served.key("chat"), max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def http(served: Served) -> Iterator[httpx.Client]:
    with served.client("chat") as client:
        yield client


def say(text: str) -> Any:
    return [{"role": "user", "content": text}]


def test_an_answer_comes_with_usage_and_its_episode(chat: OpenAI, http: httpx.Client) -> None:
    """The episode holds the conversation; nobody knows yet how it went."""
    raw = chat.chat.completions.with_raw_response.create(model="talker", messages=say("good day"))
    answer = raw.parse()
    assert answer.choices[0].message.content == "you said: good day"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0
    episode = http.get(f"/v1/episodes/{raw.headers['X-Apprentice-Episode']}").json()
    assert (episode["outcome"], episode["task"], episode["world"]) == ("unknown", "good day", "chat")
    assert [m["role"] for m in episode["messages"]] == ["user", "assistant"]


def test_a_stream_says_the_same_piece_by_piece(chat: OpenAI) -> None:
    """Several pieces, then the reason of the end, then usage because it was asked for."""
    chunks = list(
        chat.chat.completions.create(
            model="talker",
            messages=say("count"),
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    texts = [c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content]
    assert "".join(texts) == "one two three"
    assert len(texts) == 3
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 3


def test_memory_is_recalled_for_the_last_user_message(chat: OpenAI, http: httpx.Client) -> None:
    """What was remembered through the API is in the answer; with the header `off` it is not."""
    note = {"kind": "tool_note", "text": "the spare key hangs behind the blue door"}
    item = http.post("/v1/memory", json={"items": [note]}).json()["data"][0]
    asked = say("where does the spare key hang")
    with_memory = chat.chat.completions.create(model="talker", messages=asked)
    assert "blue door" in (with_memory.choices[0].message.content or "")
    assert with_memory.model_extra is not None
    assert with_memory.model_extra["apprentice"]["items"] == [item["id"]]
    off = chat.chat.completions.with_raw_response.create(
        model="talker", messages=asked, extra_headers={"X-Apprentice-Memory": "off"}
    )
    assert "blue door" not in (off.parse().choices[0].message.content or "")
    assert "X-Apprentice-Episode" not in off.headers


def test_off_records_nothing(chat: OpenAI, http: httpx.Client) -> None:
    """The number of episodes stays as it was."""
    before = http.get("/v1/episodes", params={"limit": 500}).json()["data"]
    answer = chat.chat.completions.create(
        model="talker", messages=say("hello there"), extra_headers={"X-Apprentice-Memory": "off"}
    )
    assert answer.model_extra is not None
    assert answer.model_extra["apprentice"]["episode"] is None
    assert http.get("/v1/episodes", params={"limit": 500}).json()["data"] == before


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_of_the_client_is_called_and_its_result_continues_the_episode(
    chat: OpenAI, http: httpx.Client, stream: bool
) -> None:
    """The call comes back to the client; the result goes in with the next request; one episode holds both."""
    messages = say(f"what is the weather in Oslo, stream {stream}")
    if stream:
        chunks = list(
            chat.chat.completions.create(model="talker", messages=messages, tools=[WEATHER], stream=True)
        )
        pieces = [d for c in chunks for d in c.choices[0].delta.tool_calls or []]
        assert chunks[-1].choices[0].finish_reason == "tool_calls"
        call_id, name, arguments = pieces[0].id, pieces[0].function.name, pieces[0].function.arguments  # type: ignore[union-attr]
    else:
        answer = chat.chat.completions.create(model="talker", messages=messages, tools=[WEATHER])
        assert answer.choices[0].finish_reason == "tool_calls"
        call: Any = answer.choices[0].message.tool_calls[0]  # type: ignore[index]
        call_id, name, arguments = call.id, call.function.name, call.function.arguments
    assert (name, arguments) == ("weather", '{"city": "Oslo"}')
    asked = {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
    messages += [
        {"role": "assistant", "content": None, "tool_calls": [asked]},
        {"role": "tool", "tool_call_id": call_id, "content": "mild"},
    ]
    raw = chat.chat.completions.with_raw_response.create(model="talker", messages=messages, tools=[WEATHER])
    assert raw.parse().choices[0].message.content == "the weather is mild"
    episode = http.get(f"/v1/episodes/{raw.headers['X-Apprentice-Episode']}").json()
    assert [m["role"] for m in episode["messages"]][-4:] == ["user", "assistant", "tool", "assistant"]
    assert episode["steps"] == 1
    assert [tool["name"] for tool in episode["tools"]] == ["weather"]


def test_a_tool_result_out_of_the_blue_starts_an_episode_of_its_own(chat: OpenAI) -> None:
    """Call ids of nobody's episode, or of another conversation, lead nowhere."""
    messages: Any = [
        {"role": "user", "content": "hm"},
        {
            "role": "assistant",
            "tool_calls": [
                {"id": "call_00ff_0", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": "call_00ff_0", "content": "wet"},
    ]
    raw = chat.chat.completions.with_raw_response.create(model="talker", messages=messages)
    assert raw.parse().choices[0].message.content == "the weather is wet"
    assert raw.headers["X-Apprentice-Episode"] != "ep_00ff"


def test_several_answers_are_numbered(chat: OpenAI) -> None:
    """`n` of them, usage summed."""
    answer = chat.chat.completions.create(model="talker", messages=say("count"), n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]


def test_feedback_on_a_chat_is_kept_with_its_episode(chat: OpenAI, http: httpx.Client) -> None:
    """Late word gives the outcome."""
    raw = chat.chat.completions.with_raw_response.create(model="talker", messages=say("praise me"))
    episode = raw.headers["X-Apprentice-Episode"]
    said = {"outcome": "failure", "values": {"helpful": False}}
    assert http.post(f"/v1/episodes/{episode}/feedback", json=said).json()["outcome"] == "failure"
    assert http.get(f"/v1/episodes/{episode}").json()["feedback"] == {"helpful": False}


def test_an_unknown_model_is_told_as_openai_does(chat: OpenAI) -> None:
    """404 with the code the client knows."""
    with pytest.raises(openai.NotFoundError) as caught:
        chat.chat.completions.create(model="local:nobody", messages=say("hello"))
    assert caught.value.code == "model_not_found"


def test_a_wrong_key_is_told_as_openai_does(served: Served) -> None:
    """401."""
    with (
        OpenAI(base_url=f"{served.url}/v1", api_key="apk_wrong", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError),
    ):
        stranger.models.list()


def test_the_models_are_listed(chat: OpenAI) -> None:
    """Those that can be named, the default marked."""
    models = {model.id: model for model in chat.models.list()}
    assert {"looker", "slow", "talker"} <= set(models)
    assert models["looker"].model_extra is not None
    assert models["looker"].model_extra["default"] is True


def test_a_schema_reaches_the_model(served: Served, chat: OpenAI) -> None:
    """`response_format` becomes the schema of the request."""
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}}
    chat.chat.completions.create(
        model="talker",
        messages=say("count"),
        response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": schema}},
    )
    # Reflection asks the same model, maybe already.
    assert schema in [asked.schema for asked in served.models["talker"].history]


def test_a_call_that_is_asked_for_is_made(chat: OpenAI) -> None:
    """`required` and a name; asked for without tools it is refused."""
    asked = say("good day")
    lamp: Any = {
        "type": "function",
        "function": {
            "name": "lamp",
            "parameters": {
                "type": "object",
                "properties": {"state": {"enum": ["on"]}},
                "required": ["state"],
            },
        },
    }
    named: Any = {"type": "function", "function": {"name": "lamp"}}
    for stream in (False, True):
        answer: Any = chat.chat.completions.create(
            model="obliging", messages=asked, tools=[WEATHER, lamp], tool_choice=named, stream=stream
        )
        if stream:
            calls = [d for c in answer for d in c.choices[0].delta.tool_calls or []]
        else:
            calls = answer.choices[0].message.tool_calls
        assert [(c.function.name, c.function.arguments) for c in calls] == [("lamp", '{"state": "on"}')]
    with pytest.raises(openai.APIStatusError) as failed:
        chat.chat.completions.create(
            model="talker", messages=say("hello"), tools=[lamp], tool_choice="required"
        )
    assert "made no call that can be used" in failed.value.message
    with pytest.raises(openai.BadRequestError, match="there are no tools"):
        chat.chat.completions.create(model="talker", messages=asked, tool_choice="required")
