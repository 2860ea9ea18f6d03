"""A graph of thoughts as a pool: problems are split, solved, refined and put together, by a model that votes.

Source: Gimenes et al. 2025 (ARIES), arXiv 2502.21208. What its failure analysis asks for: problems are split
two deep at most, what was put together is judged and not kept where it is found wrong, and where votes tie
the static schedule decides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from agent.models.schema import Unreadable, checked_json
from agent.pool.mechanism import Change, Choose, Entry, Made, Move, Operator, Pool
from agent.types import Ask, Judgement, Request
from memory.types import Json, Message

_MOVE: Mapping[str, Json] = {
    "type": "object",
    "properties": {
        "action": {"enum": ["split", "solve", "refine", "keep", "aggregate", "finish"]},
        "on": {"type": "array", "items": {"type": "integer", "minimum": 0}},
    },
    "required": ["action", "on"],
}
_ACTIONS = """Choose the next action on this graph of thoughts.
split: one problem into smaller ones. solve: one problem. refine: one answer that is wrong.
keep: of several answers to one problem the best alone. aggregate: on a problem, answers to its parts into its
own. finish: the whole is answered.
As JSON {"action": "solve", "on": [0]}."""


@dataclass(frozen=True, slots=True)
class Thought:
    """A problem, perhaps with an answer."""

    problem: str
    answer: str | None = None
    depth: int = 0
    """Splits above it."""
    of: int = 0
    """Id of the problem that it answers, or, without an answer, that it is part of."""


@dataclass(frozen=True, slots=True)
class Reasoner:
    """Who carries the actions out."""

    split: Callable[[str], Awaitable[Sequence[str]]]
    solve: Callable[[str], Awaitable[str]]
    refine: Callable[[str, str, str], Awaitable[str]]
    """A problem, its answer, and what was found wrong with it."""
    aggregate: Callable[[str, Sequence[str]], Awaitable[str]]
    judge: Callable[[str, str], Awaitable[Judgement]]


Thoughts = Pool[Thought]


def begun(problem: str) -> Thoughts:
    """A pool with the whole problem."""
    return Pool((Entry(0, Thought(problem)),))


def operators(
    reasoner: Reasoner, *, most_depth: int = 2, verifies: bool = True
) -> dict[str, Operator[Thought]]:
    """The five actions; `verifies` keeps no aggregate that is found wrong."""

    async def split(_: Thoughts, on: tuple[Entry[Thought], ...]) -> Change[Thought]:
        (whole,) = on
        if whole.content.depth >= most_depth:
            return Change()
        parts = await reasoner.split(whole.content.problem)
        depth = whole.content.depth + 1
        return Change(tuple(Made(Thought(part, None, depth, whole.id)) for part in parts))

    async def solve(_: Thoughts, on: tuple[Entry[Thought], ...]) -> Change[Thought]:
        return Change((await _answered(on[0], await reasoner.solve(on[0].content.problem)),))

    async def refine(pool: Thoughts, on: tuple[Entry[Thought], ...]) -> Change[Thought]:
        (old,) = on
        fault = old.judgement.feedback if old.judgement else ""
        said = await reasoner.refine(old.content.problem, old.content.answer or "", fault)
        return Change((await _answered(pool.entries[old.content.of], said),), (old.id,))

    async def keep(_: Thoughts, on: tuple[Entry[Thought], ...]) -> Change[Thought]:
        best = max(on, key=lambda one: one.score)
        return Change(dropped=tuple(one.id for one in on if one is not best))

    async def aggregate(pool: Thoughts, on: tuple[Entry[Thought], ...]) -> Change[Thought]:
        whole = on[0]
        answers = [best_of(pool, part.id) for part in parts_of(pool, whole.id)]
        said = [one.content.answer or "" for one in answers if one is not None]
        made = await _answered(whole, await reasoner.aggregate(whole.content.problem, said))
        is_wrong = made.judgement is not None and made.judgement.ok is False
        return Change() if verifies and is_wrong else Change((made,))

    async def _answered(problem: Entry[Thought], answer: str) -> Made[Thought]:
        about = problem.content
        judged = await reasoner.judge(about.problem, answer)
        return Made(Thought(about.problem, answer, about.depth, problem.id), judged)

    return {"split": split, "solve": solve, "refine": refine, "keep": keep, "aggregate": aggregate}


def parts_of(pool: Thoughts, whole: int) -> tuple[Entry[Thought], ...]:
    """The problems that one was split into."""
    return tuple(one for one in pool.entries if one.operator == "split" and one.content.of == whole)


def best_of(pool: Thoughts, problem: int) -> Entry[Thought] | None:
    """The best answer to a problem, the newest of equals."""
    answers = [
        one
        for one in pool.entries
        if one.content.answer is not None and one.content.of == problem and not one.is_dropped
    ]
    return max(answers, key=lambda one: (one.score, one.id), default=None)


def is_answered(pool: Thoughts) -> bool:
    """Is there an answer to the whole that nobody found wrong?"""
    best = best_of(pool, 0)
    return best is not None and best.judgement is not None and best.judgement.ok is not False


def allowed(pool: Thoughts, move: Move, *, most_depth: int = 2) -> bool:
    """Can a move be made as things are?"""
    if not move.on or any(not 0 <= one < len(pool.entries) for one in move.on):
        return False
    first = pool.entries[move.on[0]]
    is_problem = first.content.answer is None
    parts = parts_of(pool, first.id)
    match move.operator:
        case "split":
            return is_problem and first.content.depth < most_depth and not parts
        case "solve":
            return is_problem
        case "refine":
            return not is_problem
        case "keep":
            return len({pool.entries[one].content.of for one in move.on}) == 1 and len(move.on) > 1
        case "aggregate":
            return is_problem and bool(parts) and all(best_of(pool, one.id) for one in parts)
    return False


def static(*, depth: int = 2, tries: int = 2) -> Choose[Thought]:
    """The fixed schedule: split to `depth`, solve every leaf, aggregate upwards; the wrong `tries` times."""

    async def choose(pool: Thoughts) -> Move | None:
        return next_static(pool, depth, tries)

    return choose


def next_static(pool: Thoughts, depth: int, tries: int) -> Move | None:
    """Its next move; None where the whole is answered or nothing is left to try."""
    return _due(pool, 0, depth, tries)


def _due(pool: Thoughts, problem: int, depth: int, tries: int) -> Move | None:
    here, best = pool.entries[problem], best_of(pool, problem)
    if best is not None and not _is_wrong(best):
        return None
    parts = parts_of(pool, problem)
    if here.content.depth < depth and not parts and not _times(pool, "split", problem):
        return Move("split", (problem,))
    for part in parts:
        if (move := _due(pool, part.id, depth, tries)) is not None:
            return move
    is_ready = bool(parts) and all(best_of(pool, part.id) for part in parts)
    if best is None:
        names = ("aggregate", "solve") if is_ready else ("solve",)
        left = (name for name in names if _times(pool, name, problem) < tries)
        return next((Move(name, (problem,)) for name in left), None)
    refined = sum(one.operator == "refine" and one.content.of == problem for one in pool.entries)
    return Move("refine", (best.id,)) if refined < tries else None


def _is_wrong(one: Entry[Thought]) -> bool:
    return one.judgement is not None and one.judgement.ok is False


def _times(pool: Thoughts, name: str, problem: int) -> int:
    return sum(move == Move(name, (problem,)) for move in pool.moves)


def voting(ask: Ask, *, votes: int = 3, otherwise: Choose[Thought], most_depth: int = 2) -> Choose[Thought]:
    """The move that most votes name; the schedule's where they tie or name none that can be made."""

    async def choose(pool: Thoughts) -> Move | None:
        told = f"{render(pool)}\n\n{_ACTIONS}"
        asked = Message("user", told, kind="plan", agent="pool")
        replies = await ask(Request((asked,), n=votes, schema=_MOVE, temperature=1.0))
        named = [move for reply in replies if (move := _read(reply.message.text)) is not None]
        ranked = Counter(named).most_common(2)
        if not ranked or (len(ranked) > 1 and ranked[0][1] == ranked[1][1]):
            return await otherwise(pool)
        move = ranked[0][0]
        if move.operator == "finish" and is_answered(pool):
            return None
        return move if allowed(pool, move, most_depth=most_depth) else await otherwise(pool)

    return choose


def render(pool: Thoughts) -> str:
    """The graph and its history, as the voters read them."""
    lines = []
    for one in pool.entries:
        about = one.content
        what = (
            f"problem: {about.problem}" if about.answer is None else f"answer to [{about.of}]: {about.answer}"
        )
        part = f" (part of [{about.of}], depth {about.depth})" if about.answer is None and about.depth else ""
        score = f" (score {one.score:.2f})" if one.judgement else ""
        lines += [] if one.is_dropped else [f"[{one.id}] {what}{part}{score}"]
    history = "; ".join(f"{move.operator} {list(move.on)}" for move in pool.moves)
    return "\n".join([*lines, f"Done so far: {history or 'nothing'}"])


def _read(text: str) -> Move | None:
    try:
        value = checked_json(text, _MOVE)
    except Unreadable:
        return None
    match value:
        case {"action": str(action), "on": list(on)}:
            return Move(action, tuple(int(str(one)) for one in on))
    return None
