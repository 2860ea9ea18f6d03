"""Episodes written as plain lists of commands and answers."""

from collections.abc import Sequence

from agent.worlds.sim import BROKEN_RULE
from memory.types import Episode, Message, Outcome, ToolCall

Line = tuple[str, str, bool | None]
"""Command, answer, and whether the world took it."""


def episode(
    lines: Sequence[Line],
    outcome: Outcome = "success",
    *,
    id: str = "e1",
    task: str = "put the mug on shelf 2.",
    family: str = "maple 7",
) -> Episode:
    """An episode of a text world, message 2i + 1 is command i, 2i + 2 its answer. Rules as a household's."""
    messages = [Message("user", f"you are at {family}. task: {task}", kind="task")]
    for number, (command, answer, ok) in enumerate(lines):
        call = ToolCall(f"call{number:05d}", "act", {"command": command})
        messages.append(Message("assistant", f"so. > {command}", kind="act", tool_calls=(call,)))
        rule = answer.partition(BROKEN_RULE)[2].partition(" the task is lost.")[0]
        messages.append(
            Message("tool", answer, kind="observe", tool_call_id=call.id, ok=ok, rule=rule or None)
        )
    return Episode(
        id=id,
        namespace="ns",
        task_id="t1",
        task=task,
        world="household",
        family=family,
        group="t1",
        messages=tuple(messages),
        outcome=outcome,
        steps=len(lines),
        principal="ann",
    )
