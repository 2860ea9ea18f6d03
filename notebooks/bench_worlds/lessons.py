"""Demonstrations for the small policy: a teacher at work in ALFWorld's train games, by the agent's own loop.

The teacher knows what is to be done, not where things are. It looks for them place by place in the order
they are told, but first at kinds of place where memory in its prompt says that such a thing was taken. So
what is worth knowing of where things are has to be read. Now and then its hand slips; those steps do not
train.
`python -m notebooks.bench_worlds.lessons --alfworld-data FOLDER --out FILE`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from agent.loop import Agent
from agent.models.scripted import FunctionModel
from agent.opening import AgentSettings, Run
from agent.types import Budget, Observation, Task, ToolSpec
from agent.worlds.alfworld import RULES, Alfworld
from agent.worlds.game import act_tool
from memory.core import Memory
from memory.minilm import MiniLm
from memory.types import Episode, Message, ToolCall
from notebooks.bench_worlds.house import MIGHT, NOTHING, House, kind, read, strange

SETTINGS = AgentSettings(reflection_calls=0, token_budget=700, constitution_budget=200)
"""Counters learn, no model is asked: as the policy is measured later."""
STEPS = 50
"""As in the paper."""
_CHANGED = re.compile(r"(heat|cool|clean) \w+ \d+ with (\w+) \d+")
_TAKEN = re.compile(r"take (\w+) \d+ from (\w+) \d+")
_MEMORY = frozenset({"memory"})


class HouseWorld:
    """A house as a World."""

    def __init__(self, folder: Path, town: str = "") -> None:
        self._folder, self.town = folder, town
        self.house: House

    def tools(self) -> tuple[ToolSpec, ...]:
        return (act_tool(RULES.act.name, RULES.act.description, self.house.commands()),)

    async def reset(self, task: Task) -> Observation:
        self.house = read(self._folder, str(task.config["game"]))
        if self.town:
            self.house = strange(self.house, self.town)
        self._left = task.max_steps
        return Observation(self.house.opening())

    async def step(self, call: ToolCall) -> Observation:
        text = self.house.act(str(call.arguments["command"]))
        self._left -= 1
        if not (is_won := self.house.is_won()) and self._left:
            return Observation(text, text != NOTHING)
        told = "success" if is_won else "failure"
        return Observation(text, text != NOTHING, True, told, float(is_won))


class Teacher:
    """Decides by what it has seen, and by the memory in its prompt."""

    def __init__(self, world: HouseWorld, rng: random.Random, slip: float) -> None:
        self._world, self._rng, self._slip = world, rng, slip
        self._is_strange = bool(world.town)
        self.slips: set[int] = set()
        """Its steps, from 0, at which its hand slipped."""
        self._steps = 0
        self._tried: set[str] = set()
        self._machines: set[str] = set()

    def __call__(self, messages: tuple[Message, ...]) -> Message:
        """The next call."""
        house = self._world.house
        command = self._next(house, messages)
        if self._rng.random() < self._slip:
            others = [one for one in house.commands() if one != command]
            command = self._rng.choice(others)
            self.slips.add(self._steps)
        self._steps += 1
        call = ToolCall(f"c{self._steps}", "act", {"command": command})
        return Message("assistant", "", tool_calls=(call,))

    def _next(self, house: House, messages: Sequence[Message]) -> str:
        goal = house.goal
        if house.hand:
            return self._with_it(house, messages)
        here = [place for place in house.spot if house.reaches(place) and place == house.last]
        for place in here:
            if not house.is_open(place) and self._may_hold(house, place) and place not in self._tried:
                return f"open {place}"
            self._tried.add(place)
            wanted = sorted(filter(house.is_wanted, house.holds[place]), key=house.order.__getitem__)
            if house.is_open(place) and wanted and kind(place) != goal.place:
                return f"take {wanted[0]} from {place}"
            if wanted and house.is_open(place) and not all(map(house.is_ready, wanted)):
                return f"take {next(one for one in wanted if not house.is_ready(one))} from {place}"
        return f"go to {self._where(house, messages)}"

    def _with_it(self, house: House, messages: Sequence[Message]) -> str:
        """The thing is at hand."""
        goal, thing = house.goal, house.hand
        if not house.is_wanted(thing):  # a slip
            return next(
                (one for one in house.commands() if one.startswith("move ")),
                f"go to {self._any(house, {place for place, sort in house.fits if sort == kind(thing)})}",
            )
        if goal.lamp:
            lamps = [
                place for place, inside in house.holds.items() for one in inside if kind(one) == goal.lamp
            ]
            if house.reaches(lamps[0]):
                return f"use {next(one for one in house.holds[lamps[0]] if kind(one) == goal.lamp)}"
            return f"go to {lamps[0]}"
        if not house.is_ready(thing):
            return self._change(house, messages)
        # Where the first of two went, the second goes.
        place = max(
            (place for place in house.spot if kind(place) == goal.place),
            key=lambda place: (
                sum(map(house.is_wanted, house.holds[place])) * (goal.count > 1),
                house.reaches(place),
            ),
        )
        if not house.reaches(place):
            return f"go to {place}"
        return f"move {thing} to {place}" if house.is_open(place) else f"open {place}"

    def _change(self, house: House, messages: Sequence[Message]) -> str:
        """Heat, cool or clean it: by the machine that memory names, else by whatever may be one."""
        verb = house.goal.state
        now = next((one for one in house.commands() if one.startswith(f"{verb} ")), None)
        if now is not None:
            return now
        self._machines.add(house.last)
        if not self._is_strange:
            return f"go to {self._any(house, {house.machines[verb]})}"
        told = " ".join(message.text for message in messages if message.kind in _MEMORY)
        named = [place for done, place in _CHANGED.findall(told) if done == verb]
        places = [place for place in house.spot if place not in self._machines and kind(place) in MIGHT]
        rank = {sort: n for n, sort in enumerate(dict.fromkeys(named))}
        return f"go to {min(places, key=lambda one: (rank.get(kind(one), len(rank)), house.order[one]))}"

    def _any(self, house: House, kinds: Iterable[str]) -> str:
        wanted = set(kinds)
        return next(
            (place for place in sorted(house.spot, key=house.order.__getitem__) if kind(place) in wanted),
            house.last,
        )

    def _may_hold(self, house: House, place: str) -> bool:
        known = (kind(place), house.goal.thing) in house.fits or kind(place) == house.goal.place
        return known or self._is_strange

    def _where(self, house: House, messages: Sequence[Message]) -> str:
        """The next place to look: of the kinds that memory names, then as they are told."""
        told = " ".join(message.text for message in messages if message.kind in _MEMORY)
        named = [place for thing, place in _TAKEN.findall(told) if thing == house.goal.thing]
        places = [place for place in house.spot if place not in self._tried and self._may_hold(house, place)]
        if house.goal.count < 2 and not house.goal.state:
            places = [place for place in places if kind(place) != house.goal.place]
        if not places:  # all were looked at: again, from the start
            self._tried = set()
            places = [place for place in house.spot if self._may_hold(house, place)]
        rank = {sort: n for n, sort in enumerate(dict.fromkeys(named))}
        return min(places, key=lambda place: (rank.get(kind(place), len(rank)), house.order[place]))


async def live(
    folder: Path, memory: Memory, tasks: Sequence[Task], space: str, *, is_strange: bool
) -> list[str]:
    """A life of one namespace; a line of JSON for each episode."""
    lines = []
    for number, task in enumerate(tasks):
        rng = random.Random(f"{space}/{task.id}")
        world = HouseWorld(folder, space if is_strange else "")
        teacher = Teacher(world, rng, 0.08 if rng.random() < 0.5 else 0.0)
        agent = Agent(FunctionModel(teacher), memory, settings=_shown(rng))
        run = Run(space, "lessons", f"{space}/{number}", budget=Budget(max_steps=STEPS))
        episode = await agent.run(replace(task, max_steps=STEPS), world, run)
        assert episode.outcome in {"success", "failure"}, episode.error
        await agent.learn(episode)
        lines.append(_line(episode, teacher.slips))
    return lines


def _shown(rng: random.Random) -> AgentSettings:
    """Cases and principles, one of them, or nothing; what is learned is the same."""
    draw = rng.random()
    if draw < 0.15:
        return replace(SETTINGS, k=0, constitution_budget=0)
    if draw < 0.25:
        return replace(SETTINGS, k=0)
    return replace(SETTINGS, constitution_budget=0) if draw < 0.5 else SETTINGS


def _line(episode: Episode, slips: set[int]) -> str:
    """The conversation, its acts as the model is to write them."""
    told, step = [], 0
    for message in episode.messages:
        if message.kind == "act" and message.tool_calls:
            command = json.dumps({"command": message.tool_calls[0].arguments["command"]})
            told.append(["assistant", f"Action: act {command}", float(step not in slips)])
            step += 1
        elif message.role == "tool":
            told.append(["user", f"Observation: {message.text}", 0.0])
        elif told and told[-1][0] == message.role:
            told[-1][1] += f"\n\n{message.text}"
        else:
            told.append([message.role, message.text, 0.0])
    return json.dumps({"won": episode.outcome == "success", "steps": episode.steps, "messages": told})


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alfworld-data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--games", type=int, default=3553)
    parser.add_argument("--lives", type=int, default=36, help="namespaces that the games are dealt out to")
    parser.add_argument("--strange", action="store_true", help="each namespace is a town of other customs")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    catalogue = Alfworld(asked.alfworld_data)
    from agent.worlds.alfworld import KINDS

    tasks = [task for site in KINDS for task in catalogue.all(site) if catalogue.split_of(task) == "train"]
    random.Random(asked.seed).shuffle(tasks)
    tasks = tasks[: asked.games]
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    store = asked.out.with_suffix(".db")
    store.unlink(missing_ok=True)
    with Memory.open(store, encoder=MiniLm()) as memory, asked.out.open("w", encoding="utf-8") as file:
        for life in range(asked.lives):
            own = tasks[life :: asked.lives]
            for line in asyncio.run(
                live(
                    asked.alfworld_data,
                    memory,
                    own,
                    f"{asked.seed}/{life}",
                    is_strange=asked.strange,
                )
            ):
                file.write(line + "\n")
            file.flush()


if __name__ == "__main__":
    main()
