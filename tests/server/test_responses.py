"""`/v1/responses` with the real `openai` client: one conversation with chat completions, another shape."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from agent.models.scripted import FunctionModel
from memory.types import Message, ToolCall
from server.settings import Settings
from tests.server import scripted_server
from tests.server.served import Served, serve

WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "description": "The weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}
PICTURE = "data:image/png;base64,AAAA"


class City(BaseModel):
    name: str
    people: int


def talker(messages: tuple[Message, ...]) -> str | Message:
    """Calls, answers what a call brought, tells what it was shown, or fills a form."""
    last = messages[-1]
    if last.role == "tool":
        return f"it is {last.text}"
    if "weather" in last.text:
        said = "let me see" if "aloud" in last.text else ""
        calls = tuple(
            ToolCall(f"x{n}", "weather", {"city": city}) for n, city in enumerate(("Oslo", "Bergen"))
        )
        return Message("assistant", said, tool_calls=calls)
    if "form" in last.text:
        return '{"name": "Oslo", "people": 700000}'
    return " | ".join(f"{m.role}: {m.text}" for m in messages)


@pytest.fixture(scope="module")
def talking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    models = {"talker": FunctionModel(talker, name="talker", style="full")}
    data = tmp_path_factory.mktemp("data")
    settings = Settings(data_dir=data, encoder="hash", model="talker", job_poll_s=0.02, port=0)
    with serve(scripted_server.make(settings, models), models) as served:
        yield served


@pytest.fixture(scope="module")
def client(talking: Served) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{talking.url}/v1", api_key=talking.key("talk"), max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def http(talking: Served) -> Iterator[httpx.Client]:
    with talking.client("talk") as client:
        yield client


def episode_of(http: httpx.Client, response: Any) -> dict[str, Any]:
    found: dict[str, Any] = http.get(f"/v1/episodes/{response.model_extra['apprentice']['episode']}").json()
    return found


def results(response: Any) -> list[Any]:
    calls = [item for item in response.output if item.type == "function_call"]
    return [
        {"type": "function_call_output", "call_id": one.call_id, "output": f"mild in {one.arguments}"}
        for one in calls
    ]


def test_words_are_answered_with_usage_and_an_episode(client: OpenAI, http: httpx.Client) -> None:
    """Instructions stand before the input; what was asked for is told back."""
    raw = client.responses.with_raw_response.create(
        model="talker", input="good day", instructions="be brief", metadata={"run": "7"}, max_output_tokens=90
    )
    response = raw.parse()
    assert response.output_text == "system: be brief | user: good day"
    assert (response.status, response.instructions, response.metadata) == (
        "completed",
        "be brief",
        {"run": "7"},
    )
    assert response.usage is not None
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens > 0
    assert "recall;dur=" in raw.headers["Server-Timing"]
    episode = episode_of(http, response)
    assert raw.headers["X-Apprentice-Episode"] == episode["id"]
    assert [m["role"] for m in episode["messages"]] == ["system", "user", "assistant"]


def test_memory_is_recalled_as_in_chats(client: OpenAI, http: httpx.Client) -> None:
    """And not with the header `off`, where nothing is stored either."""
    note = {"kind": "tool_note", "text": "the spare key hangs behind the blue door"}
    http.post("/v1/memory", json={"items": [note]})
    asked = "where does the spare key hang"
    assert "blue door" in client.responses.create(model="talker", input=asked).output_text
    off = client.responses.create(
        model="talker", input=asked, extra_headers={"X-Apprentice-Memory": "off"}, store=True
    )
    assert "blue door" not in off.output_text
    assert off.model_extra is not None
    assert (off.model_extra["store"], off.model_extra["apprentice"]["episode"]) == (False, None)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(off.id)


@pytest.mark.parametrize("by_id", [True, False])
def test_what_calls_bring_continues_the_episode(client: OpenAI, http: httpx.Client, by_id: bool) -> None:
    """By the id of the response before, or by sending all items again."""
    asked: list[Any] = [{"role": "user", "content": f"the weather aloud, by id {by_id}"}]
    first = client.responses.create(model="talker", input=asked, tools=[WEATHER], store=by_id)
    assert [item.type for item in first.output] == ["message", "function_call", "function_call"]
    if by_id:
        second = client.responses.create(
            model="talker", input=results(first), previous_response_id=first.id, tools=[WEATHER]
        )
    else:
        items = [*asked, *(item.model_dump(exclude_none=True) for item in first.output), *results(first)]
        second = client.responses.create(model="talker", input=items, tools=[WEATHER])
    assert second.output_text == 'it is mild in {"city": "Bergen"}'
    episode = episode_of(http, second)
    assert episode["id"] == episode_of(http, first)["id"]
    assert [m["role"] for m in episode["messages"]] == ["user", "assistant", "tool", "tool", "assistant"]
    assert episode["steps"] == 2


def test_a_conversation_goes_on_by_id(client: OpenAI) -> None:
    """Instructions do not; the same response can be gone on from twice."""
    first = client.responses.create(model="talker", input="one", instructions="be brief")
    second = client.responses.create(model="talker", input="two", previous_response_id=first.id)
    heard = "user: one | assistant: system: be brief | user: one | user: two"
    assert second.output_text == heard
    other = client.responses.create(
        model="talker", input="three", previous_response_id=first.id, instructions="be loud"
    )
    assert other.output_text == f"system: be loud | {heard.removesuffix('two')}three"
    third = client.responses.create(model="talker", input="four", previous_response_id=second.id)
    assert third.output_text == f"{heard} | assistant: {heard} | user: four"


def test_stored_responses_are_retrieved_and_deleted(
    client: OpenAI, http: httpx.Client, talking: Served
) -> None:
    """The same as it was given; nobody else's; gone with its episode, or alone."""
    made = client.responses.create(
        model="talker", input="the weather", instructions="look", tools=[WEATHER], metadata={"a": "b"}
    )
    found = client.responses.retrieve(made.id)
    assert found.to_dict() == made.to_dict()
    with (
        OpenAI(base_url=f"{talking.url}/v1", api_key=talking.key("other"), max_retries=0) as other,
        pytest.raises(openai.NotFoundError),
    ):
        other.responses.retrieve(made.id)
    client.responses.delete(made.id)
    for lost in (
        lambda: client.responses.retrieve(made.id),
        lambda: client.responses.delete(made.id),
        lambda: client.responses.create(model="talker", input="x", previous_response_id=made.id),
    ):
        with pytest.raises(openai.NotFoundError, match="not stored, or deleted"):
            lost()
    assert episode_of(http, made)["messages"]
    unkept = client.responses.create(model="talker", input="once", store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(unkept.id)
    assert episode_of(http, unkept)["messages"]


def test_an_erased_episode_takes_its_responses_with_it(client: OpenAI, http: httpx.Client) -> None:
    """What was said is nowhere else."""
    made = client.responses.create(model="talker", input="forget this", instructions="and this")
    name = episode_of(http, made)["id"]
    done = http.post("/v1/memory/erase", json={"kind": "episode", "id": name})
    assert done.status_code in {200, 202}, done.text
    with pytest.raises(openai.NotFoundError, match="erased"):
        client.responses.retrieve(made.id)


def test_a_stream_has_typed_events(client: OpenAI) -> None:
    """The client's own helper puts them together; numbers count up; it is stored as the whole is."""
    with client.responses.stream(model="talker", input="one two three", tools=[WEATHER]) as stream:
        events = list(stream)
        final = stream.get_final_response()
    kinds = list(dict.fromkeys(event.type for event in events))
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert len(deltas) > 1
    assert "".join(deltas) == final.output_text == "user: one two three"
    assert client.responses.retrieve(final.id).output_text == final.output_text


def test_calls_are_streamed(client: OpenAI) -> None:
    """Each as an item, with its arguments; what they bring goes on."""
    with client.responses.stream(model="talker", input="the weather aloud", tools=[WEATHER]) as stream:
        events = list(stream)
        final = stream.get_final_response()
    done = [event for event in events if event.type == "response.function_call_arguments.done"]
    assert [(event.output_index, json.loads(event.arguments)["city"]) for event in done] == [
        (1, "Oslo"),
        (2, "Bergen"),
    ]
    assert [item.type for item in final.output] == ["message", "function_call", "function_call"]
    second = client.responses.create(model="talker", input=results(final), previous_response_id=final.id)
    assert second.output_text.startswith("it is mild")


def test_a_form_is_parsed(client: OpenAI, talking: Served) -> None:
    """`text_format` reaches the model as a schema and comes back as an object."""
    parsed = client.responses.parse(model="talker", input="fill the form", text_format=City)
    assert parsed.output_parsed == City(name="Oslo", people=700_000)
    asked: Any = talking.models["talker"]
    schema = asked.history[-1].schema
    assert set(schema["properties"]) == {"name", "people"}


def test_an_answer_that_is_cut_is_incomplete(client: OpenAI) -> None:
    """With the reason, whole and as a stream."""
    cut = client.responses.create(model="talker", input="one two three", max_output_tokens=2)
    assert (cut.status, cut.output_text) == ("incomplete", "user: one")
    assert cut.incomplete_details is not None
    assert cut.incomplete_details.reason == "max_output_tokens"
    events = list(client.responses.create(model="talker", input="a b c", max_output_tokens=2, stream=True))
    assert events[-1].type == "response.incomplete"


def test_pictures_reach_the_model(client: OpenAI, talking: Served) -> None:
    """As parts of a message."""
    parts: Any = [{"type": "input_text", "text": "look"}, {"type": "input_image", "image_url": PICTURE}]
    client.responses.create(model="talker", input=[{"role": "user", "content": parts}])
    asked: Any = talking.models["talker"]
    assert [getattr(part, "url", None) for part in asked.history[-1].messages[-1].content] == [None, PICTURE]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"input": []}, 400, "input"),
        ({"input": "x", "background": True}, 400, "/v1/tasks"),
        ({"input": "x", "conversation": "conv_1"}, 400, "previous_response_id"),
        ({"input": "x", "tools": [{"type": "web_search"}]}, 400, "function"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, 400, "previous_response_id"),
        ({"input": "x", "tool_choice": "required"}, 400, "there are no tools"),
        ({"input": "x", "text": {"format": {"type": "json_schema", "name": "a"}}}, 400, "needs a schema"),
        ({"input": "x", "model": "nobody"}, 404, "nobody"),
        ({"input": "x", "previous_response_id": "resp_none"}, 404, "resp_none"),
    ],
)
def test_what_cannot_be_is_told(http: httpx.Client, body: Any, status: int, said: str) -> None:
    """With what to do instead, in OpenAI's shape."""
    answer = http.post("/v1/responses", json=body)
    assert answer.status_code == status, answer.text
    assert said in answer.json()["error"]["message"]


async def test_the_asynchronous_client_works_too(talking: Served) -> None:
    """A stream and a whole answer."""
    async with AsyncOpenAI(
        base_url=f"{talking.url}/v1", api_key=talking.key("talk"), max_retries=0
    ) as client:
        whole = await client.responses.create(model="talker", input="hello")
        assert whole.output_text == "user: hello"
        pieces = [
            event.delta
            async for event in await client.responses.create(model="talker", input="a b", stream=True)
            if event.type == "response.output_text.delta"
        ]
        assert "".join(pieces) == "user: a b"


def test_a_rollout_takes_responses_too(talking: Served, http: httpx.Client) -> None:
    """In one episode with its chats, what calls brought and another way to go on included."""
    base = f"{talking.url}/v1/rollout/mixed"
    with OpenAI(base_url=base, api_key=talking.key("talk"), max_retries=0) as client:
        first = client.responses.create(model="talker", input="the weather", tools=[WEATHER])
        second = client.responses.create(model="talker", input=results(first), previous_response_id=first.id)
        assert second.output_text.startswith("it is mild")
        third = client.responses.create(model="talker", input="and now", previous_response_id=second.id)
        assert third.output_text.endswith('assistant: it is mild in {"city": "Bergen"} | user: and now')
        other = client.responses.create(model="talker", input="or else", previous_response_id=second.id)
        last = client.responses.create(model="talker", input="so", previous_response_id=other.id)
        assert "user: or else" in last.output_text
        assert "and now" not in last.output_text
        client.chat.completions.create(model="talker", messages=[{"role": "user", "content": "hello"}])
        assert client.responses.retrieve(first.id).id == first.id
    rollout = http.get("/v1/rollout/mixed").json()
    assert (rollout["calls"], rollout["steps"], rollout["lines"]) == (6, 2, 3)
    assert http.post("/v1/rollout/mixed/feedback", json={"reward": 0.7}).json()["outcome"] == "success"
