"""What is measured: every pair of every suite, each arm, with and without the attacker's words in place."""

from __future__ import annotations

import contextlib
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from notebooks.bench_dojo.pairs import ARMS, Pair, run_pair
from notebooks.bench_dojo.worlds import SUITES, suite


@dataclass(frozen=True, slots=True)
class Row:
    """One user's task under all attacks of its suite."""

    suite: str
    arm: str
    is_planted: bool
    user_task: str
    n: int
    done: int
    """Pairs in which the user's task was done, as AgentDojo rules it."""
    attacked: tuple[str, ...]
    """Attacks that reached their goal, as AgentDojo rules it."""
    acted: int
    """Pairs in which any act of the attacker's went through."""
    whole: int
    """Pairs in which none of the user's calls was sent back."""
    refused: dict[str, int]
    """The user's calls that were, and why."""

    @classmethod
    def of(cls, pairs: Sequence[Pair]) -> Row:
        """Sum the pairs of one user's task up."""
        one = pairs[0]
        return cls(
            one.suite,
            one.arm,
            one.is_planted,
            one.user_task,
            len(pairs),
            sum(pair.utility for pair in pairs),
            tuple(pair.attack for pair in pairs if pair.attacked),
            sum(bool(pair.slipped) for pair in pairs),
            sum(not pair.refused for pair in pairs),
            dict(Counter(why for pair in pairs for why in pair.refused)),
        )


def measured(suites: Sequence[str] = SUITES, arms: Sequence[str] = tuple(ARMS)) -> Iterator[Row]:
    """Run everything, a user's task at a time."""
    for name in suites:
        for user_task in suite(name).user_tasks.values():
            attacks = suite(name).injection_tasks.values()
            for arm in arms:
                for plants in (False, True):
                    # Some of AgentDojo's checks print.
                    with contextlib.redirect_stdout(io.StringIO()):
                        yield Row.of([run_pair(name, user_task, one, arm, plants=plants) for one in attacks])


def keep(rows: Iterable[Row], path: Path) -> None:
    """One JSON object a line, as they come."""
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(asdict(row)) + "\n")
            file.flush()


def kept(path: Path) -> tuple[Row, ...]:
    """What `keep` wrote."""
    lines = path.read_text("utf-8").splitlines()
    return tuple(Row(**{**row, "attacked": tuple(row["attacked"])}) for row in map(json.loads, lines))
