"""Episodes of a worker who knows the site and errs: what memory might hold after a while of work.

A wrong act is a belief acted upon: the thought says where the thing is, the command goes there, and it
is not there. What follows is worked out anew from where that led, so that every pool holds recoveries.
Whether an act was right is what the oracle says of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from agent.prompt import compose
from agent.types import Observation, Task
from agent.worlds.catalogue import ACT, MAX_STEPS, catalogue
from agent.worlds.sim import Simulation
from agent.worlds.site import Site, goals, make_site
from agent.worlds.teacher import Teacher, full_knowledge
from memory.types import Episode, Message, ToolCall
from notebooks.bench_distill.plan import WORLD

NAMESPACE = "bench"


@dataclass(frozen=True, slots=True)
class Worker:
    """Who lives episodes."""

    slip: float
    """Share of acts that are wrong."""


def pool(
    site: str, n: int, workers: tuple[Worker, ...], name: object = 0, place: Site | None = None
) -> tuple[Episode, ...]:
    """So many episodes of a site's work tasks, workers and tasks in turn; lived at `place`, if not there."""
    tasks = [task for task in work(site) if place is None or not _is_done(task, place)]
    return tuple(
        lived(tasks[number % len(tasks)], workers[number % len(workers)], f"{name}-{number:04}", place)
        for number in range(n)
    )


def work(site: str, n: int = 100) -> tuple[Task, ...]:
    """Tasks that may be worked on."""
    return catalogue(WORLD).tasks(site=site, split="work", n=n)


def gate(site: str, n: int) -> tuple[Task, ...]:
    """Tasks that nobody works on."""
    return catalogue(WORLD).tasks(site=site, split="gate", n=n)


def lived(task: Task, worker: Worker, name: str, place: Site | None) -> Episode:
    """One episode."""
    rng = Random(f"{task.id}/{name}/{worker.slip}")
    sim = simulation(task, place)
    messages = [*compose(task, Observation(sim.opening()), None, None, "plain")]
    while True:
        right = oracle(sim)
        said = astray(rng, sim) if rng.random() < worker.slip and _may_leave(sim) else right
        seen = sim.step(said[1])
        messages += _turn(f"call{sim.state.steps:05}", said, said[1] == right[1], seen)
        if seen.done:
            break
    return Episode(
        id=f"{task.id}-{name}",
        namespace=NAMESPACE,
        task_id=task.id,
        task=task.text,
        world=task.world,
        family=task.family,
        group=task.id,
        messages=tuple(messages),
        outcome=seen.outcome or "failure",
        reward=seen.reward,
        steps=sim.state.steps,
        outcome_by="world",
    )


def _turn(name: str, said: tuple[str, str], ok: bool, seen: Observation) -> tuple[Message, Message]:
    call = ToolCall(name, ACT.name, {"command": said[1]})
    return (
        Message("assistant", " > ".join(said), kind="act", tool_calls=(call,), ok=ok),
        Message("tool", seen.text, kind="observe", tool_call_id=name, agent="world", ok=seen.ok),
    )


def oracle(sim: Simulation) -> tuple[str, str]:
    """A thought and the next command of a shortest way; nothing where the task is over."""
    return ("", "") if sim.state.over else Teacher(sim, full_knowledge(sim.site)).decide()


def astray(rng: Random, sim: Simulation) -> tuple[str, str]:
    """A thought and a command that lead somewhere else."""
    state, right = sim.state, oracle(sim)[1]
    places = [one for one in sim.site.storage if one != state.at and one not in right]
    place = rng.choice(places)
    thing = sim.goal.things[0]
    thought = f"i have {state.held}." if state.held else f"{thing} is at {place}."
    return thought, f"go to {place}"


def simulation(task: Task, place: Site | None = None) -> Simulation:
    """The world of a task, as the catalogue starts it."""
    site = make_site(task.world, str(task.config["site"]))
    demands = {key: task.config[key] for key in ("family", "target")}
    (goal,) = (
        one
        for one in goals(site)
        if {"family": one.family, "target": one.target} == demands
        and list(one.things) == task.config["things"]
    )
    return Simulation(place or site, goal, max_steps=MAX_STEPS, wording_seed=task.id)


def _is_done(task: Task, place: Site) -> bool:
    sim = simulation(task, place)
    return all(place.homes[thing] == sim.goal.target for thing in sim.goal.things)


def cleared(episode: Episode) -> Episode:
    """The episode without the oracle's marks: nobody knows which act was wrong."""
    own = (replace(one, ok=None) if one.role == "assistant" else one for one in episode.messages)
    return replace(episode, messages=tuple(own))


def _may_leave(sim: Simulation) -> bool:
    """Leaving an open door behind may break a rule, which would end the task."""
    return not (sim.site.rules.close and sim.state.at in sim.state.opened)
