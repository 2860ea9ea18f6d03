"""Episodes that the loop left in the household: of an agent that errs at a known rate, and marked."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from agent.learning.verdicts import judged
from agent.loop import Agent
from agent.models.scripted import FunctionModel
from agent.settings import Run
from agent.types import Task, World
from agent.worlds.catalogue import catalogue
from agent.worlds.site import make_site
from memory.types import Episode, Message

NAMESPACE = "home"


@dataclass(frozen=True, slots=True)
class Pool:
    """Episodes, and which of their acts the oracle would have done."""

    episodes: tuple[Episode, ...]
    right: Mapping[tuple[str, int], bool]
    """By episode and message."""


async def household_pool(site: str, *, tasks: int, attempts: int, rates: tuple[float, ...]) -> Pool:
    """So many attempts at each of some tasks; every attempt has the next of the error rates."""
    episodes: list[Episode] = []
    right: dict[tuple[str, int], bool] = {}
    for number, task in enumerate(catalogue("household").tasks(site=site, split="work", n=tasks)):
        for attempt in range(attempts):
            id_ = f"{number:03d}-{attempt:02d}"
            marks: list[bool] = []
            world = catalogue("household").make()
            model = _erring(world, task, rates[attempt % len(rates)], random.Random(id_), marks)
            run = Run(NAMESPACE, "test", id_, seed=attempt)
            episode = judged(await Agent(model, None).run(task, world, run))
            acts = [n for n, one in enumerate(episode.messages) if one.role == "assistant"]
            right |= {(id_, n): mark for n, mark in zip(acts, marks, strict=True)}
            episodes.append(episode)
    return Pool(tuple(episodes), right)


def _erring(world: World, task: Task, rate: float, chance: random.Random, marks: list[bool]) -> FunctionModel:
    """A model that does what is right, but for a share of its turns."""
    commands = _commands(task)

    def answer(_: tuple[Message, ...]) -> str:
        best = world.expert()[0]  # type: ignore[attr-defined]  # bundled worlds know it
        said = chance.choice(commands) if chance.random() < rate else best
        marks.append(said == best)
        return f"so be it . > {said}"

    return FunctionModel(answer, name="erring", style="plain")


def _commands(task: Task) -> list[str]:
    """What somebody might do who does not know better."""
    site = make_site("household", task.family)
    things = sorted({str(one) for one in task.config["things"]})  # type: ignore[union-attr]
    made = [f"go to {place}" for place in site.listing]
    made += [f"{verb} {place}" for verb in ("open", "close") for place in site.storage]
    made += [f"take {thing} from {place}" for thing in things for place in site.storage]
    made += [f"put {thing} in {place}" for thing in things for place in site.storage]
    made += [
        f"{verb} {things[0]} with {machine}" for verb in site.machines for machine in site.machines_for(verb)
    ]
    return [*made, "look"]
