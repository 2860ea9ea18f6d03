"""What looking back at an episode leaves with it."""

from dataclasses import replace
from typing import Any

import pytest

from memory.codec import dumps, from_json, loads
from memory.errors import NotFound
from memory.types import Episode, Message, StepVerdict, ToolCall, Usage

Saying = Any

ACTED = (
    Message("user", "find the mug", kind="task"),
    Message("assistant", kind="act", tool_calls=(ToolCall("c1", "act", {"command": "open safe 1"}),)),
    Message("tool", "it is shut.", kind="observe", tool_call_id="c1"),
    Message("assistant", kind="act", tool_calls=(ToolCall("c2", "act", {"command": "go to bed 2"}),)),
    Message("tool", "lost.", kind="observe", tool_call_id="c2"),
)


def test_verdicts_say_what_steps_are_worth_and_costs_add_up(say: Saying) -> None:
    """A failure is blamed on what turned out to be the error; asking again costs again."""
    lost = replace(say.episode("e1"), messages=ACTED, outcome="failure", family="oak 9", mode="learn")
    say.memory.record(lost, principal="ada")
    say.memory.reinforce(lost, principal="ada")
    assert {act.action for act in say.memory.walked("home", "oak 9").acts} == {"open safe 1", "go to bed 2"}
    said = (StepVerdict(1, "ok", by="model"), StepVerdict(3, "error", "too far", by="model"))
    say.memory.judge("home", "e1", principal="ada", verdicts=said, spent=Usage(10, 2, calls=1))
    after = say.memory.judge("home", "e1", principal="ada", spent=Usage(1, 1, calls=1))
    assert after == say.memory.episode("home", "e1")
    assert (after.verdicts, after.first_error, after.learning) == (said, 3, Usage(11, 3, calls=2))
    assert [act.action for act in say.memory.walked("home", "oak 9").acts] == ["go to bed 2"]


def test_confidence_is_kept_and_verdicts_of_before_have_none(say: Saying) -> None:
    """As it was given, by the way that bundles go too; what was stored without it reads as unsaid."""
    say.memory.record(replace(say.episode("e1"), messages=ACTED), principal="ada")
    said = (StepVerdict(1, "ok", by="model", confidence=0.25), StepVerdict(3, "error", by="model"))
    say.memory.judge("home", "e1", principal="ada", verdicts=said)
    kept = say.memory.episode("home", "e1")
    assert kept.verdicts == said
    assert loads(Episode, dumps(kept)) == kept
    assert from_json(StepVerdict, {"message": 1, "verdict": "ok"}) == StepVerdict(1, "ok")


def test_reasons_hold_no_secrets(say: Saying) -> None:
    """As nothing else of an episode does."""
    key = "AKIA" + "IOSFODNN7EXAMPLQ"
    say.memory.record(replace(say.episode("e1"), messages=ACTED), principal="ada")
    said = StepVerdict(1, "error", f"it used {key}", by="model")
    after = say.memory.judge("home", "e1", principal="ada", verdicts=(said,))
    assert key not in after.verdicts[0].reason


def test_an_episode_that_is_not_there_cannot_be_judged(say: Saying) -> None:
    """Of another namespace neither."""
    with pytest.raises(NotFound):
        say.memory.judge("home", "e9", principal="ada")
