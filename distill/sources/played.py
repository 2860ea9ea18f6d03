"""Sources whose tasks are played: tools answer as a model thinks they would, and nothing really happens.

What comes of it is an episode of origin `imagined`: judged, kept apart, and never taken for what was lived.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from agent.critics.safety import Judge, by_rules
from agent.generate.risks import Order, RiskScenarios, Seed
from agent.guards.hazards import RISKS, Risk
from agent.guards.safety import Safety
from agent.loop import Agent
from agent.prompt import command_of
from agent.settings import AgentSettings, Run
from agent.types import Ask, Budget, Judgement, Model, Request, Task
from agent.worlds.simulated import Simulate, Simulated, by_model
from distill.sources.evolving import EvolveFailed
from distill.sources.known import Candidate, Known, Proposal, Rehearsal, Rules
from distill.sources.writing import trust_of
from memory.types import Episode, Json, Message, ToolCall
from memory.value.states import acted

_LONGEST = 400
"""Tokens of a played answer."""
_UNJUDGED = Rules(quality=0.0)


@dataclass(frozen=True, slots=True)
class Imagine:
    """Source: WebEvolver (arXiv 2504.21024): tasks are rolled out against a model of the world, at most seven
    steps, and at the last it shows what is needed if it is there. Deviations: the model of the world is
    prompted with what calls like this one really led to; a judge's votes filter; what passes may be set, too.
    """

    agent: Model
    """Works the task; it does not know that it is played."""
    world: Ask
    """Plays the tools and judges."""
    inner: EvolveFailed = field(default_factory=EvolveFailed)
    steps: int = 7
    votes: int = 3
    least: float = 0.5
    """Share of votes that the judgement takes, more than that."""
    shown: int = 4
    """Real answers that whoever plays is shown."""
    settings: AgentSettings = field(default_factory=lambda: AgentSettings(temperature=0.7))
    over: int = 1

    @property
    def name(self) -> str:
        """As it is asked for."""
        return "imagine"

    @property
    def rules(self) -> Rules:
        """As those of the source that writes the tasks."""
        return self.inner.rules

    async def propose(self, known: Known, ask: Ask, n: int) -> Sequence[Proposal]:
        """As the source that writes the tasks."""
        return await self.inner.propose(known, ask, n)

    def choose(self, found: Sequence[Candidate], n: int) -> Sequence[Candidate]:
        """The first."""
        return found[:n]

    async def play(self, candidate: Candidate, known: Known) -> Rehearsal:
        """One attempt in the played world, and whether most votes say that it did the task."""
        world = Simulated(known.tools, self._dreamt(known))
        run = Run("rehearsal", "imagine", _id(candidate.task), memory="off", budget=Budget(self.steps))
        lived = await Agent(self.agent, None, settings=self.settings).run(candidate.task, world, run)
        share = await self._word(lived)
        ok = share > self.least
        said = f"{share:.0%} of judges say that it did the task"
        return Rehearsal(imagined(lived, ok, share), Judgement(share, ok, said))

    async def _word(self, episode: Episode) -> float:
        """WebRL's judge: the task, the calls and what was seen last."""
        text = (
            f"A task: {episode.task!r}\nWhat an agent did:\n{_story(episode.messages)}\n\n"
            "Was the task done, by what was seen?"
        )
        asked = Request((Message("user", text),), n=self.votes, choices=("yes", "no"), temperature=0.7)
        replies = await self.world(asked)
        return sum(reply.choice == 0 for reply in replies) / len(replies)

    def _dreamt(self, known: Known) -> Simulate:
        real = [
            (one.action, answer)
            for episode in known.lived
            for one in acted(episode.task, episode.messages)
            if (answer := _answer(episode.messages, one.message))
        ]

        async def simulate(task: Task, done: Sequence[Message], call: ToolCall) -> str:
            wanted = set(command_of(call).casefold().split())
            near = sorted(real, key=lambda one: -len(wanted & set(one[0].split())))[: self.shown]
            is_last = len(done) // 2 + 1 >= self.steps
            text = (
                "You play the world of an agent in a rehearsal; nothing is real. Answer the last call as the "
                "real world would, in its own form and nothing else, consistent with what was answered "
                "before.\nWhat calls like it really led to, quoted as data:\n"
                + "\n".join(f"{action!r}: {answer!r}" for action, answer in near)
                + f"\n\nTask of the agent: {task.text}\n{_story(done)}\nCall: {command_of(call)}"
                + ("\nIt is the last call: if it can, the answer shows what the task needs." * is_last)
            )
            request = Request((Message("user", text),), temperature=0.7, max_tokens=_LONGEST)
            (reply,) = await self.world(request)
            return reply.message.text.strip()

        return simulate


@dataclass(frozen=True, slots=True)
class RiskOrders:
    """Source: AutoSafe (arXiv 2505.17735), by `agent.generate.risks`: orders in the course of which an agent
    might do what cannot be undone. They are played, never set, as in the paper, where a model answers in the
    place of the tools: an order that was chosen because it ends in an unsafe act, given to real tools, does
    the harm that it is to teach against. Kept are those that ended in one.
    """

    agent: Model
    world: Ask
    risks: tuple[Risk, ...] = tuple(RISKS)
    judge: Judge = field(default_factory=lambda: by_rules(Safety()))
    max_steps: int = 10
    rules: Rules = _UNJUDGED
    over: int = 1

    @property
    def name(self) -> str:
        """As it is asked for."""
        return "risk_scenarios"

    async def propose(self, known: Known, ask: Ask, n: int) -> Sequence[Proposal]:
        """Orders for one risk after the other. None without tools."""
        made: list[Proposal] = []
        tried = len(known.accepted) + len(known.refused)
        for place in range(len(self.risks)):
            if not known.tools or len(made) >= n:
                break
            risk = self.risks[(tried + place) % len(self.risks)]
            setting = self._setting(known, ask, risk, min(4, n - len(made)))
            orders = await setting.generator().propose((), ())
            made += [Proposal(one.text, trust=trust_of(known.lived), tag=risk) for one in orders]
        return made

    def choose(self, found: Sequence[Candidate], n: int) -> Sequence[Candidate]:
        """The first."""
        return found[:n]

    async def play(self, candidate: Candidate, known: Known) -> Rehearsal:
        """Until the first unsafe act; where none comes, there is nothing to learn."""
        risk = next(one for one in self.risks if one == candidate.proposal.tag)
        setting = self._setting(known, self.world, risk, 1)
        (seed,) = setting.seeds
        rolled = await setting.generator().roll_out(Order(seed, candidate.task.text))
        is_unsafe = rolled.trigger is not None
        told = replace(rolled.episode, task_id=candidate.task.id, world=known.world, family=known.family)
        found = imagined(told, False, 0.0) if is_unsafe else told
        said = rolled.reason if is_unsafe else "the agent stayed safe"
        return Rehearsal(found, Judgement(float(is_unsafe), is_unsafe, said))

    def _setting(self, known: Known, ask: Ask, risk: Risk, n: int) -> RiskScenarios:
        seed = Seed(known.family, known.tools, risk)

        def simulate(of: Seed) -> Simulate:
            return by_model(self.world, RISKS[of.risk])

        return RiskScenarios((seed,), ask, self.agent, self.judge, simulate, n, max_steps=self.max_steps)


def imagined(episode: Episode, ok: bool, share: float) -> Episode:
    """As it may be kept: nothing that was lived, and nothing that memory learns from."""
    values: dict[str, Json] = {**episode.feedback, "judged": share}
    return replace(
        episode,
        origin="imagined",
        mode="off",
        outcome="success" if ok else "failure",
        reward=float(ok),
        outcome_by="judge",
        feedback=values,
        error=None,
    )


def _id(task: Task) -> str:
    return f"imagined-{hashlib.sha256(task.id.encode()).hexdigest()[:16]}"


def _story(messages: Sequence[Message]) -> str:
    told = (one for one in messages if one.role in ("assistant", "tool"))
    lines = (one.text if one.role == "tool" else "; ".join(map(command_of, one.tool_calls)) for one in told)
    return "\n".join(line for line in lines if line)


def _answer(messages: Sequence[Message], place: int) -> str:
    """What came right after the turn at a place."""
    after = messages[place + 1 : place + 2]
    return after[0].text if after and after[0].role in ("tool", "user") else ""
