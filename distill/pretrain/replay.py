"""The bundled model's own runs, as general rows: what it can do and is to keep when memory goes into it.

`python -m distill.pretrain.replay agent/models/tiny` writes `general.jsonl` beside the weights, which a job
that names no other file takes. Sites, tasks and memory are drawn by name: the file is the same every time.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from contextlib import closing
from pathlib import Path

from agent.models.local.model import LocalModel
from agent.prompt import parse_action
from agent.types import Model, Observation, Request, Task
from agent.worlds.catalogue import ACT, MAX_STEPS
from agent.worlds.sim import Simulation
from agent.worlds.site import wordings
from distill.general import GENERAL, write_general
from distill.pretrain.measure import ARMS, Arm, sheet_for
from distill.pretrain.sheets import draw_goal, draw_site, opening
from memory.types import Message

N_RUNS = 240


async def replayed(model: Model, runs: int, arms: tuple[Arm, ...] = ARMS) -> tuple[tuple[Message, ...], ...]:
    """So many runs of the model with memory in its prompt as the arms say in turns, whatever came of them."""
    names = [(f"general/{number}", arms[number % len(arms)]) for number in range(runs)]
    return tuple(await asyncio.gather(*(_run(model, name, arm) for name, arm in names)))


async def _run(model: Model, name: str, arm: Arm) -> tuple[Message, ...]:
    rng = random.Random(name)
    site = draw_site(rng, name)
    goal = draw_goal(rng, site)
    sim = Simulation(site, goal, max_steps=MAX_STEPS, wording_seed=name)
    task = Task("", wordings(site, goal)[goal.wording], site.domain.name, site.name)
    messages = opening(sheet_for(rng, site, goal, arm), task, Observation(sim.opening()))
    while True:
        (reply,) = await model.complete(Request(tuple(messages), max_tokens=40))
        messages.append(Message("assistant", reply.message.text, kind="act", weight=1.0))
        _, call = parse_action(reply.message.text, (ACT,))
        seen = sim.step(str(call.arguments["command"]) if call else "")
        if seen.done:
            return tuple(messages)
        messages.append(Message("tool", seen.text, kind="observe"))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m distill.pretrain.replay", description=__doc__)
    parser.add_argument("folder", type=Path, help="of the model")
    parser.add_argument("--runs", type=int, default=N_RUNS)
    options = parser.parse_args()
    with closing(LocalModel.load(options.folder, name=options.folder.name)) as model:
        write_general(options.folder / GENERAL, asyncio.run(replayed(model, options.runs)))


if __name__ == "__main__":
    main()
