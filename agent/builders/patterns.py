"""What the commands of several episodes of a family have in common: loops, dead actions, wasted visits. Pure.

Every pattern is counted over occasions: what bears it out and what speaks against it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from agent.builders.settings import MineSettings, PatternName
from agent.builders.steps import Step, short_form, steps
from agent.builders.verdicts import is_wasted
from agent.words import numbered_names
from memory.types import Draft, Episode, Evidence, Lineage, PrincipleBody

_LONGEST = 200
"""Characters of a command that may become part of a principle."""
_SEVERAL = 3
"""Objects that a command must be refused with before it is told without one; likewise steps before it."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """One regularity, in words and counted."""

    name: PatternName
    text: str
    family: str | None
    """None where several families show it."""
    evidence: tuple[Evidence, ...]
    """Where it is seen, in the order of the episodes."""
    against: tuple[Evidence, ...] = ()
    """Where the opposite is seen."""
    confidence: float | None = None
    """Share of its occasions that agree with it; None for a rule: a world's word is not counted."""
    tier: Literal["family", "tool"] = "family"

    @property
    def support(self) -> int:
        """Episodes that show it."""
        return len({one.episode for one in self.evidence})

    def counts(self, settings: MineSettings) -> bool:
        """Is it borne out often enough?"""
        if self.confidence is None or self.text in settings.known:
            return True
        return self.support >= settings.min_support and self.confidence >= settings.min_confidence

    def draft(self, builder: Literal["symbolic", "neuro-symbolic"] = "symbolic") -> Draft:
        """As a principle on trial, of its family or of the whole namespace."""
        tier = "global" if self.family is None and self.tier == "family" else self.tier
        body = PrincipleBody(
            *(tier, builder, self.support, len({one.episode for one in self.against})),
            confidence=self.confidence,
            pattern=self.name,
            against=self.against,
        )
        return Draft(
            *("principle", self.text, body),
            scope="namespace" if self.family is None else "family",
            family=self.family,
            status="trial",
            lineage=Lineage(self.evidence),
        )

    def names(self, episode: str) -> bool:
        """Does the episode bear it out, or speak against it?"""
        return any(one.episode == episode for one in (*self.evidence, *self.against))


@dataclass(slots=True)
class _Tally:
    """Occasions of one command, as they are found."""

    seen: list[Evidence] = field(default_factory=list)
    against: list[Evidence] = field(default_factory=list)

    def pattern(self, name: PatternName, text: str, family: str | None) -> Pattern:
        """What it makes of them; at least one is there."""
        share = len(self.seen) / (len(self.seen) + len(self.against))
        return Pattern(name, text, family, tuple(self.seen), tuple(self.against), share)


def loops(episodes: Sequence[Episode], family: str | None, settings: MineSettings) -> Iterator[Pattern]:
    """Commands given again and again with the same answer. Occasions: episodes with such a loop.

    Those that failed bear it out; one that succeeded all the same speaks against it.
    """
    tallies: dict[str, _Tally] = {}
    for episode in episodes:
        seen: dict[tuple[str, str], int] = {}
        told: set[str] = set()
        for step in steps(episode):
            times = seen[step.command, step.answer] = seen.get((step.command, step.answer), 0) + 1
            if times < settings.loop or step.command in told:
                continue
            told.add(step.command)
            tally = tallies.setdefault(step.command, _Tally())
            (tally.seen if episode.outcome == "failure" else tally.against).append(_at(episode, step))
    for command, tally in tallies.items():
        text = f"do not {command} again and again: the answer stays the same."
        yield tally.pattern("loop", text, family)


def dead_actions(episodes: Sequence[Episode], family: str | None) -> Iterator[Pattern]:
    """Commands that were refused whenever they were given; of calls with arguments, such tools.

    Occasions: every attempt. One that went through, be it with another object, is no dead action but one that
    needs something first. A refusal that states a rule has changed something: it says what to do. What was
    refused with several objects is told once: `do not clean with sink 1`. A command that names nothing by
    number may mean another thing elsewhere: it must have been refused behind several different steps.
    """
    kinds: dict[tuple[str, bool], dict[str, _Tally]] = {}
    behind: dict[tuple[str, bool], set[str]] = {}
    alive: set[tuple[str, bool]] = set()
    for episode in episodes:
        before = ""
        for step in steps(episode):
            kind = (short_form(step.command) if step.is_text else step.verb, step.is_text)
            if step.ok is not False or step.rule:
                alive.add(kind)
                before = step.command
                continue
            behind.setdefault(kind, set()).add(before)
            whole = step.command if step.is_text else step.verb
            kinds.setdefault(kind, {}).setdefault(whole, _Tally()).seen.append(_at(episode, step))
    places = {episode.id: place for place, episode in enumerate(episodes)}
    for (short, is_text), wholes in kinds.items():
        is_vague = is_text and not numbered_names(short) and len(behind[short, is_text]) < _SEVERAL
        if is_vague or (short, is_text) in alive:
            continue
        if len(wholes) >= _SEVERAL:
            seen = [piece for tally in wholes.values() for piece in tally.seen]
            wholes = {short: _Tally(sorted(seen, key=lambda piece: (places[piece.episode], piece.message)))}
        for name, tally in wholes.items():
            text = f"do not {name if is_text else f'call {name}'}: it does nothing."
            yield replace(tally.pattern("dead", text, family), tier="family" if is_text else "tool")


def wasted_visits(episodes: Sequence[Episode], family: str | None) -> Iterator[Pattern]:
    """Visits that successes did not need, see `is_wasted`. Occasions: successes that made the visit."""
    tallies: dict[str, _Tally] = {}
    for episode in episodes:
        if episode.outcome != "success":
            continue
        taken = steps(episode)
        visits = {step.command: place for place, step in enumerate(taken) if _is_visit(step)}
        wasted = {step.command for place, step in enumerate(taken) if is_wasted(taken, place)}
        used = {
            s.command for place, s in enumerate(taken) if s.ok is not False and not is_wasted(taken, place)
        }
        for command in visits.keys() & (used | wasted):
            tally = tallies.setdefault(command, _Tally())
            (tally.against if command in used else tally.seen).append(_at(episode, taken[visits[command]]))
    for command, tally in tallies.items():
        text = f"there is no need to {command}."
        yield tally.pattern("waste", text, family)


def _is_visit(step: Step) -> bool:
    """Is it done to one thing alone, a place for instance? What names two is no look round."""
    return step.is_text and bool(step.argument) and short_form(step.command) == step.command


def best(found: Sequence[Pattern], settings: MineSettings) -> tuple[Pattern, ...]:
    """Those that count, best supported first, as many as may be."""
    kept = [one for one in found if one.counts(settings) and len(one.text) <= _LONGEST]
    ranked = sorted(kept, key=lambda one: (-one.support, -(one.confidence or 0.0), one.text))
    known = [one for one in ranked[settings.max_each :] if one.text in settings.known]
    return (*ranked[: settings.max_each], *known)


def _at(episode: Episode, step: Step) -> Evidence:
    return Evidence(episode.id, step.act if step.observe is None else step.observe)
