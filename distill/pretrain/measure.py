"""What the bundled model can do, measured on held-out sites: `python -m distill.pretrain.measure FOLDER`.

Episodes are real ones (the model's own words, the world's own answers) under memory drawn by hand, so that
the model is measured apart from retrieval. Prints a table and writes `measured.json` beside the weights.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from agent.models.local.model import LocalModel
from agent.prompt import parse_action, parse_reflection, reflection_text
from agent.types import Model, Observation, Request, Task
from agent.worlds.catalogue import ACT, MAX_STEPS
from agent.worlds.sim import Simulation
from agent.worlds.site import HELD_OUT_FAMILIES, Goal, Site, goals, held_out_sites, make_site, wordings
from agent.worlds.teacher import Knowledge
from distill.pretrain.samples import lessons, roll_out
from distill.pretrain.sheets import Curriculum, Sheet, draw_sheet, home_sentence, opening
from distill.stats import wilson
from memory.types import Episode, Message, Outcome


@dataclass(frozen=True, slots=True)
class Arm:
    """What memory the prompt holds."""

    name: str
    rules: bool
    cases: int
    """Cases in the prompt, one of which says where the thing is; 0 for none."""
    foreign: float = 0.0
    """Probability that one more case comes from another site."""


ARMS = (
    Arm("nothing", rules=False, cases=0),
    Arm("rules only", rules=True, cases=0),
    Arm("one relevant case, no rules", rules=False, cases=1),
    Arm("rules and one relevant case", rules=True, cases=1),
    Arm("rules and four cases, one relevant", rules=True, cases=4),
    Arm("the same and a case of another site", rules=True, cases=4, foreign=1.0),
)


def sheet_for(rng: random.Random, site: Site, goal: Goal, arm: Arm) -> Sheet:
    """Memory of one arm: every rule or none, `arm.cases` cases of which one holds the thing's home."""
    sheet = Sheet()
    if arm.rules:
        while not _complete(sheet, site):
            sheet = draw_sheet(rng, site, None, Curriculum(), keep=1.0)
    sheet.cases = []
    things = [name for name in site.homes if name not in goal.things]
    rng.shuffle(things)
    for number in range(arm.cases):
        named = [things.pop() for _ in range(min(2, len(things)))]
        named += list(goal.things) if number == 0 else []
        rng.shuffle(named)
        other = rng.choice([g for g in goals(site) if g.things != goal.things])
        lesson = " ".join(home_sentence(site, name) for name in named)
        sheet.cases.append((site.name, wordings(site, other)[0], "success", lesson))
    rng.shuffle(sheet.cases)
    if rng.random() < arm.foreign:
        sheet.cases.insert(rng.randint(0, len(sheet.cases)), _foreign_case(rng, site, goal))
    return sheet


def _complete(sheet: Sheet, site: Site) -> bool:
    return len(sheet.known.works) == len(site.machines)


def _foreign_case(rng: random.Random, site: Site, goal: Goal) -> tuple[str, str, Outcome, str]:
    name = rng.choice([name for name in held_out_sites(40) if name != site.name])
    other = make_site(site.domain.name, name)
    things = [*goal.things, *rng.sample(list(other.homes), 2)]
    lesson = " ".join(home_sentence(other, thing) for thing in things if thing in other.homes)
    return name, wordings(other, next(goals(other)))[0], "success", lesson


async def attempt(model: Model, site: Site, goal: Goal, sheet: Sheet) -> tuple[bool, int]:
    """One episode; (solved, steps used, the limit when not solved)."""
    sim = Simulation(site, goal, max_steps=MAX_STEPS, wording_seed=f"measure/{goal}")
    task = Task("", wordings(site, goal)[goal.wording], site.domain.name, site.name)
    messages = opening(sheet, task, Observation(sim.opening()))
    while True:
        (reply,) = await model.complete(Request(tuple(messages), max_tokens=40))
        _, call = parse_action(reply.message.text, (ACT,))
        observation = sim.step(str(call.arguments["command"]) if call else "")
        messages += [Message("assistant", reply.message.text, kind="act"), Message("tool", observation.text)]
        if observation.done:
            solved = observation.outcome == "success"
            return solved, sim.state.steps if solved else MAX_STEPS


async def episodes(
    model: Model, domain: str, arm: Arm, n: int, *, families: str = "trained"
) -> dict[str, float]:
    """Success with its 95 % interval, and mean steps (failures count as the limit)."""
    runs = []
    for number, name in enumerate(held_out_sites(n)):
        rng = random.Random(f"measure/{domain}/{number}")
        site = make_site(domain, name)
        held_out = families == "held out"
        offers = [goal for goal in goals(site) if (goal.family in HELD_OUT_FAMILIES) == held_out]
        family = rng.choice(sorted({goal.family for goal in offers}))
        goal = rng.choice([goal for goal in offers if goal.family == family])
        runs.append(attempt(model, site, goal, sheet_for(rng, site, goal, arm)))
    results = await asyncio.gather(*runs)
    wins = sum(solved for solved, _ in results)
    rate = wilson(wins, n)
    steps = sum(used for _, used in results) / n
    return {"success": rate.mean, "low": rate.low, "high": rate.high, "steps": steps, "n": n}


async def reflections(model: Model, n: int) -> dict[str, float]:
    """Precision and recall of lessons, evidence included, on logs of held-out sites."""
    jobs = []
    for number, name in enumerate(held_out_sites(n)):
        rng = random.Random(f"reflect/{number}")
        site = make_site("household", name)
        goal = rng.choice([goal for goal in goals(site) if goal.family not in HELD_OUT_FAMILIES])
        sim = Simulation(site, goal, max_steps=MAX_STEPS, wording_seed=f"reflect/{number}")
        steps, outcome = roll_out(rng, sim, Knowledge(), slip=0.05)
        lines = [line for i, (said, _, seen) in enumerate(steps) for line in _numbered(i, said, seen)]
        asked = Message("user", reflection_text(outcome, wordings(site, goal)[0], lines))
        jobs.append((lessons(site, lines), model.complete(Request((asked,), max_tokens=160))))
    written = await asyncio.gather(*(job for _, job in jobs))
    right = said_n = wanted_n = 0
    for (wanted, _), (reply,) in zip(jobs, written, strict=True):
        want, said = _pairs(wanted), _pairs(reply.message.text)
        right, said_n, wanted_n = right + len(want & said), said_n + len(said), wanted_n + len(want)
    return {"precision": right / max(1, said_n), "recall": right / max(1, wanted_n), "n": n}


def _numbered(i: int, said: str, seen: str) -> Iterable[tuple[int, str]]:
    return (1 + 2 * i, said.partition("> ")[2]), (2 + 2 * i, seen)


def _pairs(text: str) -> set[tuple[str, int]]:
    blank = Episode("e", "", "", "", "", "", "", (), "unknown")
    return {(lesson.text, lesson.evidence[0].message) for lesson in parse_reflection(text, blank)}


async def measure(model: Model, n: int) -> dict[str, dict[str, float]]:
    """Every arm in both domains, the held-out family, and reflections."""
    table = {f"household, {arm.name}": await episodes(model, "household", arm, n) for arm in ARMS}
    for arm in (ARMS[0], ARMS[4]):
        table[f"workshop, {arm.name}"] = await episodes(model, "workshop", arm, n)
        name = f"household pairs (held-out family), {arm.name}"
        table[name] = await episodes(model, "household", arm, n, families="held out")
    table["household, reflections"] = await reflections(model, n)
    return table


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=measure.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--n", type=int, default=200, help="episodes per arm")
    given = parser.parse_args()
    model = LocalModel.load(given.folder, name="local:tiny")
    table = asyncio.run(measure(model, given.n))
    text = json.dumps(
        {name: {k: round(v, 3) for k, v in row.items()} for name, row in table.items()}, indent=2
    )
    (given.folder / "measured.json").write_text(text + "\n", encoding="utf-8")
    print(text)  # noqa: T201  # the command's output


if __name__ == "__main__":
    main()
