"""What is seen in BabyAI's grid, in words, and the way to it through what is seen.

A view is an array (size, size, 3) of kind, colour and state as the environment numbers them; who looks stands
in the middle of the last row and looks up.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

LEFT, RIGHT, FORWARD, PICK_UP, DROP, TOGGLE = range(6)
"""The environment's actions."""
Place = tuple[int, int]
_AHEAD: Mapping[int, Place] = {0: (0, -1), 1: (1, 0), 2: (0, 1), 3: (-1, 0)}
"""Where one goes by a step, by how often one has turned right, in the view: the eye looks up."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A thing in the view."""

    name: str
    """Kind, colour, and a number, as `red ball 1`: the nearest is 1."""
    kind: str
    state: str
    at: Place


def things(view: Any) -> Iterator[Seen]:
    """Doors, keys, balls and boxes, nearest first, numbered by kind and colour."""
    size = view.shape[0]
    eye = (size // 2, size - 1)
    cells = [(x, y) for x in range(size) for y in range(size) if (x, y) != eye]
    counts: Counter[str] = Counter()
    for at in sorted(cells, key=lambda at: (abs(at[0] - eye[0]) + abs(at[1] - eye[1]), at)):
        kind = kind_at(view, at)
        if kind in ("door", "key", "ball", "box"):
            plain = f"{_colours()[int(view[at][1])]} {kind}"
            counts[plain] += 1
            state = ("open", "closed", "locked")[int(view[at][2])] if kind == "door" else ""
            yield Seen(f"{plain} {counts[plain]}", kind, state, at)


def way_to(view: Any, goal: Place) -> tuple[int, ...] | None:
    """The fewest moves through what is seen and free until the goal is right ahead."""
    size = view.shape[0]
    start = ((size // 2, size - 1), 0)
    came: dict[tuple[Place, int], tuple[tuple[Place, int], int] | None] = {start: None}
    queue = deque([start])
    while queue:
        state = queue.popleft()
        (x, y), turned = state
        ahead = (x + _AHEAD[turned][0], y + _AHEAD[turned][1])
        if ahead == goal:
            return tuple(reversed(list(_back(came, state))))
        nexts = [(((x, y), (turned - 1) % 4), LEFT), (((x, y), (turned + 1) % 4), RIGHT)]
        if _is_free(view, ahead):
            nexts.append(((ahead, turned), FORWARD))
        for after, move in nexts:
            if after not in came:
                came[after] = (state, move)
                queue.append(after)
    return None


def _back(
    came: Mapping[tuple[Place, int], tuple[tuple[Place, int], int] | None], state: tuple[Place, int]
) -> Iterator[int]:
    while (before := came[state]) is not None:
        state, move = before
        yield move


def _is_free(view: Any, at: Place) -> bool:
    size = view.shape[0]
    if not (0 <= at[0] < size and 0 <= at[1] < size):
        return False
    kind = kind_at(view, at)
    return kind in ("empty", "floor", "goal") or (kind == "door" and int(view[at][2]) == 0)


def where(at: Place, size: int) -> str:
    """As `3 steps ahead and 1 step left`."""
    aside, ahead = at[0] - size // 2, size - 1 - at[1]
    parts = [f"{steps(ahead)} ahead"] if ahead else []
    if aside:
        parts.append(f"{steps(abs(aside))} {'left' if aside < 0 else 'right'}")
    return " and ".join(parts)


def steps(n: int) -> str:
    """How far.

    >>> steps(1), steps(3)
    ('1 step', '3 steps')
    """
    return f"{n} step{'s' if n > 1 else ''}"


def kind_at(view: Any, at: Place) -> str:
    """What is there: `wall`, `door`, `unseen`, ..."""
    from minigrid.core.constants import IDX_TO_OBJECT

    return str(IDX_TO_OBJECT[int(view[at][0])])


@cache
def _colours() -> Mapping[int, str]:
    from minigrid.core.constants import IDX_TO_COLOR

    return dict(IDX_TO_COLOR)
