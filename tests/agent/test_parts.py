"""Runs in parts: each looked at, tried once more without what was recalled, the whole answered last."""

import json
from collections.abc import Sequence
from pathlib import Path

from agent.journal import MemoryJournal
from agent.loop import Agent
from agent.models.scripted import ScriptedModel
from agent.opening import Run
from agent.tools import FunctionTool, ToolWorld
from agent.types import Budget, Judgement, Task
from agent.verification.verify import Verifier
from memory.core import Memory
from memory.encoder import HashEncoder
from memory.types import CaseBody, Draft, Episode, Json, Message, ToolCall

TASK = Task("t1", "find the mug and say where it is.", "tools", "maple 7")
RUN = Run("ns", "ann", "e1")
LIE, TRUTH = "it is in vault 99.", "it is in cabinet 3."


def plan(*parts: str) -> str:
    return json.dumps({"parts": parts})


def call(tool: str, **arguments: Json) -> Message:
    return Message("assistant", "", tool_calls=(ToolCall("x", tool, dict(arguments)),))


def search(place: str) -> str:
    """Look into a place."""
    return f"there is a mug in {place}"


SEARCH, ANSWER = call("search", place="cabinet 3"), call("finish", answer=TRUTH)
SCRIPT = [plan("find it", "report"), SEARCH, call("finish", answer=LIE)]
"""A plan, and its first part done badly."""


async def lived(
    script: Sequence[str | Message],
    *,
    memory: Memory | None = None,
    run: Run = RUN,
    verifier: Verifier | None = None,
) -> tuple[Episode, ScriptedModel]:
    """An episode, the same twice with one journal, and the model that lived it."""
    model, journal = ScriptedModel(script), MemoryJournal()
    agent = Agent(model, memory, verifier=verifier or Verifier(in_parts=True))

    def world() -> ToolWorld:
        return ToolWorld([FunctionTool.of(search, read_only=True)], check=judged)

    episode = await agent.run(TASK, world(), run, journal)
    assert await agent.run(TASK, world(), run, journal) == episode
    return episode, model


def judged(_task: Task, answer: str) -> Judgement:
    return Judgement(float(answer == TRUTH), None if answer == "later" else answer == TRUTH)


async def test_a_part_that_does_not_hold_is_tried_once_more_and_the_world_hears_the_last_answer() -> None:
    """The lie of a part is told to the model alone; the whole task's answer is what the world judges."""
    after = [ANSWER, plan("report"), ANSWER, plan(), plan(), ANSWER]
    episode, model = await lived([*SCRIPT, *after])
    assert (episode.outcome, episode.outcome_by, model.left) == ("success", "world", 0)
    critics = [message.text for message in episode.messages if message.kind == "critique"]
    assert critics == ["Checked: nobody ever saw 'vault 99'"]
    told = [message.text for message in episode.messages if message.kind == "plan"]
    assert ["another way" in text for text in told] == [False, True, False, False]
    temperatures = [request.temperature for request in model.history if request.schema is None]
    assert temperatures == [0.0, 0.0, 1.0, 0.0, 0.0]
    assert episode.usage.calls == len(model.history)


async def test_plans_are_journaled_among_the_turns() -> None:
    """The names are those of runs that a restart goes on with: another order would be read as theirs."""
    journal, script = MemoryJournal(), [*SCRIPT, ANSWER, plan(), plan(), ANSWER]
    world = ToolWorld([FunctionTool.of(search, read_only=True)], check=judged)
    await Agent(ScriptedModel(script), None, verifier=Verifier(in_parts=True)).run(TASK, world, RUN, journal)
    first = ["reset", "opening", "model 1", "model 2", "step 1", "model 3", "verify 1", "model 4", "verify 2"]
    assert list(journal.record) == [*first, "model 5", "model 6", "model 7", "step 2"]


async def test_the_second_try_does_without_what_was_recalled(tmp_path: Path) -> None:
    """And only the second try."""
    with Memory.open(tmp_path / "memory.db", encoder=HashEncoder(64)) as memory:
        case = Draft("case", f"maple 7: {TASK.text}", CaseBody(TASK.text, (), "look low"), outcome="success")
        memory.remember("ns", [case], principal="ann", channel="user")
        _, model = await lived([*SCRIPT, ANSWER, plan(), plan(), ANSWER], memory=memory)
    shown = [
        any(message.kind == "memory" for message in request.messages)
        for request in model.history
        if request.schema is None
    ]
    assert shown == [True, True, False, True]


async def test_a_second_failure_is_not_tried_again() -> None:
    """It is planned anew."""
    _, model = await lived([*SCRIPT, call("finish", answer=LIE), plan(), plan(), ANSWER])
    assert "failed twice" in model.history[4].messages[0].text


async def test_a_budget_ends_a_run_in_the_middle_of_a_part() -> None:
    """Answers of parts are steps too."""
    episode, model = await lived(SCRIPT, run=Run("ns", "ann", "e1", budget=Budget(max_steps=2)))
    assert (episode.outcome, episode.steps, model.left) == ("failure", 2, 0)
    assert episode.error == "no steps are left of 2"


async def test_the_whole_is_looked_at_where_the_world_does_not_judge() -> None:
    """A verifier's word on the last answer, as without parts."""
    script = [plan("find it"), SEARCH, ANSWER, plan(), plan(), call("finish", answer="later")]
    honest, _ = await lived(script)
    assert (honest.outcome, honest.outcome_by) == ("unknown", None)
    late = [
        plan("find it"),
        SEARCH,
        ANSWER,
        plan(),
        plan(),
        SEARCH,
        call("finish", answer="later"),
        "no plan",
    ]
    yes = json.dumps({"holds": "yes"})
    checker = ScriptedModel([yes] * 40)
    ruled, _ = await lived(late, verifier=Verifier(checker, in_parts=True))
    assert (ruled.outcome, ruled.outcome_by) == ("success", "verifier")
