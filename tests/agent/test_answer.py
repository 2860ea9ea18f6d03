"""What a large model says of an episode: verdicts, cause, help, changes; and what it garbles."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.journal import MemoryJournal
from agent.learning.answer import read
from agent.learning.reflect import Reflection, reflect
from agent.learning.verdicts import corrected, judged
from agent.loop import Agent
from agent.models.schema import Unreadable
from agent.models.scripted import FunctionModel, ScriptedModel
from agent.opening import AgentSettings
from memory.core import Memory
from memory.encoder import HashEncoder
from memory.errors import ModelError
from memory.types import CaseBody, Draft, Episode, Item, PrincipleBody, Query, StepVerdict, Usage
from tests.agent.logs import Line, episode

LOST: list[Line] = [
    ("open cabinet 3", "in cabinet 3 you see mug, plate.", True),
    ("go to stove 2", "you are at stove 2.", True),
    ("heat mug with stove 2", "stove 2 is broken.", False),
    ("heat mug with stove 2", "stove 2 is broken. no time is left.", False),
]
FACT = {"kind": "fact", "text": "The mug sits in cabinet 3.", "messages": [2]}
SAID: dict[str, Any] = {
    "lessons": [FACT],
    "steps": [{"message": 3, "verdict": "error", "reason": "stove 2 is the wrong one"}],
    "cause": {"text": "stove 2 is broken", "messages": [6]},
    "would_have_helped": {"text": "not to heat with stove 2, which is broken", "messages": [6]},
}


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory.open(tmp_path / "memory.db", encoder=HashEncoder()) as opened:
        yield opened


def lost() -> Episode:
    return judged(episode(LOST, "failure"))


async def told(text: str, done: Episode, **how: Any) -> Reflection:
    return await reflect(done, ScriptedModel([text]), "full", **how)


async def test_one_answer_holds_all_that_is_asked_for() -> None:
    """Facts, cause and help stand in the case; an error that no refusal showed is the model's word."""
    found = await told(json.dumps(SAID), lost())
    (case,) = found.drafts
    assert isinstance(case.body, CaseBody)
    assert case.body.cause == "stove 2 is broken"
    assert case.body.lesson == (
        "The mug sits in cabinet 3. It would have helped: not to heat with stove 2, which is broken"
    )
    assert {one.message for one in case.lineage.evidence} == {2, 6}
    assert found.verdicts[0] == StepVerdict(3, "error", "stove 2 is the wrong one", "model")
    assert [(one.message, one.by) for one in found.verdicts[1:]] == [(5, "miner"), (7, "miner")]
    assert (found.rejected, found.source) == (0, "model")


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ("cause", {"text": "oven 9 exploded", "messages": [6]}),
        ("cause", {"text": "stove 2 is broken", "messages": [60]}),
        ("would_have_helped", {"text": "using oven 4 in the kitchen", "messages": [6]}),
        ("would_have_helped", {"text": "stove", "messages": []}),
        ("lessons", [FACT, {"kind": "guess", "text": "mug", "messages": [2]}]),
    ],
)
async def test_what_is_not_borne_out_is_left_out_and_counted(part: str, wrong: Any) -> None:
    """The rest of the answer stands, and the counters say the cause."""
    found = await told(json.dumps(SAID | {part: wrong}), lost())
    (case,) = found.drafts
    assert isinstance(case.body, CaseBody)
    assert (found.rejected, found.source) == (1, "model")
    assert "The mug sits in cabinet 3." in case.body.lesson
    assert ("It would have helped" in case.body.lesson) == (part != "would_have_helped")
    assert (case.body.cause == "stove 2 is broken") == (part != "cause")


def test_a_model_does_not_overrule_what_the_world_refused() -> None:
    """It may add errors among the calls, and recoveries behind them; nothing else is a step."""
    steps = [
        {"message": 5, "verdict": "recovery", "reason": ""},
        {"message": 1, "verdict": "recovery", "reason": ""},
        {"message": 2, "verdict": "error", "reason": ""},
        {"message": 99, "verdict": "error", "reason": ""},
    ]
    said = read(json.dumps({"lessons": [], "steps": steps}), lost(), ())
    assert [one.message for one in said.verdicts] == [5, 1, 2, 99]
    assert corrected(lost(), said.verdicts) == lost().verdicts


def test_a_model_says_how_sure_it_is() -> None:
    """From 0 to 1, or not at all; another number makes the row one of the wrong form."""
    row = {"message": 3, "verdict": "error", "reason": "no"}
    steps = [{**row, "confidence": 0.25}, {**row, "confidence": 1}, row, {**row, "confidence": 90}]
    said = read(json.dumps({"lessons": [], "steps": steps}), lost(), ())
    assert [one.confidence for one in said.verdicts] == [0.25, 1.0, None]
    assert said.faults == 1


def principle(memory: Memory, text: str) -> Item:
    draft = Draft("principle", text, PrincipleBody("family", "neural"), "family", "maple 7", status="trial")
    (item,) = memory.remember("ns", [draft], principal="ann", channel="reflection")
    return item


def shown(memory: Memory, lines: list[Line], *texts: str, **how: Any) -> tuple[Episode, list[Item]]:
    """An episode that was shown principles of these texts."""
    items = [principle(memory, text) for text in texts]
    asked = Query("ns", "mug", family="maple 7")
    recall = memory.recall(asked, count_tokens=len).record()
    names = tuple(f"{item.id}@{item.version}" for item in items)
    done = episode(lines, **how)
    return replace(done, recall=replace(recall, constitution=names)), items


def changing(*changes: dict[str, Any]) -> FunctionModel:
    return FunctionModel(lambda _: json.dumps({"lessons": [FACT], "principles": changes}))


async def test_principles_that_were_shown_are_changed_by_evidence(memory: Memory) -> None:
    """Kept ones gain support, edited ones stand anew in the place of the old, wrong ones go."""
    done, (kept, edited, wrong) = shown(
        memory, LOST, "look in cabinet 3.", "heat things with stove 2.", "wipe feet.", outcome="failure"
    )
    model = changing(
        {"op": "keep", "principles": ["P1"], "messages": [2]},
        {"op": "edit", "principles": ["P2"], "text": "stove 2 is broken.", "messages": [6], "why": "x"},
        {"op": "retire", "principles": ["P3"], "messages": [8]},
    )
    report = await Agent(model, memory).learn(done)
    assert "P2: heat things with stove 2." in model.history[0].messages[-1].text
    assert (report.refused, report.reflection.rejected) == ((), 0)
    now = {item.text: item for item in memory.items("ns", kind="principle")}
    assert now["look in cabinet 3."].body.support == 1  # type: ignore[union-attr]
    assert now["heat things with stove 2."].status == now["wipe feet."].status == "retired"
    new = now["stove 2 is broken."]
    assert (new.status, new.lineage.items, new.author) == ("trial", (edited.id,), "ann")
    assert {one.episode for one in new.lineage.evidence} == {"e1"}
    assert "retire" in {entry.op for entry in memory.history("ns", wrong.id)}
    assert kept.id in {item.id for item in report.items}


async def test_two_that_say_one_thing_become_one(memory: Memory) -> None:
    """With the evidence of the episode, in the place of both; `undo` would bring them back."""
    done, parts = shown(memory, LOST, "look in cabinet 3.", "cabinet 3 first.", outcome="failure")
    change = {"op": "merge", "principles": ["P1", "P2"], "text": "mug is in cabinet 3.", "messages": [2]}
    report = await Agent(changing(change), memory).learn(done)
    (one,) = [item for item in report.items if item.kind == "principle"]
    assert (one.text, set(one.lineage.items)) == ("mug is in cabinet 3.", {part.id for part in parts})
    assert {memory.get("ns", part.id).superseded_by for part in parts} == {one.id}


@pytest.mark.parametrize(
    "change",
    [
        {"op": "retire", "principles": ["P1"], "messages": []},
        {"op": "retire", "principles": ["P1"], "messages": [99]},
        {"op": "retire", "principles": ["P1"], "messages": [0]},
        {"op": "retire", "principles": ["P9"], "messages": [2]},
        {"op": "keep", "principles": ["P1"], "messages": [4]},
        {"op": "edit", "principles": ["P1"], "text": "look in oven 5.", "messages": [2]},
        {"op": "edit", "principles": ["P1"], "messages": [2]},
        {"op": "merge", "principles": ["P1"], "text": "cabinet 3.", "messages": [2]},
        {"op": "explode", "principles": ["P1"], "messages": [2]},
    ],
)
async def test_changes_without_true_evidence_are_rejected(memory: Memory, change: dict[str, Any]) -> None:
    """No message, one that is not there or none of the episode's own, words it does not bear: all counted."""
    done, (item,) = shown(memory, LOST, "look in cabinet 3.", outcome="failure")
    report = await Agent(changing(change), memory).learn(done)
    assert report.reflection.rejected == 1
    assert [one.version for one in memory.items("ns", kind="principle")] == [item.version]


async def test_what_operators_wrote_and_what_strangers_say_changes_nothing(memory: Memory) -> None:
    """A page that was read may not take a principle away."""
    done, (item,) = shown(memory, LOST, "look in cabinet 3.", outcome="failure")
    seen = replace(done.messages[2], agent="external")
    tainted = replace(done, messages=(*done.messages[:2], seen, *done.messages[3:]))
    model = changing({"op": "retire", "principles": ["P1"], "messages": [2]})
    report = await Agent(model, memory).learn(tainted)
    assert report.refused == ("retire: the episode saw strangers",)
    pinned = memory.edit("ns", item.id, principal="op", channel="operator", pinned=True)
    report = await Agent(model, memory).learn(replace(done, id="e2"))
    assert report.reflection.rejected == 1
    assert memory.get("ns", item.id).version == pinned.version


async def test_changes_are_made_once(memory: Memory) -> None:
    """After a crash in the middle the journal and the keys answer; nothing is asked or changed twice."""
    done, _ = shown(memory, LOST, "heat things with stove 2.", outcome="failure")
    change = {"op": "edit", "principles": ["P1"], "text": "stove 2 is broken.", "messages": [6]}
    model, journal = changing(change), MemoryJournal()
    first = await Agent(model, memory).learn(done, journal)
    head = memory.log("ns")[-1].seq
    cut = {name: value for name, value in journal.record.items() if name in {"record", "reflect"}}
    again = await Agent(model, memory).learn(done, MemoryJournal(cut))
    assert (again.items, again.refused) == (first.items, ())
    assert memory.log("ns")[-1].seq == head
    assert len(model.history) == 1


FAULTS = {
    "prose": lambda text: f"Of course! Here is what I found:\n{text}\nLet me know.",
    "fence": lambda text: f"```json\n{text}\n```",
    "cut off": lambda text: text[: len(text) // 2],
    "wrong key": lambda text: text.replace('"lessons"', '"insights"').replace('"steps"', '"stages"'),
    "foreign evidence": lambda text: text.replace("[2]", '["e9:2"]').replace("[6]", "[66]"),
    "nothing": lambda _: "",
    "no object": lambda _: "[1, 2, 3]",
    "other types": lambda _: '{"lessons": "none", "steps": 3, "cause": [], "principles": {"op": 1}}',
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_garbled_answers_never_raise_and_the_counters_speak(memory: Memory, fault: str) -> None:
    """Prose and fences are read through; of what cannot be used the log itself is the remedy."""
    text = FAULTS[fault](json.dumps(SAID))
    model = FunctionModel(lambda _: text)
    report = await Agent(model, memory).learn(episode(LOST, "failure"))
    assert report.reflection.source == ("model" if fault in {"prose", "fence", "cut off"} else "miner")
    assert report.refused == ()
    assert len(model.history) == 1
    kept = memory.episode("ns", "e1")
    assert kept == report.episode
    assert kept.first_error in {3, 5}


async def test_calls_are_bounded_and_no_call_learns_what_counters_find(memory: Memory) -> None:
    """Zero: nothing is asked. More: told what is wrong, the model answers again, and pays again."""
    silent = ScriptedModel([])
    agent = Agent(silent, memory, settings=AgentSettings(reflection_calls=0))
    lines: list[Line] = [("take cup", "you broke a house rule: wash hands first.", False)]
    report = await agent.learn(episode(lines, "failure"))
    assert [item.text for item in report.items] == ["wash hands first."]
    assert silent.history == []
    assert memory.episode("ns", "e1").learning == Usage()
    again = ScriptedModel(["no JSON here", json.dumps(SAID)])
    found = await reflect(lost(), again, "full", calls=2)
    assert (found.source, found.usage.calls, again.left) == ("model", 2, 0)
    assert "That answer cannot be used" in again.history[1].messages[-1].text
    spent = await reflect(lost(), ScriptedModel(["no", "never"]), "full", calls=2)
    assert (spent.source, spent.usage.calls) == ("miner", 2)
    assert spent.error


async def test_what_learning_cost_is_kept_with_the_episode(memory: Memory) -> None:
    """Beside what it had cost before, and again when it is learned from again."""
    checked = replace(episode(LOST, "failure"), learning=Usage(7, 1, calls=1))
    agent = Agent(FunctionModel(lambda _: json.dumps(SAID)), memory)
    report = await agent.learn(checked)
    assert report.episode == memory.episode("ns", "e1")
    assert report.episode.learning == checked.learning + report.reflection.usage
    assert report.reflection.usage.calls == 1
    await agent.learn(checked)
    assert memory.episode("ns", "e1").learning.calls == 3


async def test_a_small_model_is_asked_once_and_as_ever() -> None:
    """Whatever the budget: it was trained on one request, without a schema."""
    model = ScriptedModel(["blah"], style="plain")
    found = await reflect(lost(), model, "plain", calls=3)
    (request,) = model.history
    assert (request.schema, found.source) == (None, "miner")
    assert request.messages[0].text.startswith(
        "reflect. failure. task: put the mug on shelf 2. 1: open cabinet 3."
    )


async def test_a_model_that_fails_is_no_end_of_learning() -> None:
    """Its error is told."""
    found = await reflect(lost(), ScriptedModel([ModelError("down")]), "full", calls=2)
    assert (found.error, found.source) == ("down", "miner")


@pytest.mark.parametrize("text", ["", "none", "[]", '"lessons"', '{"insights": []}'])
def test_answers_of_another_form_are_unreadable(text: str) -> None:
    """So that the model can be told."""
    with pytest.raises(Unreadable):
        read(text, lost(), ())
