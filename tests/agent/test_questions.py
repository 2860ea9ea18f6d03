"""Questions in the manner of known ones, tasks at the edge: what is alike, scattered or disputed is out."""

from __future__ import annotations

import json
from collections.abc import Sequence

from agent.generate.loop import kept_of
from agent.generate.questions import BoundaryTasks, Claim, Path, Question, Questions, Votes, edge
from agent.models.scripted import ScriptedModel

SEEDS = (
    Question("Where is my parcel number 7?", ("find_order", "track")),
    Question("I want my money back for order 3", ("find_order", "refund")),
)


def said(*texts: str) -> str:
    return json.dumps({"questions": texts})


async def answered(text: str, seen: list[str]) -> Path:
    """Firm on refunds, of many minds on the weather."""
    seen.append(text)
    if "weather" in text:
        return ("look", str(len(seen)))
    return ("find_order", "refund") if len(seen) % 3 else ("find_order",)


async def test_a_question_is_kept_with_the_way_most_runs_take() -> None:
    """What is answered in another way each time is not."""
    seen: list[str] = []
    model = ScriptedModel([said("Please refund the broken lamp", "Will the weather be fine tomorrow?")])
    setting = Questions(SEEDS, model.complete, lambda text: answered(text, seen), n=2, runs=5)
    found = kept_of(await setting.generator().run(1))
    assert found == (Question("Please refund the broken lamp", ("find_order", "refund")),)
    assert len(seen) == 10
    asked = model.history[0].messages[0].text
    assert SEEDS[0].text in asked
    assert "find_order, refund" in asked


async def test_a_question_that_was_asked_already_is_sent_back() -> None:
    """Word for word or nearly, of the known ones or of the new; only as many are asked for again."""
    script = [
        said("Where is my parcel number 7, please?", "Please refund the broken lamp"),
        said("please refund the broken lamp"),
        said("My card was charged twice"),
    ]
    model = ScriptedModel(script)
    setting = Questions(SEEDS, model.complete, lambda text: answered(text, [text]), n=2, runs=1)
    (only,) = await setting.generator().run(1)
    assert [one.text for one in only.kept] == ["Please refund the broken lamp", "My card was charged twice"]
    assert [one.reason[:15] for one in only.refused] == ["it says what 'W", "it says what 'P"]
    assert "Write 1 different" in model.history[1].messages[0].text


CLAIMS = (Claim("add two numbers", True), Claim("tell the winning lottery numbers", False))
VOTES: dict[str, Votes] = {
    "add three numbers": (True,) * 8,
    "add a million numbers": (True,) * 5 + (False,) * 3,
    "tell tomorrow's weather": (False,) * 7 + (True,),
    "count to ten": (True,) * 8,
}


def tasks(can: Sequence[str], cannot: Sequence[str]) -> str:
    return json.dumps({"feasible": can, "infeasible": cannot})


async def test_agreement_as_it_was_meant_makes_an_example() -> None:
    """A task that the model is of two minds about is at the edge; one it means wrongly teaches nothing."""
    script = [
        tasks(["add three numbers", "add a million numbers"], ["tell tomorrow's weather", "count to ten"]),
        tasks([], []),
    ]
    model = ScriptedModel(script)

    async def vote(text: str) -> Votes:
        return VOTES[text]

    rounds = await BoundaryTasks(CLAIMS, model.complete, vote).generator().run(2)
    assert kept_of(rounds) == (Claim("add three numbers", True), Claim("tell tomorrow's weather", False))
    assert edge(rounds) == ("add a million numbers",)
    asked = model.history[1].messages[0].text
    assert "add three numbers" in asked.partition("cannot")[0]
    assert "tell tomorrow's weather" in asked.partition("cannot")[2]
    assert "million" not in asked


async def test_an_empty_or_unreadable_list_is_asked_for_again() -> None:
    """And then given up."""
    model = ScriptedModel(["no"] * 6)

    async def vote(_: str) -> Votes:
        return (True,)

    (only,) = await BoundaryTasks(CLAIMS, model.complete, vote).generator().run(1)
    assert (only.tried, len(only.refused), model.left) == ((), 6, 0)
