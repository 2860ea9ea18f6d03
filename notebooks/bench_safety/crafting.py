"""A small world of six skills that need each other, a learner that counts, and a turner of knobs."""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent.generate.worlds import Config, Skills, WorldConfigs
from agent.models.scripted import FunctionModel
from memory.types import Json, Message

NEEDS: Mapping[str, tuple[str, ...]] = {
    "wood": (),
    "table": ("wood",),
    "pick": ("wood", "table"),
    "stone": ("wood", "table", "pick"),
    "furnace": ("wood", "table", "pick", "stone"),
    "iron": ("wood", "table", "pick", "stone", "furnace"),
}
_ACTIONS = (*NEEDS, *(f"gesture {n}" for n in range(18)))
_RARITY = {"common": 0.9, "normal": 0.5, "rare": 0.25}
_LENGTH = 14
"""Steps of an episode."""


class Crafting:
    """The knobs: what one starts with, and how often a right action works."""

    def config_schema(self) -> Mapping[str, Json]:
        """Every knob with its values."""
        start: Json = {"type": "array", "items": {"enum": list(NEEDS)}, "uniqueItems": True}
        return {
            "type": "object",
            "properties": {"start": start, "rarity": {"enum": list(_RARITY)}},
            "required": ["start", "rarity"],
            "additionalProperties": False,
        }

    def skills(self) -> tuple[str, ...]:
        """The six things to make."""
        return tuple(NEEDS)

    def rules(self) -> str:
        """What needs what."""
        return "\n".join(f"{thing} needs: {', '.join(needs) or 'nothing'}" for thing, needs in NEEDS.items())


@dataclass
class Learner:
    """Counts, for each thing held, what worked; tries what it has tried least."""

    chance: random.Random
    tries: dict[tuple[frozenset[str], str], int] = field(default_factory=lambda: defaultdict(int))
    wins: dict[tuple[frozenset[str], str], int] = field(default_factory=lambda: defaultdict(int))

    def choose(self, held: frozenset[str], *, explores: bool) -> str:
        """The action with the best rate here, or any."""
        if explores and self.chance.random() < 0.5:
            return self.chance.choice(_ACTIONS)
        best = [(self.wins[held, one] / max(1, self.tries[held, one]), one) for one in _ACTIONS]
        top = max(rate for rate, _ in best)
        return self.chance.choice([one for rate, one in best if rate == top])

    def live(self, config: Config, steps: int) -> None:
        """So many steps of episodes in a world of this configuration."""
        start, rarity = frozenset(map(str, _list(config["start"]))), _RARITY[str(config["rarity"])]
        while steps > 0:
            held = start
            for _ in range(min(_LENGTH, steps)):
                steps -= 1
                action = self.choose(held, explores=True)
                won = _works(held, action) and self.chance.random() < rarity
                self.tries[held, action] += 1
                self.wins[held, action] += won
                held |= {action} if won else frozenset()

    def skills(self, seeds: int = 6, episodes: int = 10) -> Skills:
        """How often each thing is made in the world as it is, for several seeds."""
        rates: dict[str, tuple[float, ...]] = {}
        made = [[self._made(random.Random(f"{seed}/{n}")) for n in range(episodes)] for seed in range(seeds)]
        for thing in NEEDS:
            rates[thing] = tuple(sum(thing in one for one in runs) / episodes for runs in made)
        return Skills(rates)

    def _made(self, luck: random.Random) -> frozenset[str]:
        held: frozenset[str] = frozenset()
        for _ in range(_LENGTH):
            action = self.choose(held, explores=False)
            if _works(held, action) and luck.random() < _RARITY["normal"]:
                held |= {action}
        return held


NORMAL: Config = {"start": [], "rarity": "normal"}
"""The world as it is."""


async def grown(arm: str, seed: int, *, rounds: int = 4, steps: int = 120) -> list[Skills]:
    """The skills after each configuration, at equal steps: `told` by what goes worst, `random`, or `none`."""
    learner, measured = Learner(random.Random(f"{arm} {seed}")), []

    async def practise(config: Config) -> None:
        learner.live(NORMAL if arm == "none" else config, steps)
        learner.live(NORMAL, steps)

    async def measure() -> Skills:
        measured.append(learner.skills())
        return measured[-1]

    start = learner.skills()
    setting = WorldConfigs(Crafting(), turner(arm, seed).complete, practise, measure, n=2)
    await setting.generator(start).run(rounds)
    return measured


def turner(arm: str, seed: int) -> FunctionModel:
    """Stands in for a model: gives what the weakest skill needs, or anything."""
    chance = random.Random(f"turner {seed}")

    def write(messages: Sequence[Message]) -> str:
        text = messages[0].text
        found = re.search(r"Write (\d+) configurations", text)
        n = int(found[1]) if found else 1
        rates = {name: int(rate) for name, rate in re.findall(r"^(\w+): (\d+)%", text, re.MULTILINE)}
        configs: list[Json] = []
        for _ in range(n):
            weakest = min(rates, key=lambda one: rates[one])
            told: list[Json] = list(_needs(text, weakest))
            anything: list[Json] = [one for one in NEEDS if chance.random() < 0.5]
            rarity = "common" if arm == "told" else chance.choice(list(_RARITY))
            configs.append({"start": told if arm == "told" else anything, "rarity": rarity})
        return json.dumps({"configs": configs})

    return FunctionModel(write, name=f"turner {arm}")


def _needs(text: str, skill: str) -> list[str]:
    found = re.search(rf"^{skill} needs: (.*)$", text, re.MULTILINE)
    named = found[1].split(", ") if found else []
    return [one for one in named if one in NEEDS]


def _works(held: frozenset[str], action: str) -> bool:
    return action in NEEDS and action not in held and held.issuperset(NEEDS[action])


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []
