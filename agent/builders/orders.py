"""Orders of two commands: those a world insists on, and those that pay. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import comb

from agent.builders.patterns import Pattern
from agent.builders.settings import MineSettings
from agent.builders.steps import PREPOSITIONS, Step, short_form, steps
from memory.types import Episode, Evidence

BEFORE = " before you "


def orders(episodes: Sequence[Episode], family: str | None, settings: MineSettings) -> Iterator[Pattern]:
    """Orders A before B: B was refused, A was done, then B went through. Occasions: attempts at B."""
    switches: dict[tuple[str, str], list[Evidence]] = {}
    taken = [(episode.id, steps(episode)) for episode in episodes]
    for name, own in taken:
        for first, then, index in dict.fromkeys(_switches(own)):
            switches.setdefault((first, then), []).append(Evidence(name, index))
    # Most general first: an order of a longer form adds nothing to the same order of its shorter form.
    told: set[tuple[str, str]] = set()
    for (first, then), evidence in sorted(switches.items(), key=lambda entry: len(entry[0][1])):
        text = _said(first, then)
        if len({one.episode for one in evidence}) < settings.min_support and text not in settings.known:
            continue
        agreeing, against = _attempts(taken, first, then)
        found = Pattern("order", text, family, tuple(evidence), against, _share(agreeing, against))
        is_told = any((first, form) in told for form in _forms(then))
        if found.text in settings.known or (found.counts(settings) and not is_told):
            told.add((first, then))
            yield found


def paying_orders(
    episodes: Sequence[Episode], family: str | None, settings: MineSettings
) -> Iterator[Pattern]:
    """Orders A before B that successes keep and failures do not. Occasions: episodes that tried B.

    Tested by Fisher's exact test on order and outcome, one-sided, the error shared out over all orders looked
    at (Bonferroni): among many commands some order goes with success by chance. No cause is claimed: that is
    for the coins.
    """
    walks = [_walk(episode) for episode in episodes]
    tried = {won: Counter(form for w in walks if w.won == won for form in w.first) for won in (True, False)}
    kept = {won: Counter(pair for w in walks if w.won == won for pair in w.pairs()) for won in (True, False)}
    asked = [
        (first, then)
        for (first, then), wins in sorted(kept[True].items())
        if wins >= settings.min_support
        and tried[False][then] - kept[False][first, then] >= settings.min_support
    ]
    best: dict[str, tuple[tuple[float, float, int], Pattern]] = {}
    for first, then in asked:
        wins, losses = kept[True][first, then], kept[False][first, then]
        p = _fisher(wins, losses, tried[True][then], tried[False][then])
        pattern = _paying(walks, first, then, family)
        if p * len(asked) <= settings.chance and pattern.counts(settings):
            # Much comes after A in a success: what failures end with is what needs it.
            rank = (-pattern.support, _to_the_end(walks, then), len(then))
            best[first] = min(best.get(first, (rank, pattern)), (rank, pattern), key=lambda one: one[0])
    for _, pattern in best.values():
        yield pattern


@dataclass(frozen=True, slots=True)
class _Walk:
    """What one episode did, in order."""

    episode: str
    won: bool
    length: int
    """Steps."""
    first: dict[str, tuple[int, int]]
    """Form of a command to the first attempt at it and the message that answers it."""
    done: dict[str, int]
    """Command to the step that first did it."""

    def keeps(self, first: str, then: str) -> bool:
        """Was A done before B was first tried?"""
        return self.done.get(first, len(self.done) + 10**6) < self.first[then][0]

    def pairs(self) -> Iterator[tuple[str, str]]:
        """All orders it keeps, of two kinds of action."""
        for then, (place, _) in self.first.items():
            for first, done in self.done.items():
                if done < place and first.partition(" ")[0] != then.partition(" ")[0]:
                    yield first, then


def _walk(episode: Episode) -> _Walk:
    tried: dict[str, tuple[int, int]] = {}
    done: dict[str, int] = {}
    for place, step in enumerate(s for s in steps(episode) if s.is_text):
        for form in _general(step.command):
            tried.setdefault(form, (place, _message(step)))
        if step.ok is not False:
            done.setdefault(step.command, place)
    return _Walk(episode.id, episode.outcome == "success", len(steps(episode)), tried, done)


def _to_the_end(walks: Sequence[_Walk], then: str) -> float:
    """Steps that failures still took from the first attempt at B on, on average."""
    left = [walk.length - walk.first[then][0] for walk in walks if then in walk.first and not walk.won]
    return sum(left) / len(left)


def _paying(walks: Sequence[_Walk], first: str, then: str, family: str | None) -> Pattern:
    occasions = [walk for walk in walks if then in walk.first]
    agreeing = [walk for walk in occasions if walk.keeps(first, then) == walk.won]
    against = [walk for walk in occasions if walk.keeps(first, then) != walk.won]
    return Pattern(
        *("success", _said(first, then), family),
        tuple(Evidence(walk.episode, walk.first[then][1]) for walk in agreeing if walk.won),
        tuple(Evidence(walk.episode, walk.first[then][1]) for walk in against),
        _share(len(agreeing), against),
    )


def _fisher(wins: int, losses: int, won: int, lost: int) -> float:
    """Chance of `wins` or more among the won ones when `wins + losses` of all are drawn blindly."""
    drawn, total = wins + losses, won + lost
    ways = sum(comb(won, hit) * comb(lost, drawn - hit) for hit in range(wins, min(won, drawn) + 1))
    return ways / comb(total, drawn)


def _said(first: str, then: str) -> str:
    return f"{first}{BEFORE}{then}."


def _forms(command: str) -> tuple[str, ...]:
    """A command, and the same without its first object: `heat egg with stove 2`, `heat with stove 2`."""
    return tuple(dict.fromkeys((command, short_form(command))))


def _general(command: str) -> tuple[str, ...]:
    """The same, and what it is a kind of: `heat anything`, `go to anything`."""
    words = command.split()
    lead = words[: 2 if len(words) > 1 and words[1] in PREPOSITIONS else 1]
    return (*_forms(command), " ".join([*lead, "anything"]))


def _switches(own: Sequence[Step]) -> Iterator[tuple[str, str, int]]:
    """(A, form of B, message that shows B going through) for each A done between B refused and B done."""
    taken = [step for step in own if step.is_text]
    for index, step in enumerate(taken):
        refused = [i for i in range(index) if taken[i].command == step.command and taken[i].ok is False]
        if not step.ok or not refused:
            continue
        for between in taken[refused[-1] + 1 : index]:
            if between.ok and between.verb != step.verb:
                for form in _forms(step.command):
                    yield between.command, form, step.observe or step.act


def _attempts(
    taken: Sequence[tuple[str, Sequence[Step]]], first: str, then: str
) -> tuple[int, tuple[Evidence, ...]]:
    """Attempts at B that agree with A-before-B (through after A, refused without), and those that do not."""
    agreeing, against = 0, []
    for name, own in taken:
        is_done = False
        for step in own:
            if then in _forms(step.command) and step.ok is not None:
                if step.ok == is_done:
                    agreeing += 1
                else:
                    against.append(Evidence(name, _message(step)))
            is_done = is_done or (step.command == first and bool(step.ok))
    return agreeing, tuple(against)


def _share(agreeing: int, against: Sequence[object]) -> float:
    return agreeing / (agreeing + len(against))


def _message(step: Step) -> int:
    return step.act if step.observe is None else step.observe
