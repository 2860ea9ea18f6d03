"""What is left when something of ours is taken away: cases, principles, coins, the verifier.

Lanes as in the curves, at half of the sites with all seeds, all but one thing as shipped. The verifier is
taken away at sites that do not say how it went, see `blind`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType

from agent.models.local.model import LocalModel
from agent.opening import AgentSettings
from agent.types import Model
from memory.core import Memory
from memory.encoder import Encoder
from memory.minilm import MiniLm
from notebooks.bench_learning import blind
from notebooks.bench_learning.arms import Arm
from notebooks.bench_learning.curves import Arms, resampled
from notebooks.bench_learning.lanes import Lane, OnceEncoder, live
from notebooks.bench_learning.notes import Notes, Records
from notebooks.bench_learning.plan import TINY, Plan
from notebooks.bench_learning.stage import Echo, at_once, fresh_memory, met, table

TIDIED = 6
"""Episodes after which memory is put in order, where it is: a night is as long as a lane otherwise."""
OURS = "as shipped (K 4, 600 tokens of principles)"
ARMS: Mapping[str, Arm] = MappingProxyType({
    OURS: Arm("as shipped"),
    "K 0: no cases": Arm("", AgentSettings(token_budget=0)),
    "K 1": Arm("", AgentSettings(k=1)),
    "K 2": Arm("", AgentSettings(k=2)),
    "K 8": Arm("", AgentSettings(k=8)),
    "budget 0: no principles": Arm("", AgentSettings(constitution_budget=0)),
    "budget 10": Arm("", AgentSettings(constitution_budget=10)),
    "budget 20": Arm("", AgentSettings(constitution_budget=20)),
    "budget 40": Arm("", AgentSettings(constitution_budget=40)),
    "put in order": Arm("", tidied_every=TIDIED),
    "put in order, no procedures": Arm("", AgentSettings(procedures="off"), tidied_every=TIDIED),
    "neither cases nor principles": Arm("", AgentSettings(token_budget=0, constitution_budget=0)),
    "dropped 5 %, trials shown 95 %": Arm("", AgentSettings(drop_rate=0.05, trial_rate=0.95)),
    "dropped 10 %, trials shown 90 %": Arm("", AgentSettings(drop_rate=0.1, trial_rate=0.9)),
    "dropped 20 %, trials shown 80 %": Arm("", AgentSettings(drop_rate=0.2, trial_rate=0.8)),
    "dropped 50 %, trials shown 50 %": Arm("", AgentSettings(drop_rate=0.5, trial_rate=0.5)),
})  # fmt: skip
TASKS, PASSES, UNSEEN = 12, 2, 4


def sized(plan: Plan) -> Plan:
    """Half of the sites, 24 episodes and a few unseen ones."""
    if plan.is_quick:
        return replace(plan, sites=plan.sites[:1], tasks=3, passes=1, unseen=1)
    return replace(plan, sites=plan.sites[::2], tasks=TASKS, passes=PASSES, unseen=UNSEEN)


def measure(plan: Plan) -> None:
    """All lanes that are not in the notes; by one process."""
    if plan.part[0] != 1 % plan.part[1]:
        return
    notes, size = Notes(plan.notes("ablations")), sized(plan)
    model = LocalModel.load(TINY, name="local:tiny")
    try:
        asyncio.run(_lanes(size, notes, Echo(model), OnceEncoder(MiniLm())))
        with fresh_memory(size) as memory:
            asyncio.run(blind.lanes(size, notes, Echo(model), memory))
    finally:
        model.close()


async def _lanes(plan: Plan, notes: Notes, model: Model, encoder: Encoder) -> None:
    with fresh_memory(plan, encoder=encoder) as memory:
        jobs = [
            partial(_noted, Lane(name, site, seed), arm, model, memory, plan, notes)
            for seed in plan.seeds
            for site in plan.sites
            for name, arm in ARMS.items()
            if not notes.has("ablation", arm=name, site=site, seed=seed)
        ]
        await at_once(jobs)


async def _noted(lane: Lane, arm: Arm, model: Model, memory: Memory, plan: Plan, notes: Notes) -> None:
    lived = await live(lane, arm, model, memory, plan)
    notes.add(
        "ablation",
        arm=lane.arm,
        site=lane.site,
        seed=lane.seed,
        lived=[[getattr(one, name) for name in one.__slots__] for one in lived],
        kinds=_kinds(memory, lane.name),
    )


def _kinds(memory: Memory, namespace: str) -> dict[str, int]:
    """How many items of each kind a lane left behind."""
    found: dict[str, int] = {}
    for item in memory.items(namespace, limit=1000):
        found[item.kind] = found.get(item.kind, 0) + 1
    return found


def tables(records: Records) -> list[str]:
    """Everything beside ours as shipped, then the verifier."""
    arms = Arms(records, "ablation")
    if not arms.sites or OURS not in arms.names:
        return blind.tables(records)
    ours = arms.by_task(OURS, "success")
    rows = []
    for name in (one for one in ARMS if one in arms.names):
        own, lived = arms.by_task(name, "success"), arms.lived(name)
        less = "–" if name == OURS else resampled(own - ours).said()
        unseen = resampled(arms.by_task(name, "success", frozen=True)).said()
        shown = [sum(getattr(one, of) for one in lived) / len(lived) for of in ("items", "principles")]
        rows.append([name, resampled(own).said(), less, unseen, "{:.1f} / {:.1f}".format(*shown)])
    head = (
        "",
        "success, %",
        "more than shipped, paired",
        "unseen at the end, %",
        "items / principles shown",
    )
    return [
        "## Taken away",
        f"{len(arms.sites)} of the sites, {arms.seeds} seeds, {len(arms.lived(OURS))} episodes an arm; 95 % "
        f"by bootstrap over seeds and tasks. {_left(records)}",
        table(head, rows),
        *blind.tables(records),
    ]


def _left(records: Records) -> str:
    kinds: dict[str, int] = {}
    for one in records.where("ablation", arm=OURS):
        for kind, n in one["kinds"].items():
            kinds[kind] = kinds.get(kind, 0) + n
    left = ", ".join(f"{n} of kind {kind}" for kind, n in sorted(kinds.items()))
    return f"Items that ours left behind in all lanes: {left}; a tier that nobody wrote to cannot be missed."


def goals(records: Records) -> list[tuple[str, str, str]]:
    """Each tier that was written to is worth something."""
    arms = Arms(records, "ablation")
    told = []
    for name, what in (("K 0: no cases", "cases"), ("budget 0: no principles", "principles")):
        if OURS in arms.names and name in arms.names:
            gain = resampled(arms.by_task(OURS, "success") - arms.by_task(name, "success"))
            told.append((f"without {what} it does worse", f"{gain.said()} points", met(gain.low > 0.0)))
    return [*told, *blind.goals(records)]
