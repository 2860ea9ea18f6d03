"""What paid near a state, on the logs of a teacher whose steps an oracle marks."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest

from agent.guards.advantage import Advantage
from agent.loop import Agent
from agent.models.scripted import FunctionModel
from agent.opening import Run
from agent.types import GuardContext, Spent, Task
from agent.worlds.catalogue import catalogue
from agent.worlds.sim import Simulation, State
from agent.worlds.site import Goal, Site, goals, held_out_sites, make_site
from agent.worlds.teacher import Knowledge, Teacher, full_knowledge
from memory.core import Memory
from memory.encoder import HashEncoder
from memory.types import Episode, Message, ToolCall
from memory.value.means import reward_of
from memory.value.states import acted
from memory.value.steps import GATE, Step, Walked, is_bad, state_value, worths
from memory.writing.forgetting import Root
from memory.writing.stepping import acts_of, state_encoder

SITES = held_out_sites(6)
N_LIVED, N_ASKED = 40, 10


@dataclass(frozen=True)
class Lived:
    """An episode, and how many steps the oracle needed before and after each of its own."""

    episode: Episode
    left: tuple[int | None, ...]
    """None where the task was lost; one more than there are acts."""


def steps_left(sim: Simulation) -> int | None:
    """What a shortest way takes from here."""
    ahead = Simulation(sim.site, sim.goal, max_steps=99, wording_seed="oracle")
    ahead.state = State(**copy.deepcopy(asdict(sim.state)))
    ahead.state.steps = 0
    teacher = Teacher(ahead, full_knowledge(ahead.site))
    for n in range(40):
        if ahead.state.over:
            return n
        ahead.step(teacher.decide()[1])
    return None


def half_knowledge(site: Site) -> Knowledge:
    """All but where things are, and where one must not look for them."""
    known = full_knowledge(site)
    return replace(known, homes={}, forbidden=set())


def live(site: Site, goal: Goal, name: str, noise: float, knows: Callable[[Site], Knowledge]) -> Lived:
    """What a teacher does that knows so much, and does something else now and then."""
    chance = random.Random(name)
    task = f"{goal.family} {' '.join(goal.things)} {goal.target}"
    sim = Simulation(site, goal, max_steps=20, wording_seed=name)
    teacher = Teacher(sim, knows(site))
    messages = [Message("user", f"{sim.opening()} task: {task}", kind="task")]
    other = [
        "look",
        *(f"open {place}" for place in site.storage),
        *(f"go to {place}" for place in site.listing),
    ]
    left = [steps_left(sim)]
    while True:
        command = chance.choice(other) if chance.random() < noise else teacher.decide()[1]
        seen = sim.step(command)
        teacher.saw(command, seen.text)
        call = ToolCall(f"c{len(messages)}", "act", {"command": command})
        messages.append(Message("assistant", "", kind="act", tool_calls=(call,)))
        messages.append(Message("tool", seen.text, kind="observe", tool_call_id=call.id, ok=seen.ok))
        left.append(0 if seen.outcome == "success" else None if seen.done else steps_left(sim))
        if seen.done:
            break
    assert seen.outcome is not None
    episode = Episode(
        *(name, "home", name, task, "household", site.name, name),
        tuple(messages),
        seen.outcome,
        principal="ada",
    )
    return Lived(episode, tuple(left))


def logs(
    site: str, noise: float, knows: Callable[[Site], Knowledge] = full_knowledge
) -> tuple[list[Lived], list[Lived]]:
    """Episodes to learn from, and others, at one site."""
    place = make_site("household", site)
    offers = list(goals(place))
    random.Random(site).shuffle(offers)
    lived = [
        live(place, goal, f"{site}/{n}", noise, knows) for n, goal in enumerate(offers[: N_LIVED + N_ASKED])
    ]
    return lived[:N_LIVED], lived[N_LIVED:]


def walked(lived: list[Lived]) -> Walked:
    told = [pair for one in lived for pair in acts_of(one.episode, reward_of(one.episode) or 0.0)]
    return Walked(tuple(act for _, act in told), state_encoder().encode([step.state for step, _ in told]))


def asked(known: Walked, lived: Lived) -> list[tuple[Step, ...]]:
    states = [one.state for one in acted(lived.episode.task, lived.episode.messages)]
    return [known.near(state) for state in state_encoder().encode(states)]


def ranks(values: Sequence[float]) -> list[float]:
    """Places in order, ties sharing theirs."""
    ordered = sorted(values)
    return [ordered.index(value) + (ordered.count(value) - 1) / 2 for value in values]


def test_values_fall_with_the_steps_that_are_left() -> None:
    """Rank correlation with what the oracle needs, at tasks that were never seen: above .8 at these sites."""
    found = []
    for site in SITES:
        before, after = logs(site, noise=0.0)
        known = walked(before)
        values: list[float] = []
        left: list[float] = []
        for lived in after:
            for near, n in zip(asked(known, lived), lived.left, strict=False):
                values.append(state_value(near))
                left.append(99.0 if n is None else float(n))
        found.append(-float(np.corrcoef(ranks(values), ranks(left))[0, 1]))
    assert fmean(found) > 0.8
    assert min(found) > 0.7


def test_what_lost_before_is_refused_and_little_else() -> None:
    """At sites with a place that must not be opened, to a searcher who is never told: most broken rules are
    refused after 40 episodes, and hardly any step of a shortest way.
    """
    names = [name for name in held_out_sites(30) if make_site("household", name).rules.forbidden][:6]
    lost: list[bool] = []
    right: list[bool] = []
    for name in names:
        before, after = logs(name, noise=0.1, knows=half_knowledge)
        known = walked(before)
        for lived in after:
            steps = acted(lived.episode.task, lived.episode.messages)
            broke = "you broke a house rule" in lived.episode.messages[-1].text
            for step, near, was, now in zip(
                steps, asked(known, lived), lived.left, lived.left[1:], strict=False
            ):
                found = next((one for one in worths(near, GATE) if one.action == step.action), None)
                refused = found is not None and is_bad(found, GATE)
                if broke and step is steps[-1]:
                    lost.append(refused)
                elif was is not None and now is not None and now < was:
                    right.append(refused)
    assert len(lost) > 20
    assert fmean(lost) > 0.5, (sum(lost), len(lost), sum(right), len(right))
    assert fmean(right) < 0.01
    assert sum(lost) > 0.9 * (sum(lost) + sum(right)), (sum(lost), len(lost), sum(right), len(right))


def opened(place: str, name: str, *, worked: bool) -> Episode:
    """Went to a place and opened it."""
    task = "put the mug on shelf 2"
    lines = [(f"go to {place}", f"kitchen: {place} is closed."), (f"open {place}", f"you open {place}.")]
    messages = [Message("user", f"you are at oak 9. task: {task}", kind="task")]
    for n, (command, answer) in enumerate(lines):
        call = ToolCall(f"{name}-{n}", "act", {"command": command})
        messages.append(Message("assistant", "", kind="act", tool_calls=(call,)))
        ok = worked or n == 0
        messages.append(Message("tool", answer, kind="observe", tool_call_id=call.id, ok=ok))
    said = (name, "home", "t1", task, "household", "oak 9", "g")
    return Episode(*said, tuple(messages), "success" if worked else "failure", principal="ada")


def about_to(episode: Episode) -> tuple[ToolCall, GuardContext]:
    """Just before its last call is run."""
    messages = episode.messages[:-1]
    task = Task("t1", episode.task, "household", episode.family)
    return messages[-1].tool_calls[0], GuardContext(messages, Spent(), 3, task)


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory.open(tmp_path / "memory.db", encoder=HashEncoder(64))


def lived_through(memory: Memory, *episodes: Episode) -> None:
    for episode in episodes:
        memory.record(episode, principal="ada")
        memory.reinforce(episode, principal="ada")


def test_what_failed_here_before_is_sent_back_once(memory: Memory) -> None:
    """The same place, twice; not another place, not before it was tried, not for ever."""
    good = [opened(f"cabinet {n}", f"good-{n}", worked=True) for n in range(8)]
    bad = [opened("drawer 14", f"bad-{n}", worked=False) for n in range(3)]
    lived_through(memory, *good, bad[0])
    call, context = about_to(opened("drawer 14", "now", worked=True))
    assert Advantage(memory.walked("home", "oak 9")).check(call, context).action == "allow"
    lived_through(memory, *bad[1:])
    guard = Advantage(memory.walked("home", "oak 9"))
    verdict = guard.check(call, context)
    assert (verdict.action, verdict.guard) == ("block", "advantage")
    assert "'open drawer 14' did not pay here" in verdict.reason
    other, there = about_to(opened("cabinet 2", "else", worked=True))
    assert guard.check(other, there).action == "allow"
    refusal = Message("tool", f"refused: {verdict.reason}", kind="observe", tool_call_id=call.id, ok=False)
    again = replace(call, id="again")
    retry = Message("assistant", "", kind="act", tool_calls=(again,))
    second = replace(context, messages=(*context.messages, refusal, retry))
    assert guard.check(again, second).action == "allow"
    memory.close()


def test_steps_follow_what_is_said_of_their_episode(memory: Memory) -> None:
    """Late feedback turns their worth, forgetting takes them away; another family has its own."""
    lived_through(memory, opened("cabinet 1", "e1", worked=True))
    state = "put the mug on shelf 2 didgo kitchen: cabinet 1 is closed."
    (best, *_) = memory.paid("home", "oak 9", state)
    assert (best.action, best.steps[0].episode, best.steps[0].message) == ("open cabinet 1", "e1", 3)
    assert best.steps[0].near == pytest.approx(1.0)
    assert best.steps[0].worth == 1.0
    memory.feedback("home", "e1", principal="ada", reward=0.5)
    assert [act.worth for act in memory.walked("home", "oak 9").acts] == pytest.approx([0.45, 0.5])
    assert memory.paid("home", "maple 7", state) == ()
    memory.forget_all("home", Root("episode", "e1"), principal="ada")
    assert memory.paid("home", "oak 9", state) == ()
    lived_through(memory, opened("cabinet 1", "e2", worked=True))
    memory.erase("home", Root("episode", "e2"), principal="ada")
    assert memory.paid("home", "oak 9", state) == ()
    memory.close()


async def test_an_agent_with_the_guard_does_not_repeat_what_was_lost(memory: Memory) -> None:
    """At a site with a place that must not be opened, a model that opens it first and is told no goes on."""
    name = next(name for name in held_out_sites(40) if make_site("household", name).rules.forbidden)
    site = make_site("household", name)
    (task,) = catalogue("household").tasks(site=name, split="work", n=1)
    forbidden = site.rules.forbidden
    way = await shortest(task)

    def play(messages: tuple[Message, ...]) -> str:
        said = [call.arguments["command"] for m in messages for call in m.tool_calls]
        if not said:
            return f"so. > go to {forbidden}"
        if len(said) == 1:
            return f"so. > open {forbidden}"
        return f"so. > {way[min(len(said) - 2, len(way) - 1)]}"

    model = FunctionModel(play, name="stubborn", style="plain")
    plain, guarded = Agent(model, memory), Agent(model, memory, advantage=GATE)
    others = [opened_for(task, place, n) for n, place in enumerate(site.storage) if place != forbidden]
    lived_through(memory, *others)
    for n in range(3):
        lost = await plain.run(task, catalogue("household").make(), Run("home", "ada", f"lost-{n}"))
        assert lost.outcome == "failure"
        lived_through(memory, lost)
    saved = await guarded.run(task, catalogue("household").make(), Run("home", "ada", "saved"))
    assert saved.outcome == "success"
    assert any("did not pay here" in message.text for message in saved.messages)
    memory.close()


def opened_for(task: Task, place: str, n: int) -> Episode:
    episode = opened(place, f"other-{n}", worked=True)
    return replace(episode, task=task.text, family=task.family)


async def shortest(task: Task) -> list[str]:
    world = catalogue(task.world).make()
    await world.reset(task)
    assert hasattr(world, "expert")
    commands: list[str] = []
    while ahead := world.expert():
        commands.append(ahead[0])
        await world.step(ToolCall("c", "act", {"command": ahead[0]}))
    return commands
