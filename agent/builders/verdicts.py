"""Right and wrong steps of one episode: refused actions, loops, wasted visits. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from agent.builders.steps import Step, steps
from memory.types import Episode

Reason = Literal["refused", "loop", "wasted"]
_LOOP = 3
"""The same command with the same answer for the third time is a loop, whatever lay between."""


def verdicts(episode: Episode) -> Episode:
    """The episode with `ok` on its act messages: False for a wrong step, True in a success, else None.

    Wrong: the answer was a refusal; the same command got the same answer again with only commands of
    its kind between, or for the third time. Wasted (in a success of a text world): a visit directly
    followed by another of the same kind, to something no later command of another kind names.
    What was already judged stays.
    """
    wrong = reasons(episode)
    good = {s.act for s in steps(episode)} - wrong.keys() if episode.outcome == "success" else set()
    judged = {**dict.fromkeys(wrong, False), **dict.fromkeys(good, True)}
    return replace(
        episode,
        messages=tuple(
            replace(m, ok=judged[i]) if m.ok is None and i in judged else m
            for i, m in enumerate(episode.messages)
        ),
    )


def reasons(episode: Episode) -> dict[int, Reason]:
    """Why steps are wrong, by the message that made the call."""
    taken = steps(episode)
    found: dict[int, Reason] = {}
    for index, step in enumerate(taken):
        if step.ok is False:
            found[step.act] = "refused"
        elif _is_loop(taken, index):
            found.setdefault(step.act, "loop")
        elif episode.outcome == "success" and is_wasted(taken, index):
            found.setdefault(step.act, "wasted")
    return found


def _is_loop(taken: Sequence[Step], index: int) -> bool:
    step = taken[index]
    same = [i for i in range(index) if (taken[i].command, taken[i].answer) == (step.command, step.answer)]
    if not same:
        return False
    between = taken[same[-1] + 1 : index]
    return len(same) + 1 >= _LOOP or all(s.verb == step.verb for s in between)


def is_wasted(taken: Sequence[Step], index: int) -> bool:
    """Was it a visit followed by the next, to something that nothing of another kind names later?"""
    step, later = taken[index], taken[index + 1 :]
    if not later or not step.is_text or not step.argument:
        return False
    moved_on = later[0].verb == step.verb and later[0].argument != step.argument
    return moved_on and not any(s.verb != step.verb and step.argument in s.command for s in later)
