"""What memory is asked, at the opening and in the middle, and what that costs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.journal import MemoryJournal
from agent.loop import Agent
from agent.models.scripted import ScriptedModel
from agent.opening import AgentSettings, Run, situation_text
from agent.prompt import render_block
from agent.types import Observation, Style, Task, ToolSpec
from memory.core import Memory
from memory.encoder import HashEncoder
from memory.types import CaseBody, Draft, Item, PrincipleBody, ToolCall

TASK = Task("t1", "wash a mug", "house", "maple 7")
ACT = ToolSpec("act", "Do it.", {"type": "object", "properties": {"command": {"type": "string"}}})


class Sink:
    """A world whose tap opens only by turning."""

    def tools(self) -> tuple[ToolSpec, ...]:
        return (ACT,)

    async def reset(self, task: Task) -> Observation:
        return Observation("you see a sink.")

    async def step(self, call: ToolCall) -> Observation:
        if call.arguments["command"] == "turn tap":
            return Observation("the mug is clean.", True, True, "success", 1.0)
        return Observation("the stuck tap does not move.", ok=False)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path / "memory.db", encoder=HashEncoder()) as opened:
        yield opened


def remember(memory: Memory, text: str) -> Item:
    case = Draft("case", text, CaseBody(text, (), text), outcome="success")
    (item,) = memory.remember("ns", [case], principal="ann", channel="user")
    return item


def agent(memory: Memory, style: Style = "plain", **settings: bool) -> Agent:
    model = ScriptedModel(["> pull tap", "> push tap", "> turn tap"], style=style)
    return Agent(model, memory, settings=AgentSettings(k=1, **settings))


def test_a_situation_says_what_is_known_of_it() -> None:
    """At the opening the place and the task; later the step and what went wrong as well."""
    assert situation_text("wash a mug", "maple 7") == "maple 7: wash a mug"
    assert situation_text("wash a mug.", "maple 7", step="open tap") == "maple 7: wash a mug. step: open tap."
    both = situation_text("wash a mug", "maple 7", "open tap", "it is stuck.")
    assert both == "maple 7: wash a mug. step: open tap. failed: it is stuck."


async def test_a_failed_step_asks_memory_again_where_that_is_wanted(memory: Memory) -> None:
    """Nothing is shown twice; the episode keeps what was asked, and the item is credited."""
    mug = remember(memory, "wash a mug in the sink")
    tap = remember(memory, "a stuck tap does not move by pull: turn it")
    asking = agent(memory, recall_on_failure=True)
    journal = MemoryJournal()
    episode = await asking.run(TASK, Sink(), Run("ns", "ann", "e1"), journal)
    kinds = [message.kind for message in episode.messages]
    assert kinds == ["memory", "task", "act", "observe", "memory", "act", "observe", "act", "observe"]
    assert "turn it" in episode.messages[4].text
    assert episode.recall is not None
    assert [one.item for one in episode.recall.items] == [mug.id]
    (reminder,) = episode.reminders
    assert [one.item for one in reminder.items] == [tap.id]
    assert reminder.query.text == (
        "maple 7: wash a mug. step: pull tap. failed: the stuck tap does not move."
    )
    again = await asking.run(TASK, Sink(), Run("ns", "ann", "e1"), journal)
    assert again == episode
    await asking.learn(episode)
    assert memory.get("ns", tap.id).utility.n == memory.get("ns", mug.id).utility.n == 1


async def test_an_agent_that_recalls_nothing_asks_for_nothing(memory: Memory) -> None:
    """Neither at the opening nor when a step fails; principles are shown as ever."""
    remember(memory, "wash a mug in the sink: a stuck tap does not move by pull: turn it")
    rule = Draft("principle", "never pull a tap", PrincipleBody("global", "operator"))
    memory.remember("ns", [rule], principal="ann", channel="operator")
    model = ScriptedModel(["> pull tap", "> push tap", "> turn tap"])
    nothing = Agent(model, memory, settings=AgentSettings(k=0, recall_on_failure=True))
    episode = await nothing.run(TASK, Sink(), Run("ns", "ann", "e1"))
    assert episode.outcome == "success"
    assert (episode.recall, episode.reminders) == (None, ())
    assert "never pull a tap" in episode.messages[0].text
    assert "turn it" not in "".join(message.text for message in episode.messages)


async def test_memory_is_asked_once_by_default(memory: Memory) -> None:
    """The bundled model was trained on what is recalled at the opening."""
    remember(memory, "a stuck tap does not move by pull: turn it")
    episode = await agent(memory).run(TASK, Sink(), Run("ns", "ann", "e1"))
    assert episode.reminders == ()
    assert [message.kind for message in episode.messages].count("memory") <= 1


@pytest.mark.parametrize("style", ["plain", "full"])
async def test_costs_are_counted_in_the_models_tokens_on_what_it_sees(memory: Memory, style: Style) -> None:
    """Per item and in all, with the name of the counter."""
    item = remember(memory, "wash a mug in the sink")
    model = ScriptedModel(["> turn tap"], style=style)
    episode = await Agent(model, memory).run(TASK, Sink(), Run("ns", "ann", "e1"))
    record = episode.recall
    assert record is not None
    cost = model.count_tokens(render_block(item, style))
    assert [one.tokens for one in record.items] == [cost]
    assert (record.tokens, record.counter) == (cost, "scripted")
    assert render_block(item, style) in episode.messages[0 if style == "plain" else 1].text
