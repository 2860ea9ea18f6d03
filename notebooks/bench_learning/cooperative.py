"""An advisor builds a constitution at some sites of an owner; a fresh agent is served it at others.

The world is `estate`: what is to be done first and whether doors are closed is the same at all sites of a
word, everything else is not. Calibration: tasks at three sites, half of them knowing nothing, half with what
was built of the first half; no case is ever remembered. Served: two other sites, memory frozen, no cases.
A constitution is served whole, and cut to what was seen at two sites or more.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import chain
from typing import get_args

from agent.builders.advisor import Calibration, advise
from agent.builders.building import BUILDERS, BuildSettings, apply
from agent.builders.ops import BuilderName, Window
from agent.builders.settings import PATTERNS, MineSettings
from agent.loop import Agent
from agent.opening import Run
from agent.types import Model
from agent.worlds.catalogue import catalogue
from agent.worlds.site import held_out_sites
from memory.core import Memory
from memory.types import Episode, Item, Usage
from notebooks.bench_learning.notes import Notes
from notebooks.bench_learning.plan import Plan
from notebooks.bench_learning.served import NOTHING, goals, tables
from notebooks.bench_learning.stage import at_once, fresh_memory, rules_of, tell, tiny

__all__ = ["goals", "measure", "tables"]
WORLD = "estate"
WORDS = ("castle", "elm", "ruby", "mill", "willow", "pine")
"""Owners with five held-out sites or more who want something done first, between them all that can be."""
CALIBRATED, SERVED = 3, 2
TASKS, SERVED_TASKS = 10, 16
NAMED: tuple[BuilderName, ...] = get_args(BuilderName)
TOLD, SHIPPED = "an operator's sentences", "the shipped advisor, symbolic, one round"
SEEDS = 5
FAR = 2
"""Sites that what is cut to was seen at."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a constitution is built."""

    name: str
    builder: BuilderName
    settings: BuildSettings = field(default_factory=lambda: BuildSettings(MineSettings()))
    """Stated rules and orders: what `tiny` was trained to read."""


WAYS = (
    *(Way(name, name) for name in NAMED),
    Way("symbolic, all patterns", "symbolic", BuildSettings(MineSettings(PATTERNS))),
)


@dataclass(frozen=True, slots=True)
class Built:
    """A constitution and what it took."""

    whole: str | None
    """Its frozen version; None where nothing was found."""
    cut: str | None
    texts: tuple[str, ...]
    kept: tuple[str, ...]
    """What was seen at two sites."""
    calibration: int
    """Tokens read and written while calibrating."""
    building: int
    calls: int
    rejected: int


def sites_of(word: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Where the advisor works, and where others are served."""
    own = [site for site in held_out_sites(400) if site.split()[0] == word]
    return tuple(own[:CALIBRATED]), tuple(own[CALIBRATED : CALIBRATED + SERVED])


async def build(way: Way, word: str, seed: int, model: Model, memory: Memory) -> Built:
    """Calibrate in two rounds, building after each, and freeze."""
    namespace = _space(way.name, word, seed)
    builder = BUILDERS[way.builder](model, way.settings)
    version, episodes, spent, rejected = None, [], Usage(), 0
    for turn in range(2):
        fresh = await _calibrate(namespace, word, seed, turn, version, model, memory)
        episodes += fresh
        window = Window(tuple(episodes), _held(memory, namespace))
        made = await builder(window)
        spent += made.usage
        rejected += len(made.rejected)
        apply(made.operations, window, memory, namespace, principal="advisor", key=f"build/{turn}")
        version = _frozen(memory, namespace, _held(memory, namespace))
    held = _held(memory, namespace)
    far = seen_far(held, episodes)
    return Built(
        version,
        _frozen(memory, namespace, far),
        tuple(item.text for item in held),
        tuple(item.text for item in far),
        sum(one.usage.prompt_tokens + one.usage.completion_tokens for one in episodes),
        spent.prompt_tokens + spent.completion_tokens,
        spent.calls,
        rejected,
    )


async def _calibrate(
    namespace: str, word: str, seed: int, turn: int, version: str | None, model: Model, memory: Memory
) -> list[Episode]:
    """Half of the tasks of each site, side by side."""
    kind, agent = catalogue(WORLD), Agent(model, memory)
    jobs = []
    for site in sites_of(word)[0]:
        tasks = kind.tasks(site=site, split="work", n=TASKS, seed=seed)
        for task in tasks[turn * TASKS // 2 : (turn + 1) * TASKS // 2]:
            run = Run(
                namespace,
                "advisor",
                f"{namespace}/{turn}/{task.id}",
                memory="off" if version is None else "frozen",
                constitution=version,
            )
            jobs.append(partial(agent.run, task, kind.make(), run))
    episodes = await at_once(jobs)
    for episode in episodes:
        memory.record(episode, principal="advisor")
    return episodes


def _held(memory: Memory, namespace: str) -> tuple[Item, ...]:
    """All that is in force there."""
    return memory.constitution(
        namespace, None, token_budget=2**31, count_tokens=len, every_family=True
    ).principles


def _space(name: str, word: str, seed: int) -> str:
    return f"{name}/{word}/{seed}"


def seen_far(items: Sequence[Item], episodes: Sequence[Episode]) -> tuple[Item, ...]:
    """One principle of each text that was seen at FAR sites."""
    families = {episode.id: episode.family for episode in episodes}
    seen: dict[str, set[str]] = defaultdict(set)
    for item in items:
        seen[item.text] |= {families[piece.episode] for piece in item.lineage.evidence}
    kept = {item.text: item for item in reversed(items) if len(seen[item.text]) >= FAR}
    return tuple(kept.values())


def _frozen(memory: Memory, namespace: str, items: Sequence[Item]) -> str | None:
    if not items:
        return None
    return memory.freeze(namespace, principal="advisor", only=[item.id for item in items]).id


async def serve(
    namespace: str, version: str | None, site: str, seed: int, model: Model, memory: Memory
) -> list[int]:
    """Which tasks a fresh agent does at a site; with an empty namespace and no version it knows nothing."""
    kind, agent = catalogue(WORLD), Agent(model, memory)
    jobs = [
        partial(
            agent.run,
            task,
            kind.make(),
            Run(
                namespace,
                "novice",
                f"{namespace}/{version}/{site}/{seed}/{number}",
                memory="frozen",
                constitution=version,
            ),
        )
        for number, task in enumerate(kind.tasks(site=site, split="work", n=SERVED_TASKS, seed=seed))
    ]
    episodes = await at_once(jobs)
    assert not any(one.recall.items for one in episodes if one.recall), "a fresh agent has no cases"
    return [int(one.outcome == "success") for one in episodes]


async def _advised(word: str, seed: int, model: Model, memory: Memory) -> tuple[str, str | None]:
    """The shipped advisor: one round, knowing nothing, and what several sites show."""
    space = _space("advised", word, seed)
    kind = catalogue(WORLD)
    sites = sites_of(word)[0]
    tasks = [kind.tasks(site=site, split="work", n=TASKS, seed=seed) for site in sites]
    key = f"{space}/calibrate"
    asked = Calibration(
        key, space, "advisor", tuple(chain(*tasks)), settings=WAYS[0].settings, shared_only=True
    )
    found = await advise(asked, Agent(model, memory), memory, lambda _: kind.make())
    return space, found.version.id if found.version else None


def measure(plan: Plan) -> None:
    """All words and seeds that are not in the notes; by one process."""
    if plan.part[0] == 1 % plan.part[1]:
        with fresh_memory(plan) as memory, tiny() as model:
            asyncio.run(_measure(plan, model, memory))


async def _measure(plan: Plan, model: Model, memory: Memory) -> None:
    notes = Notes(plan.notes("cooperative"))
    for word in WORDS[:1] if plan.is_quick else WORDS:
        for seed in range(1) if plan.is_quick else range(SEEDS):
            if not notes.has("cooperative", word=word, seed=seed):
                notes.add("cooperative", word=word, seed=seed, **await _pair(word, seed, model, memory))


async def _pair(word: str, seed: int, model: Model, memory: Memory) -> dict[str, object]:
    """One owner: build in every way, then serve each constitution, and nothing, and an operator's."""
    sites = sites_of(word)[1]
    told = [one for one in rules_of(WORLD, sites[0]) if "open" not in one]
    arms: dict[str, tuple[str, str | None]] = {NOTHING: (_space("nobody", word, seed), None)}
    arms[TOLD] = (_space("operator", word, seed), None)
    for site in sites:
        tell(memory, arms[TOLD][0], site, told)
    made = {}
    for way in WAYS:
        found = made[way.name] = await build(way, word, seed, model, memory)
        for name, version in (("whole", found.whole), ("cut", found.cut)):
            nobody = arms[NOTHING]
            space = _space(way.name, word, seed)
            arms[f"{way.name}, {name}"] = nobody if version is None else (space, version)
    arms[SHIPPED] = await _advised(word, seed, model, memory)
    done = {
        arm: {site: await serve(space, version, site, seed, model, memory) for site in sites}
        for arm, (space, version) in arms.items()
    }
    return {"rules": told, "built": {name: asdict(one) for name, one in made.items()}, "done": done}
