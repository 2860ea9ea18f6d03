"""How each step of an episode went: right, wrong, or putting right what was wrong before. Pure.

An error is what was wrong when it was done: refused, or a loop. A visit that only hindsight calls wasted is
none, though `Message.ok` tells training to leave it out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from agent.builders.steps import PREPOSITIONS, Step, steps
from agent.builders.verdicts import Reason, reasons, verdicts
from memory.types import Episode, StepVerdict


def judged(episode: Episode) -> Episode:
    """The episode with `ok` on its acts and its verdicts; judging again changes nothing.

    A step of a failure that the world took has no verdict unless it put an error right: nobody knows.
    Verdicts that a model or a world gave stay.
    """
    done = verdicts(episode)
    if any(one.by != "miner" for one in episode.verdicts):
        return done
    return replace(done, verdicts=tuple(_verdicts(done)))


def corrected(episode: Episode, told: Sequence[StepVerdict]) -> tuple[StepVerdict, ...]:
    """The verdicts of an episode with what a model found besides, in order.

    What counters called an error or a recovery stays; so does what is told of anything but a call, and a
    recovery before any error, untold.
    """
    made = {one.message: one for one in episode.verdicts}
    acts = {step.act for step in steps(episode)}
    for one in sorted(told, key=lambda one: one.message):
        known = made.get(one.message)
        errors = [place for place, other in made.items() if other.verdict == "error"]
        is_late = one.verdict == "error" or any(place < one.message for place in errors)
        if one.message in acts and is_late and (known is None or known.verdict == "ok"):
            made[one.message] = one
    return tuple(made[message] for message in sorted(made))


def _verdicts(episode: Episode) -> Iterator[StepVerdict]:
    """By message; where one made several calls, what is worst of them."""
    why = reasons(episode)
    open_aims: list[str] = []
    for message, taken in _by_message(episode).items():
        aims = [_aim(step) for step in taken]
        if _is_error(episode, message, why.get(message)):
            open_aims += aims
            yield StepVerdict(message, "error", why.get(message, "judged"))
        elif any(aim in open_aims for aim in aims):
            open_aims = [aim for aim in open_aims if aim not in aims]
            yield StepVerdict(message, "recovery")
        elif episode.messages[message].ok is not None:
            yield StepVerdict(message, "ok", why.get(message, ""))


def _by_message(episode: Episode) -> dict[int, list[Step]]:
    found: dict[int, list[Step]] = {}
    for step in steps(episode):
        found.setdefault(step.act, []).append(step)
    return found


def _is_error(episode: Episode, message: int, reason: Reason | None) -> bool:
    return episode.messages[message].ok is False and reason != "wasted"


def _aim(step: Step) -> str:
    """What a step is to bring about: its kind of action and what that is done to.

    `heat egg with stove 1` and `heat egg with stove 2` are of one aim; so are calls of one tool.
    """
    if not step.is_text:
        return step.verb
    words = step.argument.split()
    cut = next((place for place, word in enumerate(words) if place and word in PREPOSITIONS), len(words))
    return " ".join([step.verb, *words[:cut]])
