"""World configurations for what goes badly: a model turns knobs, the learner lives there, and is measured.

Source: EnvGen (arXiv 2403.12014): N configurations a round, practice in them and then as long in the world as
it is, success of each skill with its deviation told to the model. Deviations: one configuration after the
other, each measured; learning is whatever `practise` does, here the filling of a memory.
"""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import Protocol

from agent.generate.loop import Generator, Refusal, Refused, Round, Tried
from agent.models.schema import Unreadable, extract_json, first_violation
from agent.types import Ask, Judgement, Request
from memory.types import Json, Message

Config = Mapping[str, Json]


class Configurable(Protocol):
    """A kind of world with knobs, and skills that can be learnt in it."""

    def config_schema(self) -> Mapping[str, Json]:
        """JSON Schema of a configuration: every knob with the values it may have."""
        ...

    def skills(self) -> tuple[str, ...]:
        """What can be learnt, by name."""
        ...

    def rules(self) -> str:
        """How the world works, for who turns the knobs."""
        ...


@dataclass(frozen=True, slots=True)
class Skills:
    """Success of each skill in the world as it is, over several seeds."""

    rates: Mapping[str, tuple[float, ...]]
    """By skill: a success rate, 0..1, for each seed."""

    def mean(self, skill: str) -> float:
        """Over the seeds."""
        return fmean(self.rates[skill])

    @property
    def weakest(self) -> str:
        """The skill that goes worst, the first of equals."""
        return min(self.rates, key=self.mean)

    @property
    def score(self) -> float:
        """exp(mean ln(1 + s)) - 1 over the mean rates: a skill that fails outright weighs most."""
        return math.exp(fmean(math.log1p(self.mean(skill)) for skill in self.rates)) - 1.0

    def told(self) -> str:
        """A line for each: mean and deviation in per cent."""
        return "\n".join(
            f"{skill}: {100 * self.mean(skill):.0f}% ± {100 * pstdev(rates):.0f}%"
            for skill, rates in self.rates.items()
        )


WorldRound = Round[Json, Config, Skills, Config]


@dataclass(frozen=True, slots=True)
class WorldConfigs:
    """The setting: whose knobs, who turns them, who learns and how that is measured."""

    world: Configurable
    writer: Ask
    practise: Callable[[Config], Awaitable[None]]
    """Let the learner live in a world of this configuration, then as long in the world as it is."""
    measure: Callable[[], Awaitable[Skills]]
    n: int = 4
    """Configurations a round."""
    temperature: float = 0.8
    max_tokens: int = 2000

    def generator(self, start: Skills) -> Generator[Json, Config, Skills, Config]:
        """The loop with this setting's functions, from what the learner can do at the start."""

        async def propose(past: Sequence[WorldRound], refused: Sequence[Refusal[Json]]) -> list[Json]:
            return await self._written(start, past, refused)

        async def judge(_: Config, found: Skills) -> Judgement:
            return Judgement(found.score, None, found.told())

        return Generator(propose, self._checked, self._lived, judge, _kept)

    async def _written(
        self, start: Skills, past: Sequence[WorldRound], refused: Sequence[Refusal[Json]]
    ) -> list[Json]:
        lived = [one for found in past for one in found.tried]
        told = (lived[-1].result if lived else start).told()
        n = len(refused) or self.n
        before = "\n".join(json.dumps(dict(one.instance)) for one in lived[-self.n :])
        faults = "\n".join(f"{json.dumps(one.proposal)} cannot be used: {one.reason}" for one in refused)
        text = (
            f"{self.world.rules()}\n\nAn agent learns these skills there; this is how often each succeeds:\n"
            f"{told}\n\nThe knobs of the world, as JSON Schema: {json.dumps(self.world.config_schema())}\n"
            + (f"The last configurations:\n{before}\n" if before else "")
            + (f"{faults}\n" if faults else "")
            + f"Write {n} configurations in which the agent will practise what goes worst, "
            'as JSON {"configs": [{…}]}.'
        )
        request = Request((Message("user", text),), max_tokens=self.max_tokens, temperature=self.temperature)
        (reply,) = await self.writer(request)
        try:
            value = extract_json(reply.message.text)
        except Unreadable as error:
            return [str(error)]
        configs = value.get("configs") if isinstance(value, dict) else value
        return configs[:n] if isinstance(configs, list) else [value]

    def _checked(self, proposal: Json) -> Config:
        if not isinstance(proposal, dict):
            raise Refused("a configuration is a JSON object of the schema")
        violation = first_violation(proposal, self.world.config_schema())
        if violation:
            raise Refused(violation)
        return proposal

    async def _lived(self, config: Config) -> Skills:
        await self.practise(config)
        return await self.measure()


def _kept(tried: Tried[Config, Skills]) -> Config:
    """All that could be lived in: what they were good for, the next measurement shows."""
    return tried.instance
