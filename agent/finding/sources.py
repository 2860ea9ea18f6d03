"""The three places that are searched, each by verbs of the desk; what was found stands in the messages.

What memory says, and what the model writes itself (SSRL, arXiv 2508.10874), is of kind `memory`: it is read,
and never evidence that anything is learned from.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

from agent.deliberate.asking import words_of
from agent.desk import Desk
from agent.ending import Ending
from agent.opening import question
from agent.reminding import Reminder, remind
from agent.types import Request, ToolSpec
from memory.codec import from_json, to_json
from memory.errors import BadInput
from memory.modes import USES
from memory.types import Json, Message, ToolCall

SourceName = Literal["memory", "external", "self"]
SELF = "self"
"""`Message.agent` of what the model wrote for itself."""
_WRITE = (
    "Write three short documents that a search for this would find, from what you know; "
    "say of each how sure you are.\nSearch: "
)
_NOTHING_NEW = "Memory has nothing on this beyond what is shown already."


async def from_memory(desk: Desk, query: str) -> str:
    """What memory knows of a query, what is new is shown; the run's record and trust have it."""
    mode, memory = desk.run.memory, desk.memory
    if memory is None or not USES[mode].asks:
        desk.say("Memory is off.", agent="memory")
        return ""
    settings, family = desk.settings, desk.task.family if desk.run.family_scope else None
    asked = question(query, desk.run.namespace, desk.run.episode_id, family, settings)
    known = desk.trail.known_items()
    ask = partial(remind, asked, known, mode, model=desk.model, memory=memory, settings=settings)

    async def do() -> Json:
        found = await ask()
        return None if found is None else to_json(found)

    found = await desk.effects.once(f"look up {len(desk.messages)}", do)
    reminder = None if found is None else from_json(Reminder, found)
    if reminder is not None:
        desk.trail.reminded(reminder)
    if reminder is not None and reminder.message is not None:
        return reminder.message.text
    desk.say(_NOTHING_NEW, agent="memory")
    # What was shown before may be what this goal needs.
    return "\n".join(one.text for one in desk.messages if one.kind == "memory" and one.agent != SELF)


async def from_tool(desk: Desk, spec: ToolSpec, query: str) -> tuple[str, Ending | None]:
    """What a tool answers to a query, under all guards like any call."""
    call = ToolCall("", spec.name, {query_argument(spec): query})
    seen, ending = await desk.act(call)
    return (seen.text if seen.ok is not False else ""), ending


async def from_self(desk: Desk, query: str, max_tokens: int) -> str:
    """What the model itself writes on a query."""
    request = Request((Message("user", f"{_WRITE}{query}"),), max_tokens=max_tokens)
    (written,) = await words_of(desk.ask, request)
    text = f"Written from your own knowledge, not found anywhere:\n{written}"
    desk.say(text, kind="memory", agent=SELF)
    return text


def search_tool(desk: Desk, name: str) -> ToolSpec:
    """The tool of that name. Raises BadInput when there is none."""
    for spec in desk.tools():
        if spec.name == name:
            return spec
    there = ", ".join(spec.name for spec in desk.tools())
    raise BadInput(f"there is no tool {name!r} to search with; there are: {there}")


def query_argument(spec: ToolSpec) -> str:
    """The argument that takes the query: the first that must be given, else the first there is.

    >>> query_argument(ToolSpec("find", "", {"properties": {"k": {}, "q": {}}, "required": ["q"]}))
    'q'
    """
    properties, required = spec.parameters.get("properties"), spec.parameters.get("required")
    names = [
        *(required if isinstance(required, list) else ()),
        *(properties if isinstance(properties, dict) else ()),
    ]
    return str(names[0]) if names else "query"
