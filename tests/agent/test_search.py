"""Best-first search: A* finds the best path with little work, costs are as written down, back-ups differ."""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import inf

import pytest

from agent.search.best_first import (
    Backup,
    Found,
    Grown,
    Node,
    Priority,
    best_known,
    best_leaf,
    best_open,
    by_value,
    by_visits,
    mean_known,
    search,
)
from agent.search.costs import Hop, Weights, cost, hops

Cell = tuple[int, int]
WALL = frozenset({(1, 1), (2, 1), (3, 1), (3, 2), (3, 3), (1, 3)})
GOAL = (4, 4)


async def walked(*, guess: bool, size: int = 5) -> Found[Cell]:
    """A grid with walls, by steps taken plus, with `guess`, the steps that are left at least."""
    seen: set[Cell] = set()

    async def expand(node: Node[Cell]) -> Grown[Cell]:
        if node.state == GOAL:
            return Grown(is_goal=True)
        if node.state in seen:
            return Grown(is_gone=True)
        seen.add(node.state)
        x, y = node.state
        around = ((x + 1, y), (x, y + 1), (x - 1, y), (x, y - 1))
        free = [c for c in around if c not in WALL and all(0 <= n < size for n in c)]
        left = [abs(GOAL[0] - a) + abs(GOAL[1] - b) if guess else 0 for a, b in free]
        return Grown(tuple((c, -float(node.depth + 1 + n)) for c, n in zip(free, left, strict=True)))

    return await search((0, 0), expand, by_value, best_open, most=200)


async def test_the_shortest_way_with_fewer_expansions_than_breadth_first() -> None:
    """Both find 8 steps, the shortest there are; who guesses what is left looks at fewer places."""
    breadth, star = await walked(guess=False), await walked(guess=True)
    assert breadth.goal is not None
    assert star.goal is not None
    assert star.goal.depth == breadth.goal.depth == 8
    assert star.entered < breadth.entered


def test_costs_of_three_nodes_by_hand() -> None:
    """α = β = ½. Plan m = open, take, put; open (share ½), take (1), wait (¼, imagined ½)."""
    plans, half = [("open", "take", "put")], Weights()
    path = (Hop("open", 0.5, 1 / 3), Hop("take", 1.0, 2 / 3), Hop("wait", 0.25, 0.5))
    # g: LCS shares 1, 1, 2/3, so the first two are free and the third costs √(1/3 · 3/4) = 1/2.
    assert cost(path[:1], plans, half) == pytest.approx((2 / 3 * 2 / 3) ** 0.5)
    assert cost(path[:2], plans, half) == pytest.approx((1 / 3 * 1 / 3) ** 0.5)
    # h: no plan has "wait"; the first in order with as many of its words, all none, is "open" at 1/3.
    assert cost(path, plans, half) == pytest.approx(0.5 + (2 / 3 * 1 / 2) ** 0.5)
    # Without memory every step costs √(1 − share), what is left √(1 − imagined).
    assert cost(path[:1], [], half) == pytest.approx(0.5**0.5 + (2 / 3) ** 0.5)
    assert cost((*path[:2], Hop("put", 1.0, is_end=True)), plans, half) == 0.0
    assert cost((), plans, half) == 0.0


def test_costs_are_never_below_zero() -> None:
    """Whatever the weights."""
    rng = random.Random(0)
    for _ in range(300):
        path = [Hop(rng.choice("abcd"), rng.random(), rng.random()) for _ in range(rng.randrange(5))]
        plans = [tuple(rng.choices("abcdef", k=rng.randrange(1, 6))) for _ in range(rng.randrange(4))]
        assert cost(path, plans, Weights(rng.random(), rng.random())) >= 0.0


def test_equal_proposals_are_one_and_an_imagined_next_step_is_nearer() -> None:
    """Two of three say a; of three imagined steps a is the first."""
    one, other = hops(["a", "b", "a"], depth=1, rest=("a", "c", "d"))
    assert (one.step, one.share, one.imagined) == ("a", 2 / 3, 2 / 4)
    assert (other.step, other.share, other.imagined) == ("b", 1 / 3, 2 / 5)


TOOLS = "abcdefgh"


async def tool_calls(hidden: str, plans: Sequence[str], seed: int, priority: str = "cost") -> int:
    """Expansions until the hidden order is found: of four proposals each is right at 0.6."""
    rng = random.Random(seed)

    async def expand(node: Node[Hop]) -> Grown[Hop]:
        said = "".join(one.state.step for one in node.path)
        if said == hidden:
            return Grown(is_goal=True)
        right = hidden[len(said)] if hidden.startswith(said) and len(said) < len(hidden) else None
        proposed = [right if right and rng.random() < 0.6 else rng.choice(TOOLS) for _ in range(4)]
        before = tuple(one.state for one in node.path)
        found = hops(proposed, depth=node.depth)
        worth = {
            "cost": lambda hop: -cost((*before, hop), plans, Weights()),
            "breadth": lambda _: -len(before),
        }
        return Grown(tuple((hop, worth[priority](hop)) for hop in found) if len(before) < 6 else ())

    found = await search(Hop(""), expand, by_value, best_open, most=400)
    return found.entered


async def test_memory_saves_expansions() -> None:
    """Five plans with a step too many save work against none, and none against breadth-first."""
    totals = {"memory": 0, "empty": 0, "breadth": 0}
    for seed in range(15):
        rng = random.Random(f"hidden {seed}")
        hidden = "".join(rng.sample(TOOLS, rng.randrange(4, 7)))
        places = [rng.randrange(len(hidden)) for _ in range(5)]
        plans = [hidden[:place] + rng.choice(TOOLS) + hidden[place:] for place in places]
        totals["memory"] += await tool_calls(hidden, plans, seed)
        totals["empty"] += await tool_calls(hidden, [], seed)
        totals["breadth"] += await tool_calls(hidden, [], seed, "breadth")
    assert totals["memory"] < 0.7 * totals["empty"]
    assert totals["empty"] < 0.5 * totals["breadth"]


async def roll_outs(priority: Priority[str], backup: Backup[str]) -> float:
    """Places of a site that are entered until the goal, which lies behind many pages of little promise."""
    good = {"s": 0.4, "sx": 0.9, "sxg": 1.0}

    async def expand(node: Node[str]) -> Grown[str]:
        page = node.state
        if page == "sxg":
            return Grown(is_goal=True, reward=1.0)
        reward = good.get(page, 0.5 if page.startswith("m") else 0.05) if page else 0.0
        names = {"": "ms", "s": "abcx", "sx": "abcg"}.get(page, "abcd" if len(page) < 4 else "")
        return Grown(tuple((f"{page}{name}", 0.0) for name in names), reward=reward)

    found = await search("", expand, priority, backup, most=200)
    return found.entered if found.goal is not None else inf


async def test_the_maximum_finds_what_the_mean_gives_up() -> None:
    """One good page among poor ones: the mean goes back to where all are middling."""
    by_max = await roll_outs(by_visits(0.5), best_known)
    assert by_max < await roll_outs(by_visits(0.5), mean_known())


async def test_a_search_ends_where_nothing_is_left_or_enough_was_entered() -> None:
    """No goal: the best leaf that was entered is what there is."""

    async def expand(node: Node[str]) -> Grown[str]:
        return Grown(
            tuple((f"{node.state}{name}", 0.0) for name in "ab") if node.depth < 2 else (), reward=worth(node)
        )

    def worth(node: Node[str]) -> float:
        return 1.0 if node.state == "ba" else 0.1

    whole = await search("", expand, by_visits(), best_known, most=99)
    assert (whole.goal, whole.entered, best_leaf(whole.root).state) == (None, 7, "ba")
    assert (await search("", expand, by_visits(), best_known, most=3)).entered == 3
