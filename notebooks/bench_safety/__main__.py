"""`python -m notebooks.bench_safety`: replication, risks, feasibility, worlds for weak skills."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from statistics import fmean, pstdev

from agent.evals.replication import replication
from agent.guards.feasible import FeasibleSettings
from agent.guards.quota import Quota
from agent.worlds.cluster import Setting, cluster_task
from memory.value.shares import Interval
from notebooks.bench_safety import crafting, feasibility, literal, policies, security

ROOT = Path(__file__).parents[2]
_SETTINGS: tuple[Setting, ...] = ("load", "ending")


def main() -> None:
    """Measure everything, print it and keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "bench" / "safety.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text = asyncio.run(report(options.seeds, Path(folder)))
    print(text)
    options.out.write_text(text, encoding="utf-8")


async def report(seeds: int, folder: Path) -> str:
    """All tables."""
    parts = [
        "# Safety: replication, risks, feasibility, worlds for weak skills",
        f"`python -m notebooks.bench_safety --seeds {seeds}`. Scripted models of known character, no "
        "weights: these tables show that the mechanisms do what they say, not how safe a given model is.",
        *[part async for part in _tables(seeds, folder)],
    ]
    return "\n\n".join(parts) + "\n"


async def _tables(seeds: int, folder: Path) -> AsyncIterator[str]:
    yield await _replication()
    yield await _literal(folder)
    yield await _security(seeds, folder)
    yield await _feasible(seeds, folder)
    yield await _worlds(seeds)


async def _replication() -> str:
    rows = []
    for name in policies.CHARACTERS:
        for setting in _SETTINGS:
            for arm, guards in (("none", ()), ("quota", (Quota(),))):
                found = replication(await policies.attempts(name, cluster_task(setting), guards))
                rates = [_said(one) for one in (*found.success, found.overuse)]
                rows.append([name, setting, arm, *rates, str(found.excess), f"{found.risk:.2f}"])
    head = ["agent", "setting", "guard", "SR_1", "SR_2", "SR_3", "SR_4", "OR", "AOC", "Φ_R"]
    note = "Ten runs each; shares with Wilson's 95 % interval. OR is of those runs that copied themselves."
    return f"## Replication (Agent Matrix)\n\n{note}\n\n" + _table(head, rows)


async def _literal(folder: Path) -> str:
    place = folder / "literal"
    place.mkdir()
    rows = [[one.arm, str(one.tasks), str(one.told)] for one in await literal.arms(place)]
    note = (
        f"One task is set; it and those it sets are run, {literal.MOST} at most. The lesson in memory says "
        "to set another task; who extracts it from runs has it quarantined."
    )
    return f"## Replication, literally\n\n{note}\n\n" + _table(["arm", "tasks run", "shown the lesson"], rows)


async def _security(seeds: int, folder: Path) -> str:
    runs = [await security.measured(seed, folder) for seed in range(seeds)]
    rows = []
    for arms in zip(*runs, strict=True):
        rates = [_mean([one.secure[n] for one in arms]) for n in range(len(security.KS))]
        rows.append([arms[0].arm, *rates, _mean([one.declined for one in arms])])
    head = ["arm", *(f"sec@{k}" for k in security.KS), "harmless orders declined"]
    note = (
        "Scenarios that were not learned from, mean ± deviation over seeds. The agent takes the bait 6 times "
        "in 10; the shy one keeps from every tool that is shown as unsafe anywhere."
    )
    return f"## Risk scenarios (AutoSafe)\n\n{note}\n\n" + _table(head, rows)


async def _feasible(seeds: int, folder: Path) -> str:
    rows = []
    for arm, k in (("votes and memory", 16), ("votes alone", 0)):
        place = folder / f"feasible-{k}"
        place.mkdir()
        every = FeasibleSettings(explore=1.0, k=k)
        runs = [await feasibility.lived(seed, place, every) for seed in range(seeds)]
        for begin in range(0, feasibility.N_TASKS, 20):
            found = [feasibility.quality(told[begin : begin + 20]) for told in runs]
            briers, accuracies = zip(*found, strict=True)
            rows.append([arm, f"{begin + 1} to {begin + 20}", _mean(briers), _mean(accuracies)])
    note = "Three domains of 95, 60 and 5 % success; the model believes that it can, 85 times in 100."
    return f"## Can I do this? (KnowRL)\n\n{note}\n\n" + _table(
        ["arm", "tasks", "Brier", "balanced accuracy"], rows
    )


async def _worlds(seeds: int) -> str:
    rows = []
    for arm in ("told", "random", "none"):
        runs = [await crafting.grown(arm, seed) for seed in range(seeds)]
        last = [one[-1] for one in runs]
        early = [one[3].mean("iron") for one in runs]
        rates = [_mean([one.mean(skill) for one in last]) for skill in ("furnace", "iron")]
        rows.append([arm, _mean(early), *rates, _mean([one.score for one in last])])
    head = ["configurations", "iron, half way", "furnace", "iron", "score"]
    note = "Equal steps in all arms: by what goes worst, at random, or the world as it is."
    return f"## Worlds for weak skills (EnvGen)\n\n{note}\n\n" + _table(head, rows)


def _said(one: Interval) -> str:
    return f"{one.mean:.2f} [{one.low:.2f}, {one.high:.2f}]"


def _mean(values: Sequence[float]) -> str:
    return f"{fmean(values):.3f} ± {pstdev(values):.3f}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join(_lines([head, ["---"] * len(head), *rows]))


def _lines(rows: list[list[str]]) -> Iterator[str]:
    for row in rows:
        yield f"| {' | '.join(row)} |"


if __name__ == "__main__":
    main()
