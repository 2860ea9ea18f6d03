"""Sites that do not say how it went: what a verifier is worth, and how often it is right.

`tiny` acts as ever; the world hides the outcome and ends with the steps. A verifier rules, by symbolic checks
alone or with a model of its own that may look round: here a function that reads the log and one look, so that
what is measured is the verifier's part and not a model's. What really happened is known to the bench alone.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType

import numpy as np

from agent.loop import Agent
from agent.models.scripted import FunctionModel
from agent.opening import Run
from agent.prompt import parse_action
from agent.types import Delta, Model, Reply, Request, Style
from agent.verification.verify import Verifier
from agent.window import Window
from agent.worlds.blind import LOOK, Blind
from agent.worlds.catalogue import ACT, SiteCatalogue, SiteWorld
from agent.worlds.sim import BROKEN_RULE
from distill.stats import bootstrap_mean, wilson
from memory.core import Memory
from memory.types import Message, ToolCall
from notebooks.bench_learning.notes import Notes, Records
from notebooks.bench_learning.plan import WORLD, Plan
from notebooks.bench_learning.stage import at_once, met, table

EPISODES = 24
RULED = (("success", "success"), ("success", "failure"), ("failure", "failure"), ("failure", "success"))
"""What was true, and what was said."""
TOLD, NOBODY, CHECKS, LOOKING = "the world tells", "nobody tells", "symbolic checks", "checks and a look"


class Acting:
    """A plain model whose commands are calls of `act`, whatever other tools there are."""

    def __init__(self, inner: Model) -> None:
        self._inner = inner

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def style(self) -> Style:
        return self._inner.style

    def count_tokens(self, text: str) -> int:
        return self._inner.count_tokens(text)

    def overflow(self, request: Request) -> int:
        return self._inner.overflow(request) if isinstance(self._inner, Window) else 0

    async def complete(self, request: Request) -> tuple[Reply, ...]:
        return tuple(_acting(reply) for reply in await self._inner.complete(request))

    async def stream(self, request: Request) -> AsyncIterator[Delta]:
        async for delta in self._inner.stream(request):
            yield delta


def _acting(reply: Reply) -> Reply:
    _, call = parse_action(reply.message.text, [ACT])
    if call is None:
        return reply
    return replace(reply, message=replace(reply.message, tool_calls=(call,)))


def inspect(messages: tuple[Message, ...]) -> Message:
    """A verifier's model: plans one check, looks once, and compares what is asked with what there is."""
    last = messages[-1]
    if "Name at most" in last.text:
        return Message("assistant", json.dumps({"checks": ["Is what the task asks for really so?"]}))
    if last.role != "tool":
        return Message("assistant", "", tool_calls=(ToolCall("look", LOOK.name, {}),))
    story = messages[0].text
    task = story.partition("Task: ")[2].partition("\n")[0]
    return Message("assistant", json.dumps({"holds": holds(task, story, last.text)}))


def holds(task: str, story: str, scene: str) -> str:
    """`yes`, `no` or `unknown`, by the words of log and scene."""
    seen = "\n".join(line for line in story.splitlines() if line.startswith("observe: "))
    if BROKEN_RULE in seen:
        return "no"
    looked = re.search(r"look at the (\w+) under (\w+ \d+)", task)
    if looked:
        thing, lamp = looked.groups()
        return "yes" if f"you look at the {thing} under {lamp}" in seen else "no"
    asked = re.search(r"put the ((?:\w+ )?)(\w+) (?:in|on) (\w+ \d+)", task)
    if asked is None:
        return "unknown"
    state, thing, place = asked[1].strip(), asked[2], asked[3]
    if f" {place} " not in f" {re.sub(r'[.,:]', ' ', scene)} ":
        return "no"
    if thing not in re.findall(r"\w+", scene):
        return "no"
    made = rf"the {thing} (?:is )?{state}\b|you {_verb(state)} the {thing}\b"
    return "yes" if not state or re.search(made, seen) else "no"


def _verb(state: str) -> str:
    return {"clean": "clean", "hot": "heat", "cold": "cool"}.get(state, state)


INSPECTOR = FunctionModel(inspect, name="inspector")
VERIFIERS: Mapping[str, Verifier | None] = MappingProxyType(
    {TOLD: None, NOBODY: None, CHECKS: Verifier(), LOOKING: Verifier(INSPECTOR)}
)


async def lanes(plan: Plan, notes: Notes, model: Model, memory: Memory) -> None:
    """Every verifier at every site with every seed of the plan."""

    async def keep(arm: str, site: str, seed: int) -> None:
        lived = await _live(arm, site, seed, plan, model, memory)
        notes.add("blind", arm=arm, site=site, seed=seed, lived=lived)

    jobs = [
        partial(keep, arm, site, seed)
        for seed in plan.seeds
        for site in plan.sites
        for arm in VERIFIERS
        if not notes.has("blind", arm=arm, site=site, seed=seed)
    ]
    await at_once(jobs)


async def _live(
    arm: str, site: str, seed: int, plan: Plan, model: Model, memory: Memory
) -> list[tuple[str, str]]:
    """What really happened and what was ruled, by episode."""
    kind = SiteCatalogue(WORLD)
    agent = Agent(Acting(model), memory, verifier=VERIFIERS[arm])
    space, found = f"blind/{arm}/{site}/{seed}", []
    n = 3 if plan.is_quick else EPISODES
    for number, task in enumerate(kind.tasks(site=site, split="work", n=n, seed=seed)):
        site_world = SiteWorld(kind)
        world = site_world if arm == TOLD else Blind(site_world)
        episode = await agent.run(task, world, Run(space, "bench", f"{space}/{number}"))
        await agent.learn(episode)
        truth = world.truth if isinstance(world, Blind) else episode.outcome
        found.append((truth, episode.outcome))
    return found


def tables(records: Records) -> list[str]:
    """What was done, and what was ruled of it."""
    found = records.where("blind")
    if not found:
        return []
    rows = []
    for arm in VERIFIERS:
        own = [one for one in found if one["arm"] == arm]
        done = bootstrap_mean([np.mean([truth == "success" for truth, _ in one["lived"]]) for one in own])
        ruled = Counter((truth, said) for one in own for truth, said in one["lived"])
        rows.append([
            arm,
            f"{100 * done.mean:.1f} ({100 * done.low:.1f} to {100 * done.high:.1f})",
            *(_share(ruled, *both) for both in RULED),
        ])  # fmt: skip
    head = (
        *("who says how it went", "tasks really done, %"),
        *("done: ruled so", "done: ruled failed", "failed: ruled so", "failed: ruled done"),
    )
    lanes_each = len(found) // len(VERIFIERS)
    return [
        "## Without being told how it went",
        f"{lanes_each} lanes of {len(found[0]['lived'])} episodes each; the rest was ruled unknown and "
        "teaches nothing. 95 % by bootstrap over lanes.",
        table(head, rows),
    ]


def _share(ruled: Mapping[tuple[str, str], int], truth: str, said: str) -> str:
    n = sum(count for (one, _), count in ruled.items() if one == truth)
    return f"{wilson(ruled.get((truth, said), 0), n).mean:.0%} of {n}"


def goals(records: Records) -> list[tuple[str, str, str]]:
    """Taking the verifier away costs success."""
    lived = {(one["arm"], one["site"], one["seed"]): one["lived"] for one in records.where("blind")}
    gains = [
        float(np.mean([a[0] == "success" for a in own]) - np.mean([b[0] == "success" for b in without]))
        for (arm, site, seed), own in lived.items()
        if arm == LOOKING and (without := lived.get((NOBODY, site, seed)))
    ]
    if not gains:
        return []
    gain = bootstrap_mean(gains)
    said = f"{100 * gain.mean:.1f} ({100 * gain.low:.1f} to {100 * gain.high:.1f}) points"
    return [("where the world tells nothing, a verifier helps", said, met(gain.low > 0.0))]
