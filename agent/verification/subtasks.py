"""A task in parts: plan, do, verify, try once more boldly, and plan again after every part.

Source: MUSE (arXiv 2510.08002), §3. Deviation: one retry for each part; the caller does the part.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agent.models.schema import Unreadable, checked_json
from agent.types import Ask, Request
from agent.verification.outcomes import Ruling
from memory.types import Json, Message

Attempt = Callable[[str, bool], Awaitable[Ruling]]
"""Does a part and has it verified; True asks for exploration: a raised temperature and no procedures."""
_PARTS: dict[str, Json] = {
    "type": "object",
    "properties": {"parts": {"type": "array", "items": {"type": "string"}}},
    "required": ["parts"],
}
_ASKS = {
    "failure": "This part failed twice. What is to be done instead, from here on?",
    "success": "This part is done. What is left to be done?",
    "complete": "No part is left. Is the whole task done? Name what is missing, or nothing.",
}


@dataclass(frozen=True, slots=True)
class Part:
    """One part and how it went."""

    text: str
    rulings: tuple[Ruling, ...]

    @property
    def is_done(self) -> bool:
        """Nothing was found against the last attempt."""
        return self.rulings[-1].outcome != "failure"


async def retried(part: str, attempt: Attempt) -> Part:
    """One attempt, and exactly one more, exploring, where the verifier says no."""
    first = await attempt(part, False)
    if first.outcome != "failure":
        return Part(part, (first,))
    return Part(part, (first, await attempt(part, True)))


async def run(task: str, ask: Ask, attempt: Attempt, *, most: int = 12) -> tuple[Part, ...]:
    """The parts of a task, in order, at most `most`. Ends when the model names none that is left.

    A plan that cannot be read is the task itself at the start, and leaves the rest as it was later on.
    Raises what `ask` and `attempt` raise.
    """
    parts = await _plan(ask, f"Task: {task}\nName its parts in order.", (task,))
    done: list[Part] = []
    while parts and len(done) < most:
        now = await retried(parts[0], attempt)
        done.append(now)
        parts = await _plan(ask, _report(task, done, parts[1:], now.is_done), parts[1:])
        if not parts:
            parts = await _plan(ask, f"Task: {task}\n{_told(done)}\n{_ASKS['complete']}", ())
    return tuple(done)


def _report(task: str, done: list[Part], left: tuple[str, ...], is_done: bool) -> str:
    ask = _ASKS["success" if is_done else "failure"]
    return f"Task: {task}\n{_told(done)}\nLeft: {'; '.join(left) or 'nothing'}\n{ask}"


def _told(done: list[Part]) -> str:
    return "\n".join(f"{'done' if part.is_done else 'failed'}: {part.text}" for part in done)


async def _plan(ask: Ask, said: str, otherwise: tuple[str, ...]) -> tuple[str, ...]:
    prompt = f'{said}\nAnswer with JSON {{"parts": ["…"]}}.'
    (reply,) = await ask(Request((Message("user", prompt),), schema=_PARTS))
    try:
        value = checked_json(reply.message.text, _PARTS)
    except Unreadable:
        return otherwise
    parts = value["parts"] if isinstance(value, dict) else None
    return tuple(map(str, parts)) if isinstance(parts, list) else otherwise
