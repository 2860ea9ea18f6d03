"""A house of halls: a world that is learned in seconds, with errors that can be put right.

Each hall has doors of four colours, one of which leads on; behind the others is the hall's cellar, from where
one goes up again. Which door it is must be known: nothing in the house tells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from random import Random

from agent.learning.verdicts import judged
from agent.loop import Agent
from agent.models.scripted import FunctionModel
from agent.prompt import parse_action
from agent.settings import AgentSettings, Run
from agent.types import Model, Observation, Task, ToolSpec
from agent.worlds.catalogue import ACT
from memory.core import Memory
from memory.types import Episode, Message, ToolCall

NAMESPACE = "home"
DOORS = ("red", "green", "blue", "white")
UP = "up"
HALLS = (
    "oak",
    "elm",
    "ash",
    "fir",
    "yew",
    "bay",
    "box",
    "hay",
    "ivy",
    "fig",
    "nut",
    "rye",
    "moss",
    "reed",
    "sage",
    "mint",
    "dill",
    "hops",
    "beet",
    "kale",
    "leek",
    "pear",
    "plum",
    "lime",
)
VOCABULARY = " ".join(
    (
        "in hall cellar you are there task: pass halls from . > up yes no case at success failure",
        "1 2 3 4 5 6 7 8",
        "1: maple: birch: success. failure. wanted: success, failure, few many steps.",
        *DOORS,
        *HALLS,
    )
)
Answer = Callable[[str], str]
"""What is said to what is seen."""


@dataclass(frozen=True, slots=True)
class House:
    """Halls in order, and which door of each leads on."""

    name: str
    way: Mapping[str, str]

    @classmethod
    def drawn(cls, name: str, halls: Sequence[str]) -> House:
        """The same house for the same name."""
        chance = Random(f"house {name}")
        return cls(name, {hall: chance.choice(DOORS) for hall in halls})

    def tasks(self, length: int, slack: int = 2) -> tuple[Task, ...]:
        """A walk from every hall through so many; `slack` acts more than are needed may be taken."""
        halls = tuple(self.way)
        made = []
        for begin in range(len(halls)):
            through = tuple(halls[(begin + n) % len(halls)] for n in range(length))
            text = f"pass {length} halls from {through[0]} ."
            config = {"halls": list(through)}
            name = f"{self.name}/{length}/{through[0]}"
            made.append(Task(name, text, "halls", self.name, config, max_steps=length + slack))
        return tuple(made)


@dataclass(slots=True)
class Halls:
    """The world; one object serves one episode."""

    house: House
    _left: list[str] = field(default_factory=list)
    _is_below: bool = False

    def tools(self) -> tuple[ToolSpec, ...]:
        return (ACT,)

    async def reset(self, task: Task) -> Observation:
        halls = task.config["halls"]
        assert isinstance(halls, list)
        self._left, self._is_below = [str(one) for one in halls], False
        return Observation(self._seen())

    async def step(self, call: ToolCall) -> Observation:
        said = str(call.arguments["command"])
        right = right_act(self.house, self._seen())
        if said == right and self._is_below:
            self._is_below = False
        elif said == right:
            self._left.pop(0)
        elif not self._is_below and said in DOORS:
            self._is_below = True
        if not self._left:
            return Observation("you are there", ok=True, done=True, outcome="success", reward=1.0)
        return Observation(self._seen(), ok=said == right)

    def _seen(self) -> str:
        return f"in {'cellar' if self._is_below else 'hall'} {self._left[0]}"


BIRCH = House.drawn("birch", HALLS[:12])
"""Where the base comes from."""
MAPLE = House.drawn("maple", HALLS[12:])
"""Where nobody has been."""


def right_act(house: House, seen: str) -> str:
    """What leads on."""
    where, hall = seen.split()[1:3]
    return UP if where == "cellar" else house.way[hall]


def last_seen(messages: Sequence[Message]) -> str:
    """The newest place that the prompt tells of."""
    told = (one.text for one in reversed(messages) if one.role in ("tool", "user"))
    seen = next(text for text in told if "in hall" in text or "in cellar" in text)
    return seen[seen.rindex("in ") :]


def knowing(house: House) -> Answer:
    """Always right."""
    return lambda seen: right_act(house, seen)


def erring(house: House, share: float, name: object) -> Answer:
    """Wrong in a share of the halls, always by the same door; what went wrong is put right at once."""
    chance, tried = Random(f"erring {name}"), set[str]()

    def act(seen: str) -> str:
        right = right_act(house, seen)
        if right == UP or seen in tried or chance.random() >= share:
            return right
        tried.add(seen)
        return wrong_door(house, seen)

    return act


def wrong_door(house: House, seen: str) -> str:
    """The door that somebody takes who errs in a hall."""
    return DOORS[(DOORS.index(right_act(house, seen)) + 1) % len(DOORS)]


def acting(answer: Answer) -> FunctionModel:
    """A model that acts so."""
    return FunctionModel(lambda messages: f"> {answer(last_seen(messages))}", name="acting", style="plain")


async def walked(
    house: House,
    task: Task,
    model: Model,
    id_: str,
    *,
    memory: Memory | None = None,
    seed: int = 0,
    temperature: float = 0.0,
    k: int = 1,
) -> Episode:
    """One attempt through the real loop, with the verdicts that it is kept with."""
    ticks = count()
    agent = Agent(
        model,
        memory,
        settings=AgentSettings(k=k, temperature=temperature),
        clock=lambda: 0.001 * next(ticks),
    )
    mode = "off" if memory is None else "frozen"
    run = Run(NAMESPACE, "ann", id_, seed=seed, memory=mode)
    return judged(await agent.run(task, Halls(house), run))


def command(text: str) -> str:
    """What an act of a small model calls for; empty where it calls for nothing."""
    _, call = parse_action(text, (ACT,))
    return str(call.arguments["command"]) if call else ""
