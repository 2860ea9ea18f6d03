"""Patterns of commands that several episodes of a family show. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from agent.builders.settings import MineSettings
from agent.builders.steps import PREPOSITIONS, steps
from memory.types import Draft, Episode, Evidence, Lineage, PrincipleBody


def principle(text: str, family: str, evidence: tuple[Evidence, ...], violations: int = 0) -> Draft:
    """A principle of a family that counters found; it starts on trial."""
    support = len({e.episode for e in evidence})
    return Draft(
        "principle",
        text,
        PrincipleBody("family", "symbolic", support, violations),
        scope="family",
        family=family,
        status="trial",
        lineage=Lineage(evidence),
    )


def _forms(command: str) -> tuple[str, ...]:
    """A command, and the same without its first object: `heat egg with stove 2`, `heat with stove 2`."""
    words = command.split()
    cuts = [i for i, word in enumerate(words) if i > 1 and word in PREPOSITIONS]
    return (command, *(" ".join([words[0], *words[cut:]]) for cut in cuts[:1]))


def orders(episodes: Sequence[Episode], family: str, settings: MineSettings) -> Iterator[Draft]:
    """Orders A before B: B was refused, A was done, then B went through."""
    switches: dict[tuple[str, str], list[Evidence]] = {}
    for episode in episodes:
        for first, then, index in dict.fromkeys(_switches(episode)):
            switches.setdefault((first, then), []).append(Evidence(episode.id, index))
    # Most general first: an order of a longer form adds nothing to the same order of its shorter form.
    told: set[tuple[str, str]] = set()
    for (first, then), evidence in sorted(switches.items(), key=lambda entry: len(entry[0][1])):
        if len({e.episode for e in evidence}) < settings.min_support:
            continue
        agree, against = _attempts(episodes, first, then)
        is_told = any((first, form) in told for form in _forms(then))
        if is_told or agree < settings.min_confidence * (agree + against):
            continue
        told.add((first, then))
        text = settings.precondition.format(first=first, then=then)
        yield principle(text, family, tuple(evidence), against)


def _switches(episode: Episode) -> Iterator[tuple[str, str, int]]:
    """(A, form of B, message that shows B going through) for each A done between B refused and B done."""
    taken = [s for s in steps(episode) if s.is_text]
    for index, step in enumerate(taken):
        refused = [i for i in range(index) if taken[i].command == step.command and taken[i].ok is False]
        if not step.ok or not refused:
            continue
        for between in taken[refused[-1] + 1 : index]:
            if between.ok and between.verb != step.verb:
                for form in _forms(step.command):
                    yield between.command, form, step.observe or step.act


def _attempts(episodes: Sequence[Episode], first: str, then: str) -> tuple[int, int]:
    """Attempts at B that agree with A-before-B (through after A, refused without) and that do not."""
    counts: Counter[bool] = Counter()
    for episode in episodes:
        is_done = False
        for step in steps(episode):
            if then in _forms(step.command) and step.ok is not None:
                counts[step.ok == is_done] += 1
            is_done = is_done or (step.command == first and bool(step.ok))
    return counts[True], counts[False]
