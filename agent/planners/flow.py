"""A task worked on by a program: step after step, decisions as forced choices.

Source: CoRE (arXiv 2405.06907), its interpreter. Deviations: a step is done by turns of the model with the
world's own tools and ends when the model says so by a tool; what it noted then is its memory; the program
may be the flow of the family that did best so far, which the episode is then credited to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from agent.desk import Desk
from agent.ending import Ending
from agent.opening import situation
from agent.planners.program import Program, Step, parse
from agent.planners.react import React
from agent.reminding import Reminder
from agent.types import Observation, Request, ToolSpec
from memory.codec import from_json, to_json
from memory.core import Memory
from memory.errors import BadInput
from memory.modes import USES
from memory.types import Draft, FlowBody, Item, Json, Message, Query, Recalled
from memory.value.means import prior_mean, shrunken

STEP_DONE = ToolSpec(
    "step_done",
    "Say that the step you were set is done; note what later steps need. Changes nothing.",
    {
        "type": "object",
        "properties": {"note": {"type": "string"}},
        "required": ["note"],
        "additionalProperties": False,
    },
    read_only=True,
)


@dataclass(frozen=True, slots=True)
class Flow:
    """Follow a program; without one memory's best for the task's family, else turn by turn."""

    program: Program | None = None
    item: str | None = None
    """Id of the flow in memory that is wanted, whatever others did."""
    most: int = 20
    """Steps of the program; then it is cut, and the model goes on by itself."""
    name: str = "flow"

    async def run(self, desk: Desk) -> Ending:
        """Interpret until the run is over. Models that read plain text go turn by turn."""
        if desk.model.style == "plain":
            return await React().run(desk)
        program = self.program or await _known(desk, self.item)
        if program is None:
            return await React().run(desk)
        desk.offer(STEP_DONE, _noted)
        step = program.steps[0]
        for _ in range(self.most):
            if step.type == "terminal":
                desk.say(f"Step {step.name}, the last: {step.instruction}")
                return await React().run(desk)
            if step.type == "decision":
                step = program[await _decided(desk, step)]
                continue
            desk.say(f"Step {step.name}: {step.instruction} Call {STEP_DONE.name} when it is done.")
            ending = await _worked(desk)
            if ending is not None:
                return ending
            step = program[step.branches[0][1]]
        desk.say("The program goes in circles: leave it and finish the task.")
        return await React().run(desk)


async def _noted(_: Mapping[str, Json]) -> Observation:
    return Observation("noted.", ok=True)


async def _worked(desk: Desk) -> Ending | None:
    """Turns until the step is said to be done; the ending if the run is over."""
    while True:
        ending = desk.spent_up() or await desk.turn()
        if ending is not None or _is_done(desk.messages):
            return ending


def _is_done(messages: Sequence[Message]) -> bool:
    last = next((one for one in reversed(messages) if one.role == "assistant"), None)
    return last is not None and any(call.name == STEP_DONE.name for call in last.tool_calls)


async def _decided(desk: Desk, step: Step) -> str:
    """The step that the model chooses; the first branch where it makes no choice."""
    keys = tuple(key for key, _ in step.branches)
    question = Message("user", f"Decide, {step.name}: {step.instruction}", kind="plan", agent="planner")
    (reply,) = await desk.ask(Request((*desk.prompt(), question), choices=keys))
    key, then = step.branches[reply.choice or 0]
    desk.say(f"Decided, {step.name}: {step.instruction} {key}.")
    return then


@dataclass(frozen=True, slots=True)
class _Found:
    """A flow of memory's, and that it was shown."""

    steps: tuple[str, ...]
    shown: Reminder


def in_force(memory: Memory, namespace: str, item_id: str) -> Item:
    """The flow of that id. Raises NotFound, BadInput where it is something else or counts no more."""
    item = memory.get(namespace, item_id)
    if not isinstance(item.body, FlowBody) or item.status != "active" or item.trust <= 0:
        raise BadInput(f"{item.id!r} is no flow in force: take one that `apprentice flow list` shows")
    return item


async def _known(desk: Desk, wanted: str | None) -> Program | None:
    memory = desk.memory
    if memory is None or not USES[desk.run.memory].shows:
        return None
    query = situation(desk.task, desk.run, desk.settings)
    query = replace(query, family=desk.task.family, kinds=("flow",), k=1)
    query = replace(query, drop_rate=0.0, hold_out=0.0, mixture=())

    async def look() -> Json:
        return to_json(await asyncio.to_thread(_found, memory, query, wanted))

    kept = await desk.effects.once("flow", look)
    if kept is None:
        return None
    found = from_json(_Found, kept)
    desk.trail.reminded(found.shown)
    return parse("\n".join(found.steps))


def _found(memory: Memory, query: Query, wanted: str | None) -> _Found | None:
    """The flow, and a record that it was shown: chosen by what it did, not by likeness, without a coin."""
    if wanted is None:
        item = best_flow(memory, query.namespace, str(query.family))
    else:
        item = in_force(memory, query.namespace, wanted)
    if item is None or not isinstance(item.body, FlowBody):
        return None
    record = memory.recall(query, count_tokens=len).record()
    shown = Recalled(item.id, item.version, item.utility.q, 1.0, shown=True)
    return _Found(item.body.steps, Reminder(None, replace(record, items=(shown,), tokens=0), item.trust))


def best_flow(memory: Memory, namespace: str, family: str) -> Item | None:
    """The family's flow with the highest mean reward of the runs that followed it, drawn towards the mean
    of all while these are few: one that was never run goes before those below that. Ties: the newest.
    """
    items = memory.items(namespace, kind="flow", status="active", family=family, limit=100)
    found = [one for one in items if isinstance(one.body, FlowBody) and one.trust > 0]
    prior = prior_mean([one.utility for one in found])
    return max(found, key=lambda one: (shrunken(one.utility, prior), one.created_at), default=None)


def keep_flow(
    memory: Memory, namespace: str, program: Program, goal: str, family: str, *, principal: str
) -> Item:
    """Store a program for a family of tasks, where `Flow` finds it; older ones stay, with their history."""
    steps = tuple(program.text.splitlines())
    draft = Draft(
        "flow",
        f"{goal}\n{program.text}",
        FlowBody(goal, steps),
        scope="family",
        family=family,
        status="active",
    )
    (item,) = memory.remember(namespace, [draft], principal=principal, channel="operator")
    if item is None:
        raise BadInput(f"the flow for {goal!r} was not taken in")
    return item
