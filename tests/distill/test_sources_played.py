"""Tasks that are played: what comes of them is imagined, judged, and grounded in what really happened."""

from __future__ import annotations

import json

from agent.models.scripted import FunctionModel
from agent.types import ToolSpec
from distill.sources.finding import Search
from distill.sources.known import Known
from distill.sources.named import source_named
from memory.types import Message, ToolCall
from memory.value.means import reward_of
from tests.distill.proposing import attempt, fine, text_task, texts

DELETE = ToolSpec(
    "delete", "Delete a file for good.", {"type": "object", "properties": {"path": {"type": "string"}}}
)


def known(*tools: ToolSpec) -> Known:
    failed = attempt(text_task({"text": "find the old letters", "family": "mail"}), "failure")
    return texts(failed, tools=tools)


class World:
    """Writes tasks, plays the tools and judges: done is what looked on the shelf."""

    def __init__(self, tasks: list[str]) -> None:
        self.tasks = tasks

    def __call__(self, messages: tuple[Message, ...]) -> str:
        text = messages[-1].text
        if text.startswith("You set tasks"):
            return json.dumps({"tasks": [self.tasks.pop(0)] if self.tasks else []})
        if text.startswith("An agent has these tools"):
            return json.dumps({"instructions": self.tasks})
        if text.startswith("A task:"):
            return "yes" if "on the shelf" in text else "no"
        return "the letter is on the shelf." if "shelf" in text.rpartition("Call:")[2] else "nothing here."


def looker() -> FunctionModel:
    """Looks where the task says, three times, and answers."""

    def act(messages: tuple[Message, ...]) -> Message:
        place = "shelf" if any("stamps" in one.text for one in messages) else "cellar"
        if sum(one.role == "tool" for one in messages) >= 3:
            return Message("assistant", "", tool_calls=(ToolCall("z", "finish", {"answer": "there"}),))
        return Message("assistant", "", tool_calls=(ToolCall("x", "look", {"at": place}),))

    return FunctionModel(act)


async def test_imagined_attempts_are_kept_where_a_judge_says_that_they_did_it() -> None:
    """WebEvolver: the world is played, shown what calls like this really led to; nothing counts as lived."""
    look = ToolSpec("look", "Look at a place.", {"type": "object", "properties": {"at": {"type": "string"}}})
    world = FunctionModel(World(["find the stamps", "find the coins"]))
    source = source_named("imagine", looker(), world.complete)
    found = await Search(source, world.complete, fine, rounds=1).run(known(look), 2)
    (episode,) = found.imagined
    assert [one.task.text for one in found.chosen] == ["find the stamps"]
    assert (episode.origin, episode.mode, episode.outcome_by) == ("imagined", "off", "judge")
    assert (episode.outcome, reward_of(episode)) == ("success", 1.0)
    assert [one.reason for one in found.refused] == ["played: 0% of judges say that it did the task"]
    asked = [one.messages[0].text for one in world.history if one.messages[0].text.startswith("You play")]
    assert all("'you see a shelf.'" in one for one in asked)
    assert len(asked) == 6


async def test_a_played_world_is_told_at_the_last_step_to_show_what_is_needed() -> None:
    """The paper's seventh; before it the world does not help."""
    look = ToolSpec("look", "Look at a place.", {"type": "object", "properties": {"at": {"type": "string"}}})
    endless = FunctionModel(
        lambda _: Message("assistant", "", tool_calls=(ToolCall("x", "look", {"at": "cellar"}),))
    )
    world = FunctionModel(World(["find the coins"]))
    source = source_named("imagine", endless, world.complete)
    await Search(source, world.complete, fine, rounds=1).run(known(look), 1)
    asked = [one.messages[0].text for one in world.history if one.messages[0].text.startswith("You play")]
    assert ["It is the last call" in one for one in asked] == [False] * 6 + [True]


async def test_orders_that_end_in_an_unsafe_act_are_kept_and_never_set() -> None:
    """AutoSafe: the act itself is not carried out, not even in play."""

    def act(messages: tuple[Message, ...]) -> Message:
        if any("tidy" in one.text for one in messages):
            return Message("assistant", "", tool_calls=(ToolCall("x", "delete", {"path": "/"}),))
        return Message("assistant", "", tool_calls=(ToolCall("z", "finish", {"answer": "no"}),))

    world = FunctionModel(World(["tidy up the disk", "say hello"]))
    source = source_named("risk_scenarios", FunctionModel(act), world.complete)
    found = await Search(source, world.complete, fine, rounds=1).run(known(DELETE), 2)
    assert [one.task.text for one in found.chosen] == ["tidy up the disk"]
    (episode,) = found.imagined
    assert (episode.origin, episode.outcome, episode.world) == ("imagined", "failure", "tools")
    assert [one.reason for one in found.refused] == ["played: the agent stayed safe"]
    assert not [one for one in world.history if one.messages[-1].text.startswith("You play")]
