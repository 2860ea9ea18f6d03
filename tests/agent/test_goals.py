"""Planner `goals`: a verdict before the next search, caps, three sources, and who is asked when."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean, stdev

import pytest

from agent.builders.facts import stated_rules
from agent.finding.router import Router, agreement, surprise
from agent.finding.sources import SELF, query_argument
from agent.guards.quota import Quota
from agent.journal import MemoryJournal
from agent.learning.support import is_supported
from agent.loop import Agent
from agent.models.scripted import Answer, FunctionModel, ScriptedModel
from agent.opening import Run
from agent.planners.goals import Goals
from agent.prompt import Lesson
from agent.tools import FunctionTool, ToolWorld
from agent.types import Judgement, Model, Reply, Task, ToolSpec
from memory.core import Memory
from memory.encoder import HashEncoder
from memory.types import Draft, Episode, Evidence, Message, NoteBody, Usage

TOWNS = [f"{a}{b}" for a in ("Or", "Bel", "Cas", "Dun", "Fal") for b in ("mar", "ton", "wick", "ley", "by")]
FACTS = {
    **{f"the mayor of {town}": f"Mayor{n}" for n, town in enumerate(TOWNS)},
    **{f"the river of {town}": f"River{n}" for n, town in enumerate(TOWNS)},
}
"""Fifty facts."""
PHRASINGS = ("{0}", "who or what is {0}", "{0} today", "name {0}")
RUN = Run("ns", "ann", "e1")


@dataclass
class Engine:
    """A search engine; some phrasings of a fact find the same fact of another town."""

    spoilt: Mapping[str, frozenset[int]]
    searches: list[str] = field(default_factory=list)

    def find(self, query: str) -> str:
        self.searches.append(query)
        fact = next(one for one in FACTS if one in query)
        phrasing = max(n for n, form in enumerate(PHRASINGS) if form.format(fact) == query)
        if phrasing in self.spoilt.get(fact, ()):
            keys = [one for one in FACTS if one.split()[1] == fact.split()[1]]
            fact = keys[(keys.index(fact) + 1) % len(keys)]
        return f"Found: {fact} is {FACTS[fact]}."

    def world(self, wanted: Sequence[str]) -> ToolWorld:
        def search(query: str) -> str:
            """Search the archive."""
            return self.find(query)

        def check(task: Task, answer: str) -> Judgement:
            ok = answer == " and ".join(FACTS[fact] for fact in wanted)
            return Judgement(float(ok), ok)

        return ToolWorld([FunctionTool.of(search, read_only=True, channel="external")], check=check)


def engine(noise: float, seed: int) -> Engine:
    """Each phrasing but the last is spoilt with this probability."""
    rng = random.Random(seed)
    last = len(PHRASINGS) - 1
    return Engine({fact: frozenset(n for n in range(last) if rng.random() < noise) for fact in FACTS})


def task(wanted: Sequence[str]) -> Task:
    return Task("t", f"Say {' and '.join(wanted)}.", "tools", "archive", max_steps=40)


@dataclass
class Reader:
    """Knows four phrasings, tells whether a text is on what it asked for, believes what it read last."""

    known: frozenset[str] = frozenset()
    """Facts it knows itself; on others it guesses anew each time."""
    rng: random.Random = field(default_factory=lambda: random.Random(0))

    def __call__(self, messages: tuple[Message, ...]) -> Answer:
        last = messages[-1].text
        if '"goal"' in last:
            return self.next_goal(messages)
        if '"query"' in last:
            goal = re.findall(r"not met yet: (.*)", last)[0]
            n_tried = len(re.findall(r"Tried: (.*)", last)[0].split("; "))
            return json.dumps({"query": PHRASINGS[n_tried % len(PHRASINGS)].format(goal)})
        if '"met"' in last:
            goal = re.findall(r"this goal: (.*)", last)[0]
            return json.dumps({"met": f"{goal} is" in last, "why": "I looked at the name"})
        if last.startswith(("Write three", "Answer from what you know")):
            fact = next(one for one in FACTS if one in last)
            value = FACTS[fact] if fact in self.known else f"Guess{self.rng.randrange(1000)}"
            return value if last.startswith("Answer") else f"{fact} is {value}."
        return self.answer(messages)

    def wanted(self, messages: Sequence[Message]) -> list[str]:
        (asked,) = re.findall(r"Say (.*)\.", next(one.text for one in messages if one.kind == "task"))
        return str(asked).split(" and ")

    def next_goal(self, messages: Sequence[Message]) -> str:
        done = re.findall(r"Goal met: (.*?)\. |Given up after \d+ searches: (.*)", whole(messages))
        gone = {one.strip() for pair in done for one in pair}
        goal = next((one for one in self.wanted(messages) if one not in gone), "")
        return json.dumps({"goal": goal, "query": goal})

    def answer(self, messages: Sequence[Message]) -> str:
        said = []
        for fact in self.wanted(messages):
            kind = fact.split()[1]
            about = whole(messages).split(f"Goal: {fact}\n")[-1].split("Goal: ")[0]
            said.append(re.findall(rf"the {kind} of \w+ is (\w+)", about)[-1])
        return " and ".join(said)


def whole(messages: Sequence[Message]) -> str:
    return "\n".join(f"{one.text} " for one in messages)


async def ask(planner: Goals, found: Engine, wanted: Sequence[str], model: Model | None = None) -> Episode:
    agent = Agent(model or FunctionModel(Reader()), None, planner=planner)
    return await agent.run(task(wanted), found.world(wanted), RUN)


EXTERNAL = Goals(source="external")


async def success(planner: Goals, noise: float) -> tuple[float, float]:
    """Mean and half-width of a 95 % interval over five seeds, ten questions each."""
    rates = []
    for seed in range(5):
        found, rng = engine(noise, seed), random.Random(seed + 100)
        pairs = [tuple(rng.sample(sorted(FACTS), 2)) for _ in range(10)]
        rates.append(fmean([(await ask(planner, found, pair)).outcome == "success" for pair in pairs]))
    return fmean(rates), 2.78 * stdev(rates) / math.sqrt(len(rates))


async def test_success_stays_flat_as_noise_grows_up_to_the_number_of_phrasings() -> None:
    """With reflection all is found while one phrasing is clean; without it the first page is believed."""
    with_it = [await success(EXTERNAL, noise) for noise in (0.0, 0.4, 0.8)]
    without = [await success(replace(EXTERNAL, reflects=False), noise) for noise in (0.0, 0.4, 0.8)]
    assert [mean for mean, _ in with_it] == [1.0, 1.0, 1.0]
    assert without[0] == (1.0, 0.0)
    for (mean, half), (before, half_before) in ((without[1], without[0]), (without[2], without[1])):
        assert mean + half < before - half_before


async def test_a_goal_that_was_closed_is_not_taken_up_again() -> None:
    """Naming it anew does not get around its cap."""
    fact = "the mayor of Ormar"
    found = Engine({fact: frozenset(range(4))})

    class Stubborn(Reader):
        def next_goal(self, messages: Sequence[Message]) -> str:
            return json.dumps({"goal": fact, "query": fact})

    await ask(EXTERNAL, found, (fact,), FunctionModel(Stubborn()))
    assert len(found.searches) == 4


async def test_no_verdict_of_false_advances_a_goal_and_caps_end_the_loop() -> None:
    """All phrasings spoilt: the goal is tried as often as it may be, given up, and the answer is told so."""
    first, second = "the mayor of Ormar", "the river of Ormar"
    found = Engine({first: frozenset(range(4))})
    episode = await ask(EXTERNAL, found, (first, second))
    assert [first in query for query in found.searches] == [True] * 4 + [False]
    assert f"Given up after 4 searches: {first}" in whole(episode.messages)
    found.searches.clear()
    await ask(replace(EXTERNAL, per_goal=9, most_searches=6), found, (first, second))
    assert len(found.searches) == 6
    assert all(first in query for query in found.searches)


async def test_without_anything_to_search_the_run_ends_in_words() -> None:
    """A tool that is not there is named with those that are."""
    episode = await ask(Goals(source="external", tool="web"), engine(0, 0), ("the mayor of Ormar",))
    assert episode.outcome == "infra"
    assert "no tool 'web' to search with; there are: search, finish" in str(episode.error)


async def test_it_is_replayed_alike_from_every_cut() -> None:
    """No search is made twice."""
    wanted = ("the mayor of Ormar", "the river of Belton")
    found = Engine({wanted[0]: frozenset({0})})
    journal = MemoryJournal()

    async def lived(kept: MemoryJournal) -> Episode:
        planner = replace(EXTERNAL, router=Router())
        agent = Agent(FunctionModel(Reader(frozenset(wanted[1:]))), None, planner=planner)
        return await agent.run(task(wanted), found.world(wanted), RUN, kept)

    episode = await lived(journal)
    assert episode.outcome == "success"
    names = list(journal.record)
    for cut in range(len(names)):
        found.searches.clear()
        again = await lived(MemoryJournal({name: journal.record[name] for name in names[:cut]}))
        assert again.messages == episode.messages
        steps = [name for name in names if name.startswith("step")]
        assert len(found.searches) <= len(steps) - sum(name in names[:cut] for name in steps)


async def test_searches_stand_under_the_guards() -> None:
    """A refused search has found nothing, and meets no goal."""
    wanted = ("the mayor of Ormar",)
    found = engine(0.0, 0)
    agent = Agent(FunctionModel(Reader()), None, planner=EXTERNAL, guards=[Quota(calls={"search": 0})])
    episode = await agent.run(task(wanted), found.world(wanted), RUN)
    assert found.searches == []
    assert "Given up" in whole(episode.messages)


async def routed(router: Router | None, source: str = "external") -> tuple[float, int]:
    """Accuracy, and searches outside, on fifty questions to a model that knows thirty of them."""
    known = frozenset(random.Random(7).sample(sorted(FACTS), 30))
    found, right = engine(0.0, 0), 0
    for n, fact in enumerate(sorted(FACTS)):
        reader = Reader(known, random.Random(n))
        planner = Goals(source="self" if source == "self" else "external", router=router)
        right += (await ask(planner, found, (fact,), FunctionModel(reader))).outcome == "success"
    return right / len(FACTS), len(found.searches)


async def test_the_router_saves_searches_at_equal_accuracy() -> None:
    """Only what the model does not know is looked up; without the source the rest is wrong."""
    assert await routed(None) == (1.0, 50)
    assert await routed(Router()) == (1.0, 20)
    assert await routed(None, "self") == (0.6, 0)


def test_agreement_and_surprise() -> None:
    """By words; in bits per token, where likelihoods are told."""
    assert agreement([]) == agreement([" ", "."]) == 0.0
    assert agreement(["The Nile.", "the nile", "Po"]) == pytest.approx(2 / 3)
    told = Reply(Message("assistant", "a b", logprob=-2 * math.log(2)), Usage(completion_tokens=2))
    assert surprise(told) == pytest.approx(1.0)
    assert surprise(Reply(Message("assistant", "a b"), Usage(completion_tokens=2))) is None


async def test_where_likelihoods_are_told_a_less_sure_query_is_looked_up() -> None:
    """The first always is; then those that surprise more than the one before. Nobody is asked for samples."""
    router, model = Router(by="entropy"), ScriptedModel([])
    assert not await router.knows(model.complete, "q", 1.0, None)
    assert await router.knows(model.complete, "q", 0.9, 1.0)
    assert not await router.knows(model.complete, "q", 1.1, 1.0)
    assert model.history == []
    sure = ScriptedModel(["Rome"] * 5)
    assert await router.knows(sure.complete, "q", None, None)


async def test_what_the_model_wrote_itself_is_never_evidence() -> None:
    """It is marked, and no lesson can be founded on it; what a tool said can."""
    fact = "the mayor of Ormar"
    own = await ask(Goals(source="self"), engine(0, 0), (fact,), FunctionModel(Reader(frozenset({fact}))))
    seen = await ask(EXTERNAL, engine(0, 0), (fact,))
    for episode, is_evidence in ((own, False), (seen, True)):
        place = next(
            at for at, one in enumerate(episode.messages) if f"{fact} is Mayor0" in one.text and at > 2
        )
        lesson = Lesson(f"{fact} is Mayor0.", "fact", (Evidence(episode.id, place),))
        assert is_supported(lesson, episode, 0.6) == is_evidence
    (written,) = [one for one in own.messages if one.agent == SELF]
    assert written.kind == "memory"
    assert written.text.startswith("Written from your own knowledge")
    assert not stated_rules(own)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path / "memory.db", encoder=HashEncoder(64)) as memory:
        yield memory


@pytest.mark.parametrize("mode", ["learn", "off"])
async def test_memory_is_searched_where_it_may_be(memory: Memory, mode: str) -> None:
    """What it says is recorded as a reminder; with memory off nothing is found."""
    fact = "the mayor of Ormar"
    note = Draft("tool_note", f"{fact} is Mayor0.", NoteBody("search", ""))
    memory.remember("ns", [note], principal="ann", channel="operator")
    asked = Task("t", f"Say {fact}.", "tools", "archive")
    model = FunctionModel(Reader())
    run = replace(RUN, memory="learn" if mode == "learn" else "off")
    agent = Agent(model, memory, planner=Goals())
    episode = await agent.run(asked, engine(0, 0).world((fact,)), run)
    said = [one for one in episode.messages if one.kind == "memory"]
    assert any("Mayor0" in one.text for one in said) == (mode == "learn")
    assert ("Goal met" in whole(episode.messages)) == (mode == "learn")


async def test_memory_is_asked_in_the_words_of_the_query(memory: Memory) -> None:
    """What the task's own words do not find, the query does; the episode has it as a reminder."""
    fact = "the mayor of Ormar"
    note = Draft("tool_note", f"{fact} is Mayor0.", NoteBody("search", ""))
    memory.remember("ns", [note], principal="ann", channel="operator")

    class Terse(Reader):
        def wanted(self, messages: Sequence[Message]) -> list[str]:
            return [fact]

    agent = Agent(FunctionModel(Terse()), memory, planner=Goals())
    asked = Task("t", "begin", "tools", "archive")
    episode = await agent.run(asked, engine(0, 0).world((fact,)), RUN)
    assert episode.outcome == "success"
    assert episode.recall is None or not episode.recall.items
    assert [one.items[0].shown for one in episode.reminders] == [True]


def test_the_query_goes_where_the_tool_takes_it() -> None:
    """The first argument that must be given."""
    spec = ToolSpec("s", "", {"properties": {"limit": {}, "q": {}}, "required": ["q"]})
    assert query_argument(spec) == "q"
    assert query_argument(ToolSpec("s", "", {"properties": {"text": {}}})) == "text"
    assert query_argument(ToolSpec("s", "", {})) == "query"
