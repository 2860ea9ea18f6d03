"""Agents of others that know nothing but a base URL: the plain `openai` client, a tool, a scripted model."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from agent.models.scripted import FunctionModel
from memory.types import Message, ToolCall
from server.settings import Settings
from tests.server import scripted_server
from tests.server.served import Served, serve

OPEN: Any = {
    "type": "function",
    "function": {
        "name": "open_door",
        "description": "Open a door of the house.",
        "parameters": {"type": "object", "properties": {"door": {"type": "string"}}, "required": ["door"]},
    },
}
TASK = "get into the house and say which door it was"
WAIT_S = 20.0


async def visitor(messages: tuple[Message, ...]) -> str | Message:
    """Tries the red door unless memory names the blue one; sums up what a door says; echoes the rest."""
    if "Look back at this episode" in messages[0].text:
        return '{"lessons": []}'
    last = messages[-1]
    if last.role == "tool":
        return f"done: {last.text}"
    if "house" in last.text:
        known = " ".join(m.text for m in messages if m.kind == "memory" or m.agent == "apprentice")
        door = "blue" if "blue door" in known else "red"
        return Message("assistant", "", tool_calls=(ToolCall("x", "open_door", {"door": door}),))
    await asyncio.sleep(0.05 if "slowly" in last.text else 0.0)
    return f"heard {len(messages)}: {last.text}"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    models = {"visitor": FunctionModel(visitor, name="visitor", style="full")}
    data: Path = tmp_path_factory.mktemp("data")
    settings = Settings(data_dir=data, encoder="hash", model="visitor", job_poll_s=0.02, port=0)
    with serve(scripted_server.make(settings, models), models) as served:
        yield served


@pytest.fixture
def http(house: Served) -> Iterator[httpx.Client]:
    with house.client("doors") as client:
        yield client


Client = Callable[..., OpenAI]


@pytest.fixture
def client(house: Served) -> Iterator[Client]:
    opened: list[OpenAI] = []

    def of(rollout: str, namespace: str = "doors", **headers: str) -> OpenAI:
        made = OpenAI(
            base_url=f"{house.url}/v1/rollout/{rollout}",
            api_key=house.key(namespace),
            max_retries=0,
            default_headers=headers,
        )
        opened.append(made)
        return made

    yield of
    for one in opened:
        one.close()


def say(text: str) -> Any:
    return {"role": "user", "content": text}


def agent(client: OpenAI, task: str = TASK) -> tuple[str, str]:
    """A small agent, as anybody would write it: the door it opened, and its last words."""
    messages: list[Any] = [{"role": "system", "content": "You are at the house."}, say(task)]
    opened = ""
    while True:
        answer = client.chat.completions.create(model="visitor", messages=messages, tools=[OPEN])
        message = answer.choices[0].message
        messages.append(message.model_dump(exclude_none=True))
        if not message.tool_calls:
            return opened, message.content or ""
        for call in message.tool_calls:
            assert call.type == "function"
            opened = json.loads(call.function.arguments)["door"]
            result = "it opens" if opened == "blue" else "it is locked"
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})


def episode_of(http: httpx.Client, rollout: str) -> dict[str, Any]:
    name = http.get(f"/v1/rollout/{rollout}").json()["episode"]
    found: dict[str, Any] = http.get(f"/v1/episodes/{name}").json()
    return found


def learned(http: httpx.Client) -> None:
    deadline = time.monotonic() + WAIT_S
    while http.get("/v1/health/learning").json()["waiting"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_is_fed_back_is_recalled_by_the_next_rollout(client: Client, http: httpx.Client) -> None:
    """An agent that nobody changed learns which door to take, from one sentence of feedback."""
    assert agent(client("try-1")) == ("red", "done: it is locked")
    said = {"reward": 0.0, "values": {"got_in": False, "hint": "the blue door is open, take the blue door"}}
    after = http.post("/v1/rollout/try-1/feedback", json=said).json()
    assert (after["ended"], after["outcome"], after["reward"]) == (True, "failure", 0.0)
    assert after["feedback"] == said["values"]
    learned(http)
    assert agent(client("try-2")) == ("blue", "done: it opens")
    good = http.post("/v1/rollout/try-2/feedback", json={"reward": 1.0}).json()
    assert good["outcome"] == "success"
    shown = [one["item"] for one in episode_of(http, "try-2")["recall"]["items"] if one["shown"]]
    values = [http.get(f"/v1/memory/{item}").json()["utility"] for item in shown]
    assert [one["n"] for one in values] == [1] * len(shown) != []
    # Late word the other way round re-values what was in view.
    late = http.post("/v1/rollout/try-2/feedback", json={"outcome": "failure", "reward": -1.0}).json()
    assert (late["outcome"], late["reward"]) == ("failure", -1.0)
    learned(http)
    again = [http.get(f"/v1/memory/{item}").json()["utility"] for item in shown]
    assert all(new["q"] < old["q"] for new, old in zip(again, values, strict=True))


def test_all_calls_are_one_episode_and_only_news_is_kept(client: Client, http: httpx.Client) -> None:
    """The agent sends its whole conversation each time; the episode holds each message once, in order."""
    agent(client("once"), f"{TASK} once")
    rollout = http.get("/v1/rollout/once").json()
    assert (rollout["calls"], rollout["steps"], rollout["lines"], rollout["ended"]) == (2, 1, 1, False)
    kept = [m for m in episode_of(http, "once")["messages"] if m["agent"] == "agent"]
    assert [(m["role"], m["kind"]) for m in kept] == [
        ("system", None),
        ("user", None),
        ("assistant", "act"),
        ("tool", "observe"),
        ("assistant", "answer"),
    ]


def test_histories_that_were_edited_add_what_is_new(client: Client, http: httpx.Client) -> None:
    """A summary in the place of old turns is shown to the model and not kept again; another try of the same
    turn, and a conversation that shares nothing, are lines of their own, which train no weights.
    """
    talk = client("edited").chat.completions

    def ask(*messages: Any) -> Any:
        answer = talk.create(model="visitor", messages=list(messages)).choices[0].message.content
        return {"role": "assistant", "content": answer}

    one = ask(say("first"))
    two = ask(say("first"), one, say("second"))
    # What the client's agent made of its history: a summary, and the last answer.
    summary = {"role": "system", "content": "in short: first was said"}
    three = ask(summary, two, say("third"))
    assert three["content"].startswith("heard 3:")
    other = ask(say("first"), one, say("second, otherwise"))
    helper = ask(say("something else altogether"))
    ask(say("something else altogether"), helper, say("more of it"))
    said = [(m["agent"], m["content"]) for m in episode_of(http, "edited")["messages"] if m["role"] == "user"]
    assert said == [
        ("agent", "first"),
        ("agent", "second"),
        ("agent", "third"),
        ("agent.2", "second, otherwise"),
        ("agent 2", "something else altogether"),
        ("agent 2", "more of it"),
    ]
    weights = {
        m["agent"]: m["weight"] for m in episode_of(http, "edited")["messages"] if m["role"] == "assistant"
    }
    assert weights == {"agent": None, "agent.2": 0.0, "agent 2": 0.0}
    assert "in short" not in json.dumps(episode_of(http, "edited"))
    assert other["content"].endswith("second, otherwise")


async def test_calls_at_the_same_time_lose_nothing(house: Served, http: httpx.Client) -> None:
    """Sixteen that begin at once, then sixteen that go on from the same answer."""
    async with AsyncOpenAI(
        base_url=f"{house.url}/v1/rollout/many", api_key=house.key("doors"), max_retries=0
    ) as client:

        async def ask(*messages: Any) -> Any:
            answer = await client.chat.completions.create(model="visitor", messages=list(messages))
            return answer.choices[0].message

        starts = [say(f"slowly start {n}") for n in range(16)]
        answers = await asyncio.gather(*(ask(one) for one in starts))
        first = {"role": "assistant", "content": answers[0].content}
        await asyncio.gather(*(ask(starts[0], first, say(f"slowly go on {n}")) for n in range(16)))
        calls = await asyncio.gather(
            *(
                client.chat.completions.create(
                    model="visitor", messages=[say(f"the house, {n}")], tools=[OPEN]
                )
                for n in range(4)
            )
        )
    episode = episode_of(http, "many")
    said = [m["content"] for m in episode["messages"] if m["role"] == "user" and m["agent"] != "apprentice"]
    wanted = [f"slowly start {n}" for n in range(16)] + [f"slowly go on {n}" for n in range(16)]
    assert sorted(said) == sorted(wanted + [f"the house, {n}" for n in range(4)])
    rollout = http.get("/v1/rollout/many").json()
    assert (rollout["calls"], rollout["steps"]) == (36, 4)
    assert len({one.choices[0].message.tool_calls[0].id for one in calls}) == 4  # type: ignore[index]
    # One went on where the first had begun, each other one is a branch.
    lines = {m["agent"] for m in episode["messages"]}
    assert len(lines - {"apprentice"}) == rollout["lines"] == 16 + 15 + 4


def test_a_rollout_that_has_ended_takes_no_more_calls(client: Client, http: httpx.Client) -> None:
    """Named values leave it open; an outcome ends it, and it says what to do then."""
    talk = client("over").chat.completions
    talk.create(model="visitor", messages=[say("hello")])
    open_still = http.post("/v1/rollout/over/feedback", json={"values": {"polite": True, "score": 3}}).json()
    assert (open_still["ended"], open_still["outcome"]) == (False, "unknown")
    talk.create(model="visitor", messages=[say("hello again")])
    http.post("/v1/rollout/over/feedback", json={"outcome": "success"})
    with pytest.raises(openai.ConflictError, match="another id"):
        talk.create(model="visitor", messages=[say("one more")])


def test_ids_are_each_namespaces_own(client: Client, http: httpx.Client, house: Served) -> None:
    """The same id elsewhere is another rollout; one that never began is a 404, a strange id a 400."""
    client("mine").chat.completions.create(model="visitor", messages=[say("secret of doors")])
    client("mine", "others").chat.completions.create(model="visitor", messages=[say("hello")])
    with house.client("others") as other:
        assert "secret" not in json.dumps(episode_of(other, "mine"))
        mine = http.get("/v1/rollout/mine").json()["episode"]
        assert other.get(f"/v1/episodes/{mine}").status_code == 404
    with house.client("third") as third:
        for answer in (
            third.get("/v1/rollout/mine"),
            third.post("/v1/rollout/mine/feedback", json={"reward": 1}),
        ):
            assert answer.status_code == 404
        assert third.get("/v1/rollout/%20").status_code == 400
    assert "visitor" in [model.id for model in client("mine").models.list()]


def test_the_mode_is_that_of_the_first_call(client: Client, http: httpx.Client) -> None:
    """Another one that is asked for is refused; `off` keeps one call out."""
    frozen = {"X-Apprentice-Memory": "frozen"}
    client("modes", **frozen).chat.completions.create(model="visitor", messages=[say("one")])
    client("modes").chat.completions.create(model="visitor", messages=[say("two")])
    with pytest.raises(openai.ConflictError, match="began with memory 'frozen'"):
        client("modes", **{"X-Apprentice-Memory": "learn"}).chat.completions.create(
            model="visitor", messages=[say("three")]
        )
    client("modes", **{"X-Apprentice-Memory": "off"}).chat.completions.create(
        model="visitor", messages=[say("four")]
    )
    rollout = http.get("/v1/rollout/modes").json()
    assert (rollout["mode"], rollout["calls"]) == ("frozen", 2)


def test_a_stream_is_part_of_it(client: Client, http: httpx.Client) -> None:
    """Pieces, then the same episode."""
    with client("flow").chat.completions.create(
        model="visitor", messages=[say("one two three")], stream=True
    ) as stream:
        text = "".join(c.choices[0].delta.content or "" for c in stream if c.choices)
    assert text == "heard 1: one two three"
    assert http.get("/v1/rollout/flow").json()["calls"] == 1
