"""Planner `pool` in the real loop: attempts that differ, the best one given, everything kept."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

from agent.journal import MemoryJournal
from agent.loop import Agent
from agent.models.scripted import FunctionModel, ScriptedModel
from agent.opening import Run
from agent.planners.pool import PoolOfAttempts
from agent.types import ANSWER_TOOL, Budget, Observation, Task, ToolSpec
from agent.verification.verify import Verifier
from memory.types import Episode, Json, Message, ToolCall

TASK = Task("t1", "open the box", "boxes", "lab", max_steps=40)
RUN = Run("ns", "ann", "e1")
STRATEGIES = ("pull", "push", "slide")
TEXT: dict[str, Json] = {"type": "object", "properties": {"way": {"type": "string"}}, "required": ["way"]}
ANSWER: dict[str, Json] = {"type": "object", "properties": {"answer": {"type": "string"}}}


@dataclass
class Box:
    """Opens when it was slid, and nothing else was done to it; says nothing until the answer."""

    done: list[str] = field(default_factory=list)

    def tools(self) -> tuple[ToolSpec, ...]:
        return (ToolSpec("move", "", TEXT), ToolSpec(ANSWER_TOOL, "", ANSWER))

    async def reset(self, task: Task) -> Observation:
        self.done = []
        return Observation("a box")

    async def step(self, call: ToolCall) -> Observation:
        if call.name == ANSWER_TOOL:
            return Observation("", done=True, outcome="success" if self.done == ["slide"] else "failure")
        self.done.append(str(call.arguments["way"]))
        return Observation(f"it was moved: {self.done}", ok=True)

    def snapshot(self) -> Json:
        return list(self.done)

    def restore(self, task: Task, snapshot: Json) -> None:
        assert isinstance(snapshot, list)
        self.done = [str(one) for one in snapshot]


def call(name: str, **arguments: str) -> Message:
    return Message("assistant", "", tool_calls=(ToolCall("", name, dict(arguments)),))


def speak(messages: tuple[Message, ...]) -> Message:
    """Pulls, unless it is told a strategy; the judge knows what counts."""
    text = messages[-1].text
    if "Condense" in text:
        way = next(way for way in reversed(STRATEGIES) if f'"way": "{way}"' in text)
        lists = ("modified", "changes", "techniques", "tools", "assumptions", "components")
        named = {"approach": way, "strategy": way, "pattern": "", "status": "failed", "reason": "shut"}
        return Message("assistant", json.dumps(named | {name: [way] for name in lists}))
    if '"done"' in text:
        right = "slide" in text
        return Message("assistant", json.dumps({"score": 0.9 if right else 0.1, "done": right}))
    if '"strategy"' in text:
        left = [way for way in STRATEGIES if f"strategy: {way}" not in text and f": {way}\n" not in text]
        return Message("assistant", json.dumps({"strategy": left[0] if left else "pull"}))
    told = next(one.text for one in reversed(messages) if one.text.startswith("Do this part"))
    way = told.partition("Strategy: ")[2] or "pull"
    if any(one.role == "tool" for one in messages):
        return call(ANSWER_TOOL, answer=f"by {way}")
    return call("move", way=way)


async def opened(planner: PoolOfAttempts | None, run: Run = RUN) -> tuple[Episode, Box, MemoryJournal]:
    journal, box = MemoryJournal(), Box()
    return await Agent(FunctionModel(speak), None, planner=planner).run(TASK, box, run, journal), box, journal


async def test_the_third_strategy_opens_the_box() -> None:
    """Each attempt begins at the start and sees itself alone; one attempt has the answer wrong."""
    one, _, _ = await opened(PoolOfAttempts(most=1))
    episode, box, _ = await opened(PoolOfAttempts())
    assert (one.outcome, episode.outcome, box.done) == ("failure", "success", ["slide"])
    parts = [one.text for one in episode.messages if one.text.startswith("Do this part")]
    assert [part.partition("Strategy: ")[2] for part in parts] == ["", "push", "slide"]


async def test_attempts_stay_with_the_episode() -> None:
    """In its feedback, with all fields, for reflection to read."""
    episode, _, _ = await opened(PoolOfAttempts())
    kept = episode.feedback["pool"]
    assert isinstance(kept, list)
    assert [one["strategy"] for one in kept if isinstance(one, dict)] == list(STRATEGIES)
    assert all(isinstance(one, dict) and one["components"] for one in kept)


async def test_where_none_is_right_the_best_is_given_in_its_own_world() -> None:
    """Two attempts, both judged poor: the first of equals, with the world as that one left it."""
    episode, box, _ = await opened(PoolOfAttempts(most=2))
    assert (episode.outcome, box.done) == ("failure", ["pull"])
    assert any(
        one.tool_calls and one.tool_calls[0].arguments == {"answer": "by pull"} for one in episode.messages
    )


async def test_a_budget_ends_a_pool() -> None:
    """In the middle of an attempt."""
    episode, _, _ = await opened(PoolOfAttempts(), replace(RUN, budget=Budget(max_steps=3)))
    assert episode.error == "no steps are left of 3"


async def test_a_pool_is_replayed() -> None:
    """From the whole journal nothing is asked again, the episode is the same."""
    episode, _, journal = await opened(PoolOfAttempts())
    model = ScriptedModel([], name=episode.model)
    again = await Agent(model, None, planner=PoolOfAttempts()).run(TASK, Box(), RUN, journal)
    assert again == episode


async def test_a_part_is_answered_by_its_own_pool() -> None:
    """The attempts are at the part; its answer is the part's, and the world hears of the whole's alone."""
    plans = iter([["get it open"], [], []])

    def speaks(messages: tuple[Message, ...]) -> Message:
        text = messages[-1].text
        if '"parts"' in text:
            return Message("assistant", json.dumps({"parts": next(plans)}))
        if text.startswith("Task: open the box"):
            return Message("assistant", json.dumps({"score": 1, "done": True}))
        if any(one.text.startswith("All parts are done") for one in messages):
            return call(ANSWER_TOOL, answer="it is open")
        return speak(messages)

    verifier = Verifier(in_parts=True)
    agent = Agent(FunctionModel(speaks), None, planner=PoolOfAttempts(), verifier=verifier)
    episode = await agent.run(TASK, Box(), RUN)
    assert episode.outcome == "success"
    told = [one.text for one in episode.messages if one.text.startswith("Do this part")]
    part, whole = (f"Do this part, then answer: {text}" for text in ("get it open", "open the box"))
    tries = [part, f"{part}\nStrategy: push", f"{part}\nStrategy: slide"]
    assert told == [part, *tries, part, whole]
