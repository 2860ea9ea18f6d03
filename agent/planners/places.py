"""Places of a search that are places of the world: entered by a call, left by putting the world back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from agent.desk import Desk
from agent.ending import Over
from agent.models.calling import read_calls
from agent.models.schema import Unreadable, call_fault
from agent.prompt import command_of, parse_action
from agent.search.best_first import Node
from agent.search.costs import Hop
from agent.tools import ToolWorld
from agent.types import ANSWER_TOOL, Observation, Reply, ToolSpec
from memory.types import Json, Message, ToolCall


@dataclass(frozen=True, slots=True)
class Place:
    """What stands at a node: the call that leads there, and once it was entered, what came of it."""

    call: ToolCall | None
    """None at the root, and where nothing is left to do."""
    hop: Hop = field(default_factory=lambda: Hop(""))
    messages: tuple[Message, ...] = ()
    """All that was said on the way here."""
    seen: Observation | None = None
    snapshot: Json = None
    notes: tuple[str, ...] = ()
    """What was thought of it."""

    @property
    def line(self) -> str:
        """Its call in one line."""
        return "" if self.call is None else line_of(self.call)


def can_go_back(desk: Desk) -> bool:
    """Does putting the world back undo what tools did? What is beside the world stays as it is."""
    world = desk.box.world
    if desk.snapshot() is None or isinstance(world, ToolWorld):
        return False
    own = {tool.name for tool in world.tools()}
    return all(tool.name in own or tool.read_only for tool in desk.tools())


async def enter(desk: Desk, node: Node[Place]) -> Place:
    """Put the world to the place above, run the call, and say what came of it; the root is there already.

    Raises Over where the run ends, WorldError where the world cannot be put back.
    """
    if (ending := desk.spent_up()) is not None:
        raise Over(ending)
    place, above = node.state, node.parent
    if above is None or place.call is None:
        return place
    if desk.snapshot() != above.state.snapshot:
        await desk.restore(above.state.snapshot)
    begun = len(desk.messages)
    seen, ending = await desk.act(place.call)
    if ending is not None:
        raise Over(ending)
    said = (*above.state.messages, *desk.messages[begun:])
    return replace(place, messages=said, seen=seen, snapshot=desk.snapshot())


async def go_on(desk: Desk, place: Place) -> None:
    """Put the world to a place, and show the model the way there alone."""
    if desk.snapshot() != place.snapshot:
        await desk.restore(place.snapshot)
    begun = len(desk.messages)
    desk.show(lambda messages: (*place.messages, *messages[begun:]))


def call_of(reply: Reply, tools: Sequence[ToolSpec]) -> ToolCall | None:
    """The call of a reply: a native one, one in the text, or words as the answer."""
    if reply.message.tool_calls:
        return reply.message.tool_calls[0]
    text = reply.message.text
    try:
        _, calls = read_calls(text, tools)
    except Unreadable:
        calls = ()
    if calls:
        return calls[0]
    _, call = parse_action(text, tools)
    if call is None and text.strip() and any(tool.name == ANSWER_TOOL for tool in tools):
        return ToolCall("", ANSWER_TOOL, {"answer": text})
    return call


def fault_of(reply: Reply, tools: Sequence[ToolSpec]) -> str | None:
    """Why the call of a reply cannot be made, or None; so too what was only meant as a call."""
    if not reply.message.tool_calls:
        try:
            read_calls(reply.message.text, tools)
        except Unreadable as error:
            return str(error)
    call = call_of(reply, tools)
    return "there is no call in it" if call is None else call_fault(call.name, call.arguments, tools)


def done_at(call: ToolCall) -> bool:
    """Is it the answer?"""
    return call.name == ANSWER_TOOL


def line_of(call: ToolCall) -> str:
    """A call in one line, the same for the same call."""
    return " ".join(command_of(call).split())
