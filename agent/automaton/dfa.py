"""Automata: states are what is left of a formula, dead ones are cut off. Pure.

`allowed` never leads into a dead end: from every state that is kept the end can still be reached.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.automaton.formula import Formula, flattened, holds_at_the_end, labels_of, progressed
from memory.errors import BadInput, TooLarge

OTHER = "*"
"""Stands for every label that a formula does not name."""
MOST_STATES = 1000


@dataclass(frozen=True, slots=True)
class Automaton:
    """States are numbered from 0, where it begins; only those from which the end can be reached."""

    labels: tuple[str, ...]
    """Those it tells apart, `*` for all others."""
    moves: tuple[Mapping[str, int], ...]
    """By state, then label."""
    ends: frozenset[int]
    """States in which a trace may end."""

    def allowed(self, state: int) -> tuple[str, ...]:
        """Labels that may follow."""
        return tuple(self.moves[state])

    def step(self, state: int, label: str) -> int | None:
        """The state after a label; None where it may not follow."""
        return self.moves[state].get(label if label in self.labels else OTHER)

    def after(self, trace: Sequence[str]) -> int | None:
        """The state after a trace; None where a label of it may not be there."""
        state: int | None = 0
        for label in trace:
            state = None if state is None else self.step(state, label)
        return state

    def accepts(self, trace: Sequence[str]) -> bool:
        """May this be a whole trace?"""
        return self.after(trace) in self.ends

    def fault(self, trace: Sequence[str]) -> tuple[int, str] | None:
        """Where a trace goes wrong first, and why; None if it is a whole trace."""
        state = 0
        for place, label in enumerate(trace):
            then = self.step(state, label)
            if then is None:
                return place, f"{label!r} may not come here: {self.expected(state)}"
            state = then
        return None if state in self.ends else (len(trace), f"it may not end here: {self.expected(state)}")

    def to_end(self) -> tuple[int, ...]:
        """From each state, the fewest labels to one in which a trace may end."""
        far = dict.fromkeys(self.ends, 0)
        while len(far) < len(self.moves):
            far |= {
                state: 1 + min(far[then] for then in moves.values() if then in far)
                for state, moves in enumerate(self.moves)
                if state not in far and any(then in far for then in moves.values())
            }
        return tuple(far[state] for state in range(len(self.moves)))

    def expected(self, state: int) -> str:
        """What may follow, in words."""
        named = [repr(label) if label != OTHER else "anything else" for label in self.allowed(state)]
        return f"{', '.join(named)} may follow" if named else "nothing may follow"


def automaton_of(
    formula: Formula, labels: Sequence[str] = (), *, most_states: int = MOST_STATES
) -> Automaton:
    """The automaton of a formula over its labels, `labels` and all others.

    Raises BadInput when nothing fulfils the formula, TooLarge beyond `most_states`.
    """
    alphabet = (*sorted({*labels, *labels_of(formula)}), OTHER)
    places, edges = _explored(formula, alphabet, most_states)
    ends = {state for one, state in places.items() if holds_at_the_end(one)}
    live = _live(edges, ends)
    if 0 not in live:
        raise BadInput("no trace fulfils this formula: two of its rules contradict each other")
    kept = {state: place for place, state in enumerate(sorted(live))}
    moves = tuple(
        {label: kept[then] for label, then in edges[state].items() if then in live} for state in kept
    )
    return Automaton(alphabet, moves, frozenset(kept[state] for state in ends & live))


def _explored(
    formula: Formula, alphabet: Sequence[str], most_states: int
) -> tuple[dict[Formula, int], list[dict[str, int]]]:
    places: dict[Formula, int] = {formula: 0}
    edges: list[dict[str, int]] = []
    waiting = deque([formula])
    while waiting:
        now = waiting.popleft()
        moves: dict[str, int] = {}
        for label in alphabet:
            then = flattened(progressed(now, label))
            if then not in places:
                if len(places) >= most_states:
                    raise TooLarge(f"the formula needs more than {most_states} states: use fewer rules")
                places[then] = len(places)
                waiting.append(then)
            moves[label] = places[then]
        edges.append(moves)
    return places, edges


def _live(edges: Sequence[Mapping[str, int]], ends: set[int]) -> set[int]:
    """States from which an end can be reached."""
    before: dict[int, set[int]] = {}
    for state, moves in enumerate(edges):
        for then in moves.values():
            before.setdefault(then, set()).add(state)
    live, waiting = set(ends), deque(ends)
    while waiting:
        for state in before.get(waiting.popleft(), set()) - live:
            live.add(state)
            waiting.append(state)
    return live
