"""Any client that only changes its base URL: what it may send, what errors it meets, what it is told."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from agent.models.scripted import FunctionModel
from agent.types import Delta, Request
from memory.errors import ContextExceeded, Throttled
from memory.types import Message, ToolCall
from server.settings import Settings
from tests.server import scripted_server
from tests.server.served import Served, serve

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
reflecting = threading.Event()
"""Set once the learner has begun to think."""
released = threading.Event()
"""Until it is set, the learner thinks."""
WAIT_S = 10.0


class Person(BaseModel):
    name: str
    age: int


async def speak(messages: tuple[Message, ...]) -> str | Message:
    """Chats; reflects until it is let go; fails as it is told to."""
    if "Look back at this episode" in messages[0].text:
        reflecting.set()
        await asyncio.to_thread(released.wait, WAIT_S)
        return '{"lessons": []}'
    last = messages[-1]
    if "too long" in last.text:
        raise ContextExceeded("'speaker': the prompt is 9000 tokens, maximum context length is 4096")
    if "too many" in last.text:
        raise Throttled("'speaker': no room")
    if last.role == "tool":
        return f"the weather is {last.text}"
    if "weather" in last.text:
        return Message("assistant", "", tool_calls=(ToolCall("x", "weather", {"city": "Oslo"}),))
    if "person" in last.text:
        return '{"name": "Ann", "age": 7}'
    return f"you said: {last.text}"


class Endless(FunctionModel):
    """Counts until nobody listens any more."""

    def __init__(self) -> None:
        super().__init__(lambda _: "never", name="endless", style="full")
        self.stopped = threading.Event()

    async def stream(self, request: Request) -> AsyncIterator[Delta]:
        self.history.append(request)
        try:
            for number in range(1_000_000):
                yield Delta(f"{number} ")
                await asyncio.sleep(0.01)
        finally:
            self.stopped.set()


@pytest.fixture(scope="module")
def speaking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    models = {"speaker": FunctionModel(speak, name="speaker", style="full"), "endless": Endless()}
    data = tmp_path_factory.mktemp("data")
    settings = Settings(data_dir=data, encoder="hash", model="speaker", job_poll_s=0.02, port=0)
    with serve(scripted_server.make(settings, models), models) as served:
        yield served


@pytest.fixture(scope="module")
def client(speaking: Served) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{speaking.url}/v1", api_key=speaking.key("any"), max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def http(speaking: Served) -> Iterator[httpx.Client]:
    with speaking.client("any") as client:
        yield client


def say(text: str) -> Any:
    return [{"role": "user", "content": text}]


def test_harmless_fields_are_taken(client: OpenAI) -> None:
    """Also nulls, and what asks for nothing."""
    answer = client.chat.completions.create(
        model="speaker",
        messages=say("hello"),
        user="ann",
        metadata={"run": "7"},
        store=True,
        seed=7,
        stop=["\n\n"],
        service_tier="auto",
        max_completion_tokens=50,
        logprobs=False,
        logit_bias={},
        modalities=["text"],
        top_p=0.9,
        presence_penalty=0.1,
        reasoning_effort="low",
        prediction=None,
        extra_body={"tools": None, "n": None, "stream_options": None, "temperature": None, "never_heard": 1},
    )
    assert answer.choices[0].message.content == "you said: hello"


@pytest.mark.parametrize(
    ("field", "value", "remedy"),
    [
        ("logprobs", True, "leave it out"),
        ("top_logprobs", 3, "leave it out"),
        ("logit_bias", {"50256": -100}, "JSON schema"),
        ("modalities", ["text", "audio"], "text alone"),
        ("audio", {"voice": "alloy", "format": "wav"}, "text alone"),
        ("functions", [{"name": "weather"}], "`tools`"),
        ("function_call", {"name": "weather"}, "`tool_choice`"),
        ("web_search_options", {"search_context_size": "low"}, "tool that searches"),
    ],
)
def test_what_would_change_the_answer_is_refused(client: OpenAI, field: str, value: Any, remedy: str) -> None:
    """400, with the field and what to do instead."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="speaker", messages=say("hello"), extra_body={field: value})
    assert remedy in caught.value.message
    assert caught.value.param == field


def test_errors_are_those_of_the_client(client: OpenAI, speaking: Served) -> None:
    """By their classes and codes."""

    def fails(kind: type[openai.APIStatusError], code: str, text: str = "hello", **other: Any) -> None:
        with pytest.raises(kind) as caught:
            client.chat.completions.create(**{"model": "speaker", "messages": say(text), **other})
        assert type(caught.value) is kind
        assert caught.value.code == code

    fails(openai.BadRequestError, "invalid_value", temperature=9)
    fails(openai.BadRequestError, "invalid_value", messages=[])
    fails(openai.BadRequestError, "context_length_exceeded", "this is too long")
    fails(openai.BadRequestError, "context_length_exceeded", "this is too long", stream=True)
    fails(openai.NotFoundError, "model_not_found", model="nobody")
    fails(openai.RateLimitError, "rate_limit_exceeded", "these are too many")
    sound: Any = [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]
    fails(openai.BadRequestError, "invalid_value", messages=[{"role": "user", "content": sound}])
    with (
        OpenAI(base_url=f"{speaking.url}/v1", api_key="apk_wrong", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError),
    ):
        stranger.chat.completions.create(model="speaker", messages=say("hello"))
    reader = speaking.key("any", "read-only")
    with (
        OpenAI(base_url=f"{speaking.url}/v1", api_key=reader, max_retries=0) as reading,
        pytest.raises(openai.PermissionDeniedError),
    ):
        reading.chat.completions.create(model="speaker", messages=say("hello"))


def test_models_are_found_by_name(client: OpenAI) -> None:
    """One of the list; one that is not there is a 404."""
    assert client.models.retrieve("speaker").id == "speaker"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("local:nobody")


def test_a_form_is_parsed(client: OpenAI) -> None:
    """`parse` sends a strict schema and reads the object."""
    parsed = client.chat.completions.parse(model="speaker", messages=say("a person"), response_format=Person)
    assert parsed.choices[0].message.parsed == Person(name="Ann", age=7)


def test_the_helpers_of_the_client_put_a_stream_together(client: OpenAI) -> None:
    """Words, calls and usage, as events of its own."""
    with client.chat.completions.stream(
        model="speaker",
        messages=say("the weather"),
        tools=[WEATHER],
        stream_options={"include_usage": True},
    ) as stream:
        final = stream.get_final_completion()
    (call,) = final.choices[0].message.tool_calls or ()
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "Oslo"})
    assert final.choices[0].finish_reason == "tool_calls"
    assert final.usage is not None


async def test_the_asynchronous_client_runs_many(speaking: Served) -> None:
    """Eight at once, each with its own answer."""
    async with AsyncOpenAI(base_url=f"{speaking.url}/v1", api_key=speaking.key("any")) as client:
        answers = await asyncio.gather(
            *(client.chat.completions.create(model="speaker", messages=say(f"n {n}"), n=2) for n in range(8))
        )
    assert [[c.message.content for c in one.choices] for one in answers] == [
        [f"you said: n {n}"] * 2 for n in range(8)
    ]


def test_what_each_stage_took_is_told(client: OpenAI, http: httpx.Client) -> None:
    """In a header; of a stream, which cannot know yet, at its end; and by `/metrics`."""
    raw = client.chat.completions.with_raw_response.create(model="speaker", messages=say("hello"))
    told = dict(re.findall(r"(\w+);dur=([\d.]+)", raw.headers["Server-Timing"]))
    assert list(told) == ["recall", "model", "record"]
    timing = raw.parse().model_extra["apprentice"]["timing"]  # type: ignore[index]
    assert {stage: float(ms) for stage, ms in told.items()} == timing
    with client.chat.completions.with_raw_response.create(
        model="speaker", messages=say("hello"), stream=True
    ).parse() as stream:
        assert stream.response.headers["Server-Timing"].startswith("recall;dur=")
        last = list(stream)[-1]
    assert list(last.model_extra["apprentice"]["timing"]) == ["recall", "model", "record"]  # type: ignore[index]
    metrics = http.get("/metrics").text
    for stage in told:
        assert f'apprentice_chat_stage_seconds_count{{stage="{stage}"}}' in metrics


def test_a_learner_that_thinks_delays_no_reply(client: OpenAI, http: httpx.Client) -> None:
    """While it thinks about one chat, others are answered and given feedback on."""
    raw = client.chat.completions.with_raw_response.create(model="speaker", messages=say("learn from this"))
    reflecting.clear()
    released.clear()
    try:
        http.post(f"/v1/episodes/{raw.headers['X-Apprentice-Episode']}/feedback", json={"outcome": "failure"})
        assert reflecting.wait(WAIT_S)
        for number in range(4):
            answer = client.chat.completions.create(model="speaker", messages=say(f"meanwhile {number}"))
            name = answer.model_extra["apprentice"]["episode"]  # type: ignore[index]
            http.post(f"/v1/episodes/{name}/feedback", json={"outcome": "success"})
        # It has thought all the while, and four more wait for it.
        assert not released.is_set()
        assert http.get("/v1/health/learning").json()["waiting"] == 5
    finally:
        released.set()
    deadline = time.monotonic() + WAIT_S
    while http.get("/v1/health/learning").json()["waiting"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("path", ["chat/completions", "responses", "rollout/cut/chat/completions"])
def test_a_client_that_leaves_stops_the_model_and_leaves_an_honest_episode(
    http: httpx.Client, speaking: Served, path: str
) -> None:
    """What it was told until then, marked as cut off; it trains nothing."""
    model = speaking.models["endless"]
    assert isinstance(model, Endless)
    model.stopped.clear()
    asked = {"input": "count"} if path == "responses" else {"messages": say("count")}
    seen = b""
    with http.stream("POST", f"/v1/{path}", json={"model": "endless", "stream": True, **asked}) as answer:
        for piece in answer.iter_bytes():
            seen += piece
            if b"7 " in seen:
                break
        name = answer.headers["X-Apprentice-Episode"]
    assert model.stopped.wait(WAIT_S)
    deadline = time.monotonic() + WAIT_S
    while (found := http.get(f"/v1/episodes/{name}")).status_code == 404:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    episode = found.json()
    last = episode["messages"][-1]
    assert (episode["outcome"], episode["error"]) == (
        "unknown",
        "the client left before the end of the answer",
    )
    assert last["content"].startswith("0 1 2 3 4 5 6 7 ")
    assert len(last["content"]) < 2000
    assert (last["role"], last["weight"]) == ("assistant", 0.0)
    assert episode["usage"]["completion_tokens"] == len(last["content"].split())


def test_langchain_needs_no_more_than_the_address(speaking: Served, http: httpx.Client) -> None:
    """Whole, streamed, with tools and with a form; a result of a tool continues the episode."""
    from langchain_core.messages import HumanMessage, ToolMessage
    from langchain_openai import ChatOpenAI
    from pydantic import SecretStr

    model = ChatOpenAI(
        model="speaker", base_url=f"{speaking.url}/v1", api_key=SecretStr(speaking.key("any")), max_retries=0
    )
    assert model.invoke("hello").content == "you said: hello"
    assert "".join(str(piece.content) for piece in model.stream("one two")) == "you said: one two"
    tooled = model.bind_tools([WEATHER])
    question = HumanMessage("the weather")
    asked = tooled.invoke([question])
    (call,) = asked.tool_calls
    assert (call["name"], call["args"]) == ("weather", {"city": "Oslo"})
    said = tooled.invoke([question, asked, ToolMessage("mild", tool_call_id=call["id"])])
    assert said.content == "the weather is mild"
    (episode,) = [
        one
        for one in http.get("/v1/episodes", params={"limit": 500}).json()["data"]
        if one["messages"][-1]["content"] == "the weather is mild"
    ]
    assert [m["role"] for m in episode["messages"]][-4:] == ["user", "assistant", "tool", "assistant"]
    formed = model.with_structured_output(Person)
    assert formed.invoke("a person") == Person(name="Ann", age=7)
    respond = ChatOpenAI(
        model="speaker",
        base_url=f"{speaking.url}/v1/rollout/chain",
        api_key=SecretStr(speaking.key("any")),
        use_responses_api=True,
        max_retries=0,
    )
    assert respond.invoke("hello").text == "you said: hello"
    assert http.get("/v1/rollout/chain").json()["calls"] == 1
