"""What the bundled model can do before: read what memory says, at sites that no pool is of."""

from __future__ import annotations

import asyncio
from contextlib import closing
from functools import cache
from random import Random

from agent.models.local.model import LocalModel
from agent.prompt import parse_action
from agent.types import Model, Observation, Request, Task
from agent.worlds.catalogue import ACT, MAX_STEPS
from agent.worlds.sim import Simulation
from agent.worlds.site import wordings
from distill.pretrain.measure import ARMS, episodes, sheet_for
from distill.pretrain.sheets import draw_goal, draw_site, opening
from distill.types import Row
from memory.types import Message
from notebooks.bench_distill.plan import TINY, WORLD

READING = ARMS[4]
"""Rules and four cases, one of which is relevant."""


def remembered(model: Model, n: int) -> dict[str, float]:
    """Success at so many held-out sites with memory in the prompt."""
    return asyncio.run(episodes(model, WORLD, READING, n))


@cache
def replayed(n: int) -> tuple[Row, ...]:
    """So many episodes of the bundled model itself with memory in its prompt, whatever came of them."""
    with closing(LocalModel.load(TINY, name="tiny")) as model:
        return asyncio.run(_replayed(model, n))


async def _replayed(model: Model, n: int) -> tuple[Row, ...]:
    return tuple(await asyncio.gather(*(_replay(model, f"general/{number}") for number in range(n))))


async def _replay(model: Model, name: str) -> Row:
    rng = Random(name)
    site = draw_site(rng, name)
    goal = draw_goal(rng, site)
    sim = Simulation(site, goal, max_steps=MAX_STEPS, wording_seed=name)
    task = Task("", wordings(site, goal)[goal.wording], site.domain.name, site.name)
    messages = opening(sheet_for(rng, site, goal, READING), task, Observation(sim.opening()))
    while True:
        (reply,) = await model.complete(Request(tuple(messages), max_tokens=40))
        messages.append(Message("assistant", reply.message.text, kind="act", weight=1.0))
        _, call = parse_action(reply.message.text, (ACT,))
        seen = sim.step(str(call.arguments["command"]) if call else "")
        if seen.done:
            return Row("", tuple(messages), tuple(range(len(messages))))
        messages.append(Message("tool", seen.text, kind="observe"))
