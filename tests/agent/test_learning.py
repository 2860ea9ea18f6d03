"""Learning on the job with a real memory: what is recalled, recorded, remembered and reinforced."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.journal import MemoryJournal
from agent.loop import Agent
from agent.models.scripted import FunctionModel, ScriptedModel
from agent.opening import AgentSettings, Run
from agent.tools import ToolWorld
from agent.types import Judgement, Task
from agent.worlds.catalogue import catalogue
from agent.worlds.domain import HOUSEHOLD
from agent.worlds.sim import rule_sentences
from agent.worlds.site import held_out_sites, make_site
from memory.core import Memory
from memory.encoder import HashEncoder
from memory.errors import Conflict, NotFound
from memory.types import CaseBody, Evidence, Message, Outcome, PrincipleBody
from tests.agent.logs import Line, episode

MUG: list[Line] = [
    ("go to cabinet 3", "in cabinet 3 you see mug, plate.", True),
    ("take mug from cabinet 3", "you have the mug now.", True),
]
BROKE: Line = ("take mug from desk 1", "you broke a house rule: wash hands before you take things.", False)
THINGS = HOUSEHOLD.things


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path / "memory.db", encoder=HashEncoder()) as opened:
        yield opened


def learner(memory: Memory | None, said: str = "fact: mug is in cabinet 3 (2).", **settings: int) -> Agent:
    model = FunctionModel(lambda _: said, style="plain")
    return Agent(model, memory, settings=AgentSettings(**settings))


async def test_episode_becomes_record_case_and_utility(memory: Memory) -> None:
    """After learning, the episode is kept with verdicts and its case is found by the next question."""
    report = await learner(memory).learn(episode(MUG))
    assert [m.ok for m in report.episode.messages if m.kind == "act"] == [True, True]
    assert memory.episode("ns", "e1") == report.episode
    (item,) = report.items
    assert isinstance(item.body, CaseBody)
    assert item.body.lesson == "mug is in cabinet 3."
    assert (item.channel, item.trust, item.author) == ("reflection", 1, "ann")
    assert item.lineage.evidence == (Evidence("e1", 2),)


@pytest.mark.parametrize("outcome", ["unknown", "infra"])
async def test_unjudged_episode_is_kept_and_teaches_nothing(memory: Memory, outcome: Outcome) -> None:
    """It is recorded, and that is all."""
    report = await learner(memory).learn(episode([*MUG, BROKE], outcome))
    assert report.items == ()
    assert memory.items("ns") == ()
    assert memory.episode("ns", "e1").outcome == outcome


async def test_crashed_run_is_never_learned_from(memory: Memory) -> None:
    """From the crash of a tool's world to an unchanged memory, through the public door."""

    def check(task: Task, answer: str) -> Judgement:
        raise OSError("judge down")

    agent = Agent(ScriptedModel(["my answer", "fact: answer is mine (2)."]), memory)
    task = Task("t1", "answer.", "tools", "here")
    crashed = await agent.run(task, ToolWorld(check=check), Run("ns", "ann", "e1"))
    await agent.learn(crashed)
    assert crashed.outcome == "infra"
    assert memory.items("ns") == ()


async def test_without_a_memory_learning_is_only_judging() -> None:
    """No memory, no reflection, no calls."""
    report = await learner(None).learn(episode(MUG))
    assert (report.items, report.reflection.source) == ((), "none")


async def test_next_run_sees_what_was_learned_and_says_so(memory: Memory) -> None:
    """Recall shows the case and the principle, and the episode records both with their versions."""
    agent = learner(memory, "fact: mug is in cabinet 3 (2). rule: wash hands before you take things (6).")
    taught = await agent.learn(episode([*MUG, BROKE], "failure"))
    task = Task("t2", "put the mug on shelf 2.", "household", "maple 7", max_steps=1)
    model = ScriptedModel(["ok"], style="plain")
    again = await Agent(model, memory).run(task, ToolWorld(), Run("ns", "ann", "e2"))
    asked = [m.text for m in model.history[0].messages]
    assert asked[0] == "rules: wash hands before you take things."
    assert "mug is in cabinet 3." in asked[1]
    assert again.recall is not None
    case, rule = taught.items
    assert [(r.item, r.version, r.shown) for r in again.recall.items] == [(case.id, case.version, True)]
    assert again.recall.constitution == (f"{rule.id}@{rule.version}",)
    assert again.constitution_version is not None


async def test_outcome_is_credited_to_what_was_in_view(memory: Memory) -> None:
    """A success after a recall raises the utility of the recalled, once, however often it is learned."""
    agent = learner(memory)
    (case,) = (await agent.learn(episode(MUG))).items
    task = Task("t2", "put the mug on shelf 2.", "household", "maple 7")
    world = ToolWorld(check=lambda task, answer: Judgement(1.0, True))
    done = await Agent(ScriptedModel(["there"]), memory).run(task, world, Run("ns", "ann", "e2"))
    for _ in range(2):
        await agent.learn(done)
    utility = memory.get("ns", case.id).utility
    assert (utility.n, utility.reward_sum) == (1, 1.0)


async def test_memory_off_neither_recalls_nor_records_a_recall(memory: Memory) -> None:
    """The control arm sees nothing."""
    await learner(memory).learn(episode(MUG))
    model = ScriptedModel(["ok"], style="plain")
    task = Task("t2", "put the mug on shelf 2.", "household", "maple 7")
    off = Run("ns", "ann", "e2", memory="off")
    done = await Agent(model, memory).run(task, ToolWorld(), off)
    assert len(model.history[0].messages) == 1
    assert (done.recall, done.constitution_version) == (None, None)


async def test_family_scope_keeps_other_places_out(memory: Memory) -> None:
    """What holds at maple 7 is not told at oak 9."""
    await learner(memory).learn(episode([*MUG, BROKE], "failure"))
    model = ScriptedModel(["ok"], style="plain")
    task = Task("t2", "put the mug on shelf 2.", "household", "oak 9")
    await Agent(model, memory).run(task, ToolWorld(), Run("ns", "ann", "e2"))
    assert [m.kind for m in model.history[0].messages] == ["task"]


async def test_held_out_items_are_recorded_but_not_shown(memory: Memory) -> None:
    """With a drop rate of nearly one, the coin is told with its propensity."""
    await learner(memory).learn(episode(MUG))
    model = ScriptedModel(["ok"], style="plain")
    task = Task("t2", "put the mug on shelf 2.", "household", "maple 7")
    careful = Agent(model, memory, settings=AgentSettings(drop_rate=0.999))
    done = await careful.run(task, ToolWorld(), Run("ns", "ann", "e2"))
    assert done.recall is not None
    (held,) = done.recall.items
    assert held.shown is False
    assert held.propensity == pytest.approx(0.001)
    assert "cabinet" not in model.history[0].messages[-1].text


async def test_repeated_rules_gather_support_instead_of_copies(memory: Memory) -> None:
    """The same rule from three episodes is one principle with three pieces of evidence."""
    agent = learner(memory, "rule: wash hands before you take things (2).")
    for number in range(3):
        await agent.learn(episode([BROKE], "failure", id=f"e{number}"))
    (principle,) = memory.items("ns", kind="principle")
    assert isinstance(principle.body, PrincipleBody)
    assert principle.body.support == 3
    assert [e.episode for e in principle.lineage.evidence] == ["e0", "e1", "e2"]


async def test_orders_are_mined_across_recorded_episodes(memory: Memory) -> None:
    """What no single reflection said, several logs show; later episodes add support one by one."""
    lines: list[Line] = [
        ("heat egg with stove 2", "stove 2 does not start.", False),
        ("press button", "stove 2 is ready.", True),
        ("heat egg with stove 2", "it is hot.", True),
    ]
    agent = learner(memory, "nothing to say")
    supports = []
    for number in range(4):
        await agent.learn(episode(lines, id=f"e{number}"))
        found = memory.items("ns", kind="principle")
        supports.append([i.body.support for i in found if isinstance(i.body, PrincipleBody)])
    assert supports == [[], [2], [3], [4]]
    assert found[0].text == "press button before you heat with stove 2."
    assert found[0].status == "trial"


@pytest.mark.parametrize("window", [2, 3, 50])
async def test_an_episode_counts_once_whatever_window_it_is_seen_in(memory: Memory, window: int) -> None:
    """Learning again, and looking again at what was looked at, adds nothing; what breaks it is counted."""
    heat: Line = ("heat egg with stove 2", "it is hot.", True)
    shows: list[Line] = [("heat egg with stove 2", "no.", False), ("press button", "ready.", True), heat]
    lived = [episode(shows if n < 4 else [heat], id=f"e{n}") for n in range(6)]
    agent = learner(memory, "nothing to say", mined_episodes=window)
    for done in [*lived, *lived[2:], *lived]:
        await agent.learn(done)
    (principle,) = memory.items("ns", kind="principle")
    assert isinstance(principle.body, PrincipleBody)
    assert (principle.body.support, principle.body.violations) == (4, 2)
    assert {one.episode for one in principle.lineage.evidence} == {"e0", "e1", "e2", "e3"}


async def test_mining_can_be_switched_off(memory: Memory) -> None:
    """Zero mined episodes leaves principles to the reflection."""
    agent = learner(memory, "fact: nothing is here (2).", mined_episodes=0)
    await agent.learn(episode([*MUG, BROKE], "failure"))
    assert [
        i.body.builder for i in memory.items("ns", kind="principle") if isinstance(i.body, PrincipleBody)
    ] == ["symbolic"]  # the fall-back of the reflection itself, from this episode alone


async def test_lessons_of_an_episode_that_saw_strangers_are_not_trusted(memory: Memory) -> None:
    """Trust of what is derived is the least of what was seen."""
    done = episode(MUG)
    seen = replace(done.messages[2], agent="external")
    tainted = replace(done, messages=(*done.messages[:2], seen, *done.messages[3:]))
    (item,) = (await learner(memory).learn(tainted)).items
    assert (item.channel, item.trust) == ("external", 0)


async def test_learning_twice_with_one_journal_reflects_once(memory: Memory) -> None:
    """After a crash in the middle the model is not asked again and nothing is doubled."""
    model = ScriptedModel(["fact: mug is in cabinet 3 (2)."], style="plain")
    agent, journal = Agent(model, memory), MemoryJournal()
    first = await agent.learn(episode(MUG), journal)
    again = await agent.learn(episode(MUG), MemoryJournal(journal.record))
    assert again == first
    assert model.left == 0
    assert len(memory.items("ns")) == 1


async def test_feedback_that_comes_late_lets_the_episode_teach(memory: Memory) -> None:
    """First unknown, then a success by word of the user: learned from then."""
    agent = learner(memory)
    await agent.learn(episode(MUG, "unknown"))
    told = memory.feedback("ns", "e1", principal="ann", outcome="success", values={"thumbs": True})
    (item,) = (await agent.learn(told)).items
    assert item.outcome == "success"


async def test_another_episode_of_the_same_id_is_refused(memory: Memory) -> None:
    """Evidence must keep pointing to the messages it was found in."""
    agent = learner(memory)
    await agent.learn(episode(MUG))
    with pytest.raises(Conflict):
        await agent.learn(episode([BROKE], "failure"))


async def test_one_secret_does_not_sink_the_other_lessons(memory: Memory) -> None:
    """Memory refuses what holds a key; the report says so and the rest is kept."""
    key = "AKIA" + "IOSFODNN7EXAMPLQ"
    lines: list[Line] = [
        ("look", f"on the wall: {key}. you broke a house rule: knock before you enter.", False)
    ]
    agent = learner(memory, f"fact: wall {key} (2). rule: knock before you enter (2).")
    report = await agent.learn(episode(lines, "failure"))
    assert [item.text for item in report.items] == ["knock before you enter."]
    assert len(report.refused) == 1
    assert key not in report.refused[0]


async def test_namespaces_learn_apart(memory: Memory) -> None:
    """One namespace's case is not found in another."""
    (item,) = (await learner(memory).learn(episode(MUG))).items
    with pytest.raises(NotFound):
        memory.get("other", item.id)


def careless(messages: tuple[Message, ...]) -> str:
    """A policy that searches the places of the opening in order and takes the thing, whatever the rules."""
    opening = next((m.text for m in messages if m.kind == "task"), "")
    if not opening:
        return "nothing to say"  # asked for a reflection
    places = re.findall(r"[a-z]+ \d+", opening.split(" task: ")[0])[1:]
    thing = next(
        word for word in reversed(re.findall(r"[a-z]+", opening.split(" task: ")[1])) if word in THINGS
    )
    visited = [
        str(m.tool_calls[0].arguments["command"]).removeprefix("go to ") for m in messages if m.tool_calls
    ]
    last = messages[-1].text if messages[-1].role == "tool" else ""
    here = next((place for place in reversed(visited) if place in places), "")
    if thing in last:
        return f"{thing} is here. > take {thing} from {here}"
    if ("closed" in last or "shut" in last) and here:
        return f"where is {thing}? > open {here}"
    return f"where is {thing}? > go to {next((p for p in places if p not in visited), places[0])}"


async def test_agent_learns_at_a_real_site(memory: Memory) -> None:
    """Household: some failure states the house rule, and the next run is shown it."""
    site = next(s for s in held_out_sites(50) if make_site("household", s).rules.entry)
    rule = rule_sentences(make_site("household", site))[0]
    places = catalogue("household")
    agent = Agent(FunctionModel(careless, style="plain"), memory)
    for number, task in enumerate(places.tasks(site=site, split="work", n=8)):
        await agent.learn(await agent.run(task, places.make(), Run("ns", "ann", f"e{number}")))
    assert rule in {item.text for item in memory.items("ns", kind="principle", family=site)}
    model = FunctionModel(careless, style="plain")
    (task,) = places.tasks(site=site, split="gate", n=1)
    await Agent(model, memory).run(task, places.make(), Run("ns", "ann", "last"))
    assert rule in model.history[0].messages[0].text
