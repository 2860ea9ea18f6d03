"""Families of tasks as memory holds them, writers with a script, for the tests of sources."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from agent.models.scripted import FunctionModel
from agent.types import Judgement, Task, ToolSpec
from agent.worlds.catalogue import SiteCatalogue
from distill.sources.known import Candidate, Known
from memory.errors import BadInput
from memory.types import Episode, Json, Message, Outcome, ToolCall

SITE = "maple 27"
HOUSE = SiteCatalogue("household")
PRESS = ToolSpec("press", "Press a button.", {"type": "object", "properties": {"button": {"type": "string"}}})


def text_task(config: Mapping[str, Json]) -> Task:
    """A task in free text, as the server's `tools` world reads one."""
    text, family = config.get("text"), str(config.get("family"))
    if not isinstance(text, str) or not text.strip():
        raise BadInput("a task needs a text")
    return Task(f"tools-{text}", text, "tools", family, {"text": text, "family": family})


def attempt(task: Task, outcome: Outcome, n: int = 0, *, steps: int = 3) -> Episode:
    """One attempt, numbered."""
    call = ToolCall("c1", "act", {"command": "look"})
    messages = (
        Message("user", task.text, kind="task"),
        Message("assistant", "", tool_calls=(call,)),
        Message("tool", "you see a shelf.", tool_call_id="c1"),
    )
    words = (task.id, task.text, task.world, task.family, task.id)
    return Episode(f"{task.id}-{n}", "home", *words, messages, outcome, steps=steps)


def house(*episodes: Episode, **more: object) -> Known:
    """The bundled household's site."""
    fixed: dict[str, object] = {
        "listed": {task.id: task for task in HOUSE.all(SITE)},
        "split": HOUSE.split_of,
        "episodes": episodes,
        "tools": HOUSE.make().tools(),
    }
    return Known("household", SITE, HOUSE.task, **fixed | more)  # type: ignore[arg-type]


def texts(*episodes: Episode, **more: object) -> Known:
    """Tasks in free text."""
    fixed: dict[str, object] = {"episodes": episodes, "tools": (PRESS,)}
    return Known("tools", "mail", text_task, **fixed | more)  # type: ignore[arg-type]


def writer(*answers: Sequence[Json] | str) -> FunctionModel:
    """Writes these tasks, one answer after the other; then none."""
    left = list(answers)

    def write(_: tuple[Message, ...]) -> str:
        answer: Sequence[Json] | str = left.pop(0) if left else ()
        return answer if isinstance(answer, str) else json.dumps({"tasks": list(answer)})

    return FunctionModel(write)


def judging(score: Callable[[str], float]) -> Callable[[Candidate, Known], object]:
    """A judge of task texts."""

    async def judge(candidate: Candidate, _: Known) -> Judgement:
        return Judgement(score(candidate.task.text), None, "as told")

    return judge


async def fine(_: Candidate, __: Known) -> Judgement:
    """A judge whom everything pleases."""
    return Judgement(1.0, None)
