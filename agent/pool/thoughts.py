"""A graph of thoughts as a pool: problems are split, solved, refined and put together, by a model that votes.

Source: Gimenes et al. 2025 (ARIES), arXiv 2502.21208. What its failure analysis asks for: problems are split
two deep at most, what was put together is judged and put aside where it is found wrong, and where votes tie
the static schedule decides. Deviation: a thought that failed stays in the pool, dropped, is told to the one
after it, and is tried a few times only.
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
    """Who carries the actions out; an answer of None is one that could not be had."""

    split: Callable[[str], Awaitable[Sequence[str]]]
    """Its parts; none where it has none."""
    solve: Callable[[str], Awaitable[str | None]]
    refine: Callable[[str, str, str], Awaitable[str | None]]
    """A problem, its answer, and what was found wrong with it."""
    aggregate: Callable[[str, Sequence[tuple[str, str]], str], Awaitable[str | None]]
    """A problem, its parts with their answers, and what was found wrong with the aggregates before."""
    judge: Callable[[str, str], Awaitable[Judgement]]


Thoughts = Pool[Thought]
_UNSAID = Judgement(0.0, ok=False, feedback="there was no answer")


def begun(problem: str) -> Thoughts:
    """A pool with the whole problem."""
    return Pool((Entry(0, Thought(problem)),))


def operators(
    reasoner: Reasoner, *, most_depth: int = 2, verifies: bool = True
) -> dict[str, Operator[Thought]]:
    """The five actions; `verifies` puts an aggregate aside that is found wrong."""

    async def split(_: Thoughts, on: tuple[Entry[Thought], ...]) -> Change[Thought]:
        (whole,) = on
        if whole.content.depth >= most_depth:
            return Change()
        parts = await reasoner.split(whole.content.problem)
        depth = whole.content.depth + 1
        return Change(tuple(Made(Thought(part, None, depth, whole.id)) for part in parts))

    async def solve(pool: Thoughts, on: tuple[Entry[Thought], ...]) -> Change[Thought]:
        said = await reasoner.solve(on[0].content.problem)
        made = await _answered(reasoner, on[0], said)
        return Change((made,), (len(pool.entries),) if said is None else ())

    async def refine(pool: Thoughts, on: tuple[Entry[Thought], ...]) -> Change[Thought]:
        (old,) = on
        fault = old.judgement.feedback if old.judgement else ""
        said = await reasoner.refine(old.content.problem, old.content.answer or "", fault)
        made = await _answered(reasoner, pool.entries[old.content.of], said)
        is_worse = said is None or (made.judgement is not None and made.judgement.score < old.score)
        return Change((made,), (len(pool.entries) if is_worse else old.id,))

    async def aggregate(pool: Thoughts, on: tuple[Entry[Thought], ...]) -> Change[Thought]:
        whole = on[0]
        found = [(part.content.problem, best_of(pool, part.id)) for part in parts_of(pool, whole.id)]
        parts = [(problem, one.content.answer or "") for problem, one in found if one is not None]
        said = await reasoner.aggregate(whole.content.problem, parts, _faults_before(pool, whole.id))
        made = await _answered(reasoner, whole, said)
        is_wrong = verifies and made.judgement is not None and made.judgement.ok is False
        return Change((made,), (len(pool.entries),) if is_wrong or said is None else ())

    return {"split": split, "solve": solve, "refine": refine, "keep": _keep, "aggregate": aggregate}


async def _keep(_: Thoughts, on: tuple[Entry[Thought], ...]) -> Change[Thought]:
    best = max(on, key=lambda one: one.score)
    return Change(dropped=tuple(one.id for one in on if one is not best))


async def _answered(reasoner: Reasoner, problem: Entry[Thought], answer: str | None) -> Made[Thought]:
    about = problem.content
    judged = _UNSAID if answer is None else await reasoner.judge(about.problem, answer)
    return Made(Thought(about.problem, answer or "", about.depth, problem.id), judged)


def _faults_before(pool: Thoughts, problem: int) -> str:
    """What was found wrong with the aggregates that were put aside, one after the other."""
    own = (one for one in pool.entries if one.operator == "aggregate" and one.content.of == problem)
    return "; ".join(one.judgement.feedback for one in own if one.is_dropped and one.judgement)


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


def allowed(pool: Thoughts, move: Move, *, most_depth: int = 2, tries: int = 2) -> bool:
    """Can a move be made as things are? What was tried `tries` times cannot, nor a second split."""
    if not move.on or any(not 0 <= one < len(pool.entries) for one in move.on):
        return False
    first = pool.entries[move.on[0]]
    if first.content.answer is not None:
        return _allowed_on_answers(pool, move, tries)
    parts, is_left = parts_of(pool, first.id), _times(pool, move.operator, first.id) < tries
    match move.operator:
        case "split":
            return first.content.depth < most_depth and not _times(pool, "split", first.id)
        case "solve":
            return is_left
        case "aggregate":
            return is_left and bool(parts) and all(best_of(pool, one.id) for one in parts)
    return False


def _allowed_on_answers(pool: Thoughts, move: Move, tries: int) -> bool:
    answers = pool.of(move.on)
    if any(one.content.answer is None or one.is_dropped for one in answers):
        return False
    problems = {one.content.of for one in answers}
    if move.operator == "refine":
        return len(answers) == 1 and _refined(pool, min(problems)) < tries
    return move.operator == "keep" and len(set(move.on)) > 1 and len(problems) == 1


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
    names = [name for name, is_due in (("aggregate", is_ready), ("solve", best is None)) if is_due]
    if best is not None and best.operator == "aggregate":
        names = []
    left = [name for name in names if _times(pool, name, problem) < tries]
    if left or best is None:
        return Move(left[0], (problem,)) if left else None
    return Move("refine", (best.id,)) if _refined(pool, problem) < tries else None


def _is_wrong(one: Entry[Thought]) -> bool:
    return one.judgement is not None and one.judgement.ok is False


def _times(pool: Thoughts, name: str, problem: int) -> int:
    return sum(move.operator == name and move.on[:1] == (problem,) for move in pool.moves)


def _refined(pool: Thoughts, problem: int) -> int:
    return sum(one.operator == "refine" and one.content.of == problem for one in pool.entries)


def voting(
    ask: Ask, *, votes: int = 3, otherwise: Choose[Thought], most_depth: int = 2, tries: int = 2
) -> Choose[Thought]:
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
        is_allowed = allowed(pool, move, most_depth=most_depth, tries=tries)
        return move if is_allowed else await otherwise(pool)

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
            ids = tuple(int(str(one)) for one in on)
            # One vote, however it is written: the others work on one entry, the end on none.
            return Move(action, tuple(sorted(set(ids))) if action == "keep" else ids[: action != "finish"])
    return None
