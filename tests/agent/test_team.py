"""Planner `team`: turns in order, what each is shown, the list of rules, and what actions cost."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest

from agent.builders.ops import Built, Operation, Window
from agent.journal import MemoryJournal
from agent.learning.learn import LearnReport
from agent.loop import Agent
from agent.models.scripted import FunctionModel, ScriptedModel
from agent.opening import AgentSettings, Run
from agent.planners.team import Team, seen_by, turns_of
from agent.team.costs import Costs, explored
from agent.team.rules import TeamRules, rules_of
from agent.types import Observation, Task, ToolSpec
from memory.core import Memory
from memory.encoder import HashEncoder
from memory.types import Draft, Episode, Evidence, Json, Lineage, Message, PrincipleBody, ToolCall

RUN = Run("ns", "ann", "e1")
ROOMS = tuple(f"room {n}" for n in range(1, 10))
RULE = "Say which room you take before you go."


@dataclass
class Fetch:
    """Nine rooms, four things in them; nobody sees where the others have been."""

    seed: int = 0
    rooms: dict[str, bool] = field(default_factory=dict)
    visits: list[tuple[str, str]] = field(default_factory=list)
    member: str = ""

    def tools(self) -> tuple[ToolSpec, ...]:
        room: Json = {"type": "object", "properties": {"room": {"type": "string"}}, "required": ["room"]}
        assert isinstance(room, dict)
        return (ToolSpec("go", "", room),)

    def turn_of(self, member: str) -> None:
        self.member = member

    async def reset(self, task: Task) -> Observation:
        full = random.Random(self.seed).sample(ROOMS, 4)
        self.rooms, self.visits = {room: room in full for room in ROOMS}, []
        return Observation("nine rooms, four things")

    async def step(self, call: ToolCall) -> Observation:
        room = str(call.arguments["room"])
        self.visits.append((self.member, room))
        text = f"{self.member} takes a thing from {room}" if self.rooms[room] else f"nothing in {room}"
        self.rooms[room] = False
        done = not any(self.rooms.values())
        return Observation(text, True, done, "success" if done else None)

    def snapshot(self) -> Json:
        return {"rooms": dict(self.rooms), "visits": [[*one] for one in self.visits]}

    def restore(self, task: Task, snapshot: Json) -> None:
        kept = dict(snapshot)  # type: ignore[arg-type, call-overload]
        self.rooms, self.visits = dict(kept["rooms"]), [tuple(one) for one in kept["visits"]]


TASK = Task("t1", "fetch the four things", "rooms", "house", max_steps=60)


@dataclass(frozen=True)
class Fetcher:
    """Goes through the rooms in an order of its own, and does what the rules it is shown say."""

    seed: int
    rounds: bool = True

    def __call__(self, messages: tuple[Message, ...]) -> Message:
        notice = next(one.text for one in reversed(messages) if one.text.startswith("It is your turn"))
        (member,) = re.findall(r"turn, (\w+)\.", notice)
        gone = {
            str(call.arguments["room"]) for one in messages for call in one.tool_calls if call.name == "go"
        }
        gone |= set(re.findall(r"room \d", notice)) if self.rounds else set()
        is_told = any(RULE in one.text for one in messages)
        if is_told:
            gone |= {room for one in messages for room in re.findall(r"says: I take (room \d)", one.text)}
        order = random.Random(f"{self.seed}/{member}").sample(ROOMS, len(ROOMS))
        room = next((one for one in order if one not in gone), order[0])
        said = [ToolCall("", "say", {"to": "everybody", "text": f"I take {room}"})] if is_told else []
        return Message("assistant", "", tool_calls=(*said, ToolCall("", "go", {"room": room})))


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path / "memory.db", encoder=HashEncoder(64)) as memory:
        yield memory


async def fetched(
    memory: Memory | None, planner: Team, seed: int, *, rounds: bool = True
) -> tuple[Episode, Fetch]:
    world = Fetch(seed)
    agent = Agent(FunctionModel(Fetcher(seed, rounds)), memory, planner=planner)
    return await agent.run(TASK, world, replace(RUN, episode_id=f"e{seed}")), world


def duplicates(world: Fetch) -> int:
    return len(world.visits) - len({room for _, room in world.visits})


def rule(text: str, evidence: tuple[Evidence, ...]) -> Operation:
    body = PrincipleBody("global", "neural", support=1)
    return Operation("add", (), Draft("principle", text, body, lineage=Lineage(evidence)), evidence)


async def lived(memory: Memory) -> Episode:
    episode, _ = await fetched(memory, Team(team="crew"), 99)
    memory.record(episode, principal="ann")
    return episode


async def test_two_agents_with_the_shared_list_beat_two_without(memory: Memory) -> None:
    """Seven houses: they visit no room twice, and need fewer visits, where the rule is on their list."""
    episode = await lived(memory)
    crew = TeamRules(memory, "ns", "crew")
    evidence = (Evidence(episode.id, 4),)
    done = crew.change([rule(RULE, evidence)], Window((episode,)), principal="ann", key="k")
    assert len(done.items) == 1
    with_it = [(await fetched(memory, Team(team="crew"), seed))[1] for seed in range(7)]
    without = [(await fetched(memory, Team(team="others"), seed))[1] for seed in range(7)]
    assert not any(duplicates(world) for world in with_it)
    assert fmean(map(duplicates, without)) > 1
    assert fmean(len(one.visits) for one in with_it) < fmean(len(one.visits) for one in without)


async def test_the_list_is_the_teams_alone(memory: Memory) -> None:
    """Other teams, single agents and runs without memory do not see it."""
    episode = await lived(memory)
    evidence = (Evidence(episode.id, 4),)
    TeamRules(memory, "ns", "crew").change(
        [rule(RULE, evidence)], Window((episode,)), principal="ann", key="k"
    )
    (item,) = rules_of(memory, "ns", "crew")
    assert (item.scope, item.audience, item.family) == ("team", "crew", None)
    assert rules_of(memory, "ns", "others") == rules_of(memory, "elsewhere", "crew") == ()
    shown = memory.constitution("ns", "house", token_budget=1000, count_tokens=len)
    assert shown.principles == ()
    off = FunctionModel(Fetcher(1))
    await Agent(off, memory, planner=Team(team="crew")).run(TASK, Fetch(1), replace(RUN, memory="off"))
    assert not any(RULE in one.text for request in off.history for one in request.messages)


async def test_the_list_is_bounded_and_every_change_is_logged(memory: Memory) -> None:
    """What is beyond the bound is refused; an edit and a removal make room and stay in the history."""
    episode = await lived(memory)
    evidence = (Evidence(episode.id, 4),)
    crew = TeamRules(memory, "ns", "crew", most=2)

    async def build(window: Window) -> Built:
        if not window.principles:
            return Built(tuple(rule(f"Rule number {n} about room {n}.", evidence) for n in (1, 2, 3)))
        first, second = (item.id for item in window.principles)
        edited = rule("Go to the far rooms first.", evidence)
        return Built(
            (
                rule("A third rule on speaking.", evidence),
                replace(edited, action="edit", targets=(first,)),
                Operation("retire", (second,), evidence=evidence),
                Operation("retire", ("somebody-elses",), evidence=evidence),
            )
        )

    first = await crew.revise([episode], build, principal="ann", key="one")
    assert first.done.refused == ("add: the list has 2 rules, which is the most",)
    assert len(crew.items()) == 2
    old = [item.id for item in crew.items()]
    second = await crew.revise([episode], build, principal="ann", key="two")
    assert second.done.refused == ("retire: it names a rule of somebody else",)
    assert {item.text for item in crew.items()} == {"A third rule on speaking.", "Go to the far rooms first."}
    for item in old:
        assert [entry.op for entry in memory.history("ns", item)] == ["add", "retire"]


async def test_those_who_come_later_see_what_those_before_did() -> None:
    """In the same round alone; with it nobody goes where another just went."""
    together = [(await fetched(None, Team(), seed, rounds=True))[1] for seed in range(7)]
    apart = [(await fetched(None, Team(sequential=False), seed, rounds=True))[1] for seed in range(7)]

    def clashes(world: Fetch) -> int:
        rooms = [room for _, room in world.visits]
        return sum(one == other for one, other in zip(rooms[::2], rooms[1::2], strict=False))

    assert sum(map(clashes, together)) == 0
    assert sum(map(clashes, apart)) > 0


async def test_each_is_shown_its_own_turns_and_what_it_was_told() -> None:
    """In order, exactly; no call without its answer."""

    def call(name: str, **given: str) -> ToolCall:
        return ToolCall("", name, dict(given))

    def turn(*calls: ToolCall) -> Message:
        return Message("assistant", "hm", tool_calls=calls)

    script = [
        turn(call("say", to="ben", text="psst"), call("go", room="room 1")),
        turn(call("go", room="room 2")),
        turn(call("say", to="everybody", text="all of you"), call("go", room="room 3")),
        turn(call("say", to="dora", text="who?")),
        *[turn(call("go", room=room)) for room in ROOMS],
    ]
    model = ScriptedModel(script)
    episode = await Agent(model, None, planner=Team(("ann", "ben", "cy"))).run(TASK, Fetch(), RUN)
    assert episode.outcome == "success"
    _, turns = turns_of(episode.messages)
    assert [one.member for one in turns[:4]] == ["ann", "ben", "cy", "ann"]
    answers = [one.text for one in episode.messages if one.role == "tool" and "room" in one.text]
    assert words(model, 3) == ["hm", "said.", answers[0], "cy says: all of you", "It is your turn, ann."]
    assert words(model, 4)[:-1] == ["ann says: psst", "hm", answers[1], "cy says: all of you"]
    assert words(model, 4)[-1] == "It is your turn, ben."
    assert "This round: ann: go" in model.history[1].messages[-1].text
    refused = [one.text for one in turns[3].messages if one.role == "tool"]
    assert "bad arguments for 'say'" in refused[0]
    for request in model.history:
        asked = [call.id for one in request.messages for call in one.tool_calls]
        assert asked == [one.tool_call_id for one in request.messages if one.role == "tool"]
    assert seen_by(episode.messages, "nobody")[0] == episode.messages[0]


def words(model: ScriptedModel, turn: int) -> list[str]:
    """What was in view at a turn, after the task."""
    return [one.text for one in model.history[turn].messages if one.kind != "task" and one.role != "system"]


def text(messages: Sequence[Message]) -> str:
    return "\n".join(one.text for one in messages)


async def test_it_is_replayed_alike_from_every_cut(memory: Memory) -> None:
    """Rules and costs are read once; the world knows whose turn it is."""
    episode = await lived(memory)
    evidence = (Evidence(episode.id, 4),)
    crew = TeamRules(memory, "ns", "crew")
    crew.change([rule(RULE, evidence)], Window((episode,)), principal="ann", key="k")
    journal, planner = MemoryJournal(), Team(team="crew", shows_costs=2)
    agent = Agent(FunctionModel(Fetcher(3)), memory, planner=planner)
    whole = await agent.run(TASK, Fetch(3), RUN, journal)
    crew.change([rule("Another one.", evidence)], Window((episode,)), principal="ann", key="l")
    names = list(journal.record)
    for cut in range(0, len(names), 4):
        kept = MemoryJournal({name: journal.record[name] for name in names[:cut]})
        again = await agent.run(TASK, Fetch(3), RUN, kept)
        if any(name.startswith("rules") for name in names[:cut]):
            assert again.messages == whole.messages


async def test_a_team_needs_names() -> None:
    """The run ends in words, not in a loop."""
    episode, _ = await fetched(None, Team(("ann", "ann")), 0)
    assert episode.outcome == "infra"
    assert "names of their own" in str(episode.error)


WAYS = {"north": (0, 1), "south": (0, -1), "east": (1, 0), "west": (-1, 0)}
SIDE, END = 4, (3, 3)
At = tuple[int, int]


def standing(at: At) -> str:
    return f"you stand in row{at[0]} column{at[1]}"


def beyond(at: At, way: str) -> At:
    return at[0] + WAYS[way][0], at[1] + WAYS[way][1]


def ways(at: At) -> list[str]:
    return [way for way in WAYS if all(0 <= one < SIDE for one in beyond(at, way))]


def length(at: At) -> int:
    return abs(END[0] - at[0]) + abs(END[1] - at[1])


def walks(seed: int, n_steps: int) -> list[Episode]:
    """Explorers that go by whim every other step."""
    rng, found, n = random.Random(seed), list[Episode](), 0
    while n < n_steps:
        at = rng.choice([(x, y) for x in range(SIDE) for y in range(SIDE) if (x, y) != END])
        said = [Message("user", standing(at), kind="task")]
        for _ in range(30):
            if at == END:
                break
            by_whim = rng.random() < 0.5
            way = rng.choice(ways(at)) if by_whim else min(ways(at), key=lambda one: length(beyond(at, one)))
            at, n = beyond(at, way), n + 1
            call = ToolCall(f"c{n}", "go", {"way": way})
            said += [
                Message("assistant", "", kind="act", tool_calls=(call,)),
                Message("tool", standing(at), kind="observe", tool_call_id=call.id, ok=True),
            ]
        outcome = "success" if at == END else "unknown"
        found.append(Episode(f"e{len(found)}", "ns", "t", "t", "w", "f", "g", tuple(said), outcome))
    return found


def encode(texts: Sequence[str]) -> np.ndarray:
    return HashEncoder(256).encode(list(texts))


def ranks(values: Sequence[float]) -> np.ndarray:
    _, place, counts = np.unique(np.array(values), return_inverse=True, return_counts=True)
    upper = np.cumsum(counts)
    mean: np.ndarray = ((2 * upper - counts - 1) / 2)[place]
    return mean


def test_costs_rank_like_true_path_lengths_after_a_hundred_steps() -> None:
    """Spearman's correlation over all rooms and ways of a grid, seen ones and others: the mean of ten."""
    rooms = [(x, y) for x in range(SIDE) for y in range(SIDE) if (x, y) != END]
    asked = [(at, way) for at in rooms for way in ways(at)]
    true = ranks([1 + length(beyond(at, way)) for at, way in asked])
    found = []
    for seed in range(10):
        costs = Costs.of(walks(seed, 100), encode)
        told = [costs.cost(standing(at), f'go {{"way": "{way}"}}') for at, way in asked]
        found.append(np.corrcoef(true, ranks(told))[0, 1])
    assert fmean(found) > 0.8


def test_a_step_counts_by_the_best_way_on() -> None:
    """Whoever took it; a refused step teaches nothing, and nothing is known of where no end was reached."""

    def episode(outcome: str, *steps: tuple[str, bool | None, str]) -> Episode:
        said = [Message("user", "start", kind="task")]
        for n, (way, ok, seen) in enumerate(steps):
            call = ToolCall(f"c{n}", "go", {"command": way})
            said.append(Message("assistant", "", kind="act", tool_calls=(call,)))
            said.append(Message("tool", seen, kind="observe", tool_call_id=call.id, ok=ok))
        ended = "success" if outcome == "success" else "failure"
        return Episode("e", "ns", "t", "t", "w", "f", "g", tuple(said), ended)

    long = episode(
        "success", ("a", None, "hall"), ("b", False, "no"), ("c", None, "start"), ("d", True, "end")
    )
    lost = episode("failure", ("a", None, "hall"), ("e", True, "attic"))
    found = {(one.seen, one.action): one.left for one in explored([long, lost])}
    assert found == {("start", "a"): 3, ("hall", "c"): 2, ("start", "d"): 1}
    costs = Costs.of([long, lost], encode)
    assert [action for action, _ in costs.known("start", 5)] == ["d", "a"]


async def test_costs_stand_beside_the_turn(memory: Memory) -> None:
    """Of actions that were taken where the same was seen; the cheapest first, as many as are asked for."""
    await lived(memory)
    model = FunctionModel(Fetcher(5))
    agent = Agent(model, memory, planner=Team(shows_costs=1))
    await agent.run(TASK, Fetch(5), RUN)
    told = [text(request.messages) for request in model.history]
    assert "By memory: go " in told[0]
    assert told[0].count("steps from the end") == 1


FIRST, SECOND = "Say which room you take.", "Say everybody which room you take."


def keeper(messages: tuple[Message, ...]) -> Message:
    """Says a room, then goes through them all; keeps the list: a rule at first, another one in its place."""
    if "You keep the constitution" in messages[0].text:
        held, _, runs = messages[-1].text.partition("\n\n")
        newest = max(re.findall(r"^(E\d+) at", runs, re.MULTILINE))
        (line,) = re.findall(r"\[(\d+)\] say", runs.rpartition(f"{newest} at")[2])[:1]
        row = {"op": "ADD", "principle": "", "text": FIRST, "evidence": [], "why": "nobody knew"}
        row |= {"op": "EDIT", "principle": "P1", "text": SECOND} if FIRST in held else {}
        row |= {"evidence": [{"episode": newest, "message": int(line)}]}
        return Message("assistant", json.dumps({"operations": [row]}))
    if not any(one.text.startswith("It is your turn") for one in messages):
        return Message("assistant", "nothing")
    calls = [call for one in messages for call in one.tool_calls]
    said = [call for call in calls if call.name == "say"]
    name, given = ("go", {"room": ROOMS[len(calls) - 1]}) if said else ("say", {"to": "everybody"})
    given |= {} if said else {"text": "I take room 1"}
    return Message("assistant", "", tool_calls=(ToolCall("", name, dict(given)),))


async def taught(memory: Memory, name: str, steps: int, **settings: int) -> tuple[LearnReport, FunctionModel]:
    """A run of the crew that is over after so many steps, learned from."""
    model = FunctionModel(keeper)
    agent = Agent(model, memory, planner=Team(team="crew"), settings=AgentSettings(**settings))
    episode = await agent.run(replace(TASK, max_steps=steps), Fetch(1), replace(RUN, episode_id=name))
    return await agent.learn(episode), model


async def test_a_rule_of_one_run_is_revised_after_a_later_one_failed(memory: Memory) -> None:
    """Learning from a team's run revises its list, by what the model makes of the newest ones."""
    first, _ = await taught(memory, "e1", 60)
    (old,) = rules_of(memory, "ns", "crew")
    assert (first.episode.outcome, old.text, first.team.items) == ("success", FIRST, (old.id,))
    assert first.episode.learning.calls == 2
    assert memory.episode("ns", "e1").learning == first.episode.learning
    second, shown = await taught(memory, "e2", 4)
    (new,) = rules_of(memory, "ns", "crew")
    assert (second.episode.outcome, new.text, second.team.retired) == ("failure", SECOND, (old.id,))
    assert [entry.op for entry in memory.history("ns", old.id)] == ["add", "retire"]
    asked = next(one.messages for one in shown.history if "You keep" in one.messages[0].text)
    assert [f"{name} at house, {outcome}" in asked[-1].text for name, outcome in RUNS] == [True, True]
    _, third = await taught(memory, "e3", 4)
    assert SECOND in text(third.history[0].messages)
    assert FIRST not in text(third.history[0].messages)
    assert rules_of(memory, "ns", "others") == ()


RUNS = (("E1", "success"), ("E2", "failure"))


async def test_no_model_is_asked_to_revise_where_none_may_be(memory: Memory) -> None:
    """Without calls for learning, in modes that do not learn, after runs of nobody's team."""
    report, model = await taught(memory, "e1", 60, reflection_calls=0)
    assert not [one for one in model.history if "You keep" in one.messages[0].text]
    alone = Agent(model, memory)
    await alone.learn(replace(report.episode, id="e2", feedback={}))
    await alone.learn(replace(report.episode, id="e3", mode="frozen"))
    await alone.learn(replace(report.episode, id="e4", outcome="unknown"))
    assert not [one for one in model.history if "You keep" in one.messages[0].text]
    assert rules_of(memory, "ns", "crew") == ()
