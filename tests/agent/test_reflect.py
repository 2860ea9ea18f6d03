"""From a finished episode to drafts, and which lessons are turned away."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.learning.reflect import Reflection, reflect
from agent.learning.support import is_supported
from agent.models.scripted import ScriptedModel
from agent.prompt import Lesson
from memory.errors import BadInput, ModelError
from memory.types import CaseBody, Draft, Episode, Evidence, Message, Outcome, PrincipleBody
from tests.agent.logs import Line, episode

LINES: list[Line] = [
    ("go to desk 1", "on desk 1 you see pen.", True),
    ("go to cabinet 3", "in cabinet 3 you see mug, plate.", True),
    ("take mug from cabinet 3", "you have the mug now.", True),
    ("fly", "nothing happens.", False),
]
BROKE: Line = ("take mug from desk 1", "you broke a house rule: wash hands before you take things.", False)


async def said(text: str, done: Episode) -> Reflection:
    return await reflect(done, ScriptedModel([text], style="plain"), "plain")


def case_of(reflection: Reflection) -> tuple[Draft, CaseBody]:
    (draft,) = [d for d in reflection.drafts if d.kind == "case"]
    assert isinstance(draft.body, CaseBody)
    return draft, draft.body


async def test_facts_become_one_case_with_plan_and_evidence() -> None:
    """The case says what was done and what is worth knowing, under the words it will be searched by."""
    reflection = await said("fact: mug is in cabinet 3 (4). fact: pen is on desk 1 (2).", episode(LINES))
    draft, body = case_of(reflection)
    assert body.lesson == "mug is in cabinet 3. pen is on desk 1."
    assert body.plan == ("go to desk 1", "go to cabinet 3", "take mug from cabinet 3")
    assert (body.task, body.steps, body.cause) == ("put the mug on shelf 2.", 4, None)
    assert draft.text == "maple 7: put the mug on shelf 2. mug is in cabinet 3. pen is on desk 1."
    assert draft.lineage.evidence == (Evidence("e1", 4), Evidence("e1", 2))
    assert (draft.scope, draft.family, draft.outcome) == ("family", "maple 7", "success")
    assert (reflection.source, reflection.rejected) == ("model", 0)


async def test_rules_become_principles_on_trial() -> None:
    """A rule is a principle of the family, with its evidence, not yet in force."""
    lost = episode([BROKE], "failure")
    reflection = await said("rule: wash hands before you take things (2).", lost)
    (draft,) = reflection.drafts
    assert draft.body == PrincipleBody("family", "neural", support=1)
    assert (draft.kind, draft.status, draft.family) == ("principle", "trial", "maple 7")
    assert draft.lineage.evidence == (Evidence("e1", 2),)


@pytest.mark.parametrize(
    "text",
    [
        "rule: heat with stove 9 (2).",  # only in a refused command
        "fact: pen is on cabinet 3 (2).",  # the cabinet is in the next step
        "fact: mug is in desk 7 (4).",  # only in the thought
    ],
)
async def test_what_the_world_did_not_show_is_no_evidence(text: str) -> None:
    """A refused command, a thought and the next step's words do not prove a lesson."""
    lines: list[Line] = [
        ("heat mug with stove 9", "nothing happens. pen on desk.", False),
        ("go to cabinet 3", "in cabinet 3 you see mug.", True),
    ]
    done = episode(lines)
    thought = replace(done.messages[3], content="desk 7. > go to cabinet 3")
    reflection = await said(text, replace(done, messages=(*done.messages[:3], thought, *done.messages[4:])))
    assert reflection.rejected == 1


async def test_failure_keeps_its_cause() -> None:
    """A case of a failure says why, so that it may be shown."""
    reflection = await said("fact: mug is in cabinet 3 (4).", episode([*LINES, BROKE], "failure"))
    assert case_of(reflection)[1].cause == "wash hands before you take things."


@pytest.mark.parametrize(
    "text",
    [
        "fact: mug is in cabinet 4 (4).",
        "fact: mug is on desk 1 (2).",
        "fact: cup is in cabinet 3 (4).",
        "fact: mug is in cabinet 3 (1).",
        "fact: mug is in cabinet 3 (99).",
        "fact: mug is in cabinet 3 (0).",
        "fact: it is here (4).",
    ],
)
async def test_lessons_that_their_evidence_does_not_bear_out_are_rejected(text: str) -> None:
    """Wrong number, wrong thing, wrong message, no such message, the task itself, no content: all counted."""
    reflection = await said(text, episode(LINES))
    assert (reflection.rejected, reflection.source) == (1, "miner")


async def test_neighbouring_messages_count_as_evidence() -> None:
    """The command before an answer is part of what was seen."""
    reflection = await said("fact: mug is in cabinet 3 (5).", episode(LINES))
    assert reflection.rejected == 0


@pytest.mark.parametrize(("role", "kind"), [("user", "memory"), ("system", None), ("user", "task")])
async def test_recalled_text_is_never_learned_again(role: str, kind: str | None) -> None:
    """A lesson that cites memory, system or task is rejected, and their words support no neighbour."""
    recalled = Message(role, "mug is in cabinet 9.", kind=kind)  # type: ignore[arg-type]
    done = episode(LINES)
    seen = replace(done, messages=(recalled, *done.messages[1:]))
    for number in (0, 1):
        reflection = await said(f"fact: mug is in cabinet 9 ({number}).", seen)
        assert reflection.rejected == 1


@given(st.sets(st.integers(-2, 12), min_size=1), st.sampled_from(["plain", "full"]))
def test_any_citation_of_a_message_that_is_none_rejects(numbers: set[int], style: str) -> None:
    """All cited messages must exist in this very episode."""
    done = episode(LINES)
    cited = tuple(Evidence("e1", n) for n in (*numbers, 4))
    lesson = Lesson("mug is in cabinet 3.", "fact", cited)
    exists = all(1 <= n < len(done.messages) for n in numbers)
    share = 1.0 if style == "plain" else 0.6
    assert is_supported(lesson, done, share) is exists
    other = tuple(Evidence("e2", e.message) for e in cited)
    assert not is_supported(replace(lesson, evidence=other), done, share)


def test_lesson_without_evidence_is_rejected() -> None:
    """Evidence is compulsory."""
    assert not is_supported(Lesson("mug is in cabinet 3.", "fact", ()), episode(LINES), 0.0)


@pytest.mark.parametrize("outcome", ["unknown", "infra"])
async def test_unjudged_outcomes_teach_nothing_and_cost_nothing(outcome: Outcome) -> None:
    """No call is made and no draft comes out."""
    model = ScriptedModel(["fact: mug is in cabinet 3 (4)."], style="plain")
    assert await reflect(episode(LINES, outcome), model, "plain") == Reflection()
    assert model.history == []


@pytest.mark.parametrize("text", ["", "blah blah", "fact: no number.", '{"lessons": []}'])
async def test_unusable_reflection_falls_back_to_the_counters(text: str) -> None:
    """What the log itself shows is kept, marked as symbolic."""
    reflection = await said(text, episode([*LINES, BROKE], "failure"))
    assert reflection.source == "miner"
    assert case_of(reflection)[1].lesson == "in cabinet 3 you see mug, plate."
    (principle,) = [d for d in reflection.drafts if d.kind == "principle"]
    assert principle.body == PrincipleBody("family", "symbolic", support=1)


@pytest.mark.parametrize("error", [ModelError("down"), BadInput("down")])
async def test_model_that_cannot_answer_does_not_stop_learning(error: Exception) -> None:
    """The error is told and the counters speak."""
    reflection = await reflect(episode(LINES), ScriptedModel([error], style="plain"), "plain")
    assert (reflection.error, reflection.source) == ("down", "miner")
    assert case_of(reflection)[1].plan


async def test_success_without_facts_is_a_case_by_its_plan() -> None:
    """How it was done is worth keeping; a failure without anything learned is not."""
    lines: list[Line] = [("look", "it is dark.", True), ("wait", "it is done.", True)]
    draft, body = case_of(await said("", episode(lines)))
    assert (body.lesson, body.plan) == ("", ("look", "wait"))
    assert draft.lineage.evidence == (Evidence("e1", 4),)
    assert (await said("", episode(lines, "failure"))).drafts == ()


async def test_same_lesson_twice_is_one() -> None:
    """Repetition adds nothing."""
    text = "fact: mug is in cabinet 3 (4). fact: mug is in cabinet 3 (4)."
    assert case_of(await said(text, episode(LINES)))[1].lesson == "mug is in cabinet 3."


async def test_large_models_answer_in_json_and_may_paraphrase() -> None:
    """The request carries the schema; most words must be borne out, numbers all."""
    row = {"kind": "fact", "text": "A mug usually sits in cabinet 3 with a plate.", "messages": [4]}
    wrong = {"kind": "fact", "text": "A mug usually sits in cabinet 5 with a plate.", "messages": [4]}
    model = ScriptedModel([json.dumps({"lessons": [row, wrong]})])
    reflection = await reflect(episode(LINES), model, "full", max_tokens=77)
    assert case_of(reflection)[1].lesson == row["text"]
    assert reflection.rejected == 1
    assert model.history[0].schema is not None
    assert model.history[0].max_tokens == 77
