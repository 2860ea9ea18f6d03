"""Who is believed: a world's word stands against users, not against operators; the log says who."""

import itertools
from dataclasses import replace

import pytest

from memory.core import Memory
from memory.types import Episode, Outcome, Source
from memory.value.outcomes import RANK, Said, settle

EPISODE = Episode("e1", "home", "t1", "wash a mug", "house", "maple 7", "t1", (), "failure", 0.0)


def lived(memory: Memory, by: Source | None) -> None:
    memory.record(replace(EPISODE, outcome_by=by), principal="ada")


@pytest.mark.parametrize("by", ["world", "rule"])
def test_a_users_word_is_kept_but_changes_nothing(memory: Memory, by: Source) -> None:
    """Dissent is stored; values such as thumbs are taken; an operator overrules."""
    lived(memory, by)
    kept = memory.feedback("home", "e1", principal="bob", outcome="success", reward=1.0, values={"thumbs": 1})
    assert (kept.outcome, kept.reward, kept.outcome_by) == ("failure", 0.0, by)
    assert kept.feedback == {"thumbs": 1, "disputed": {"outcome": "success", "reward": 1.0}}
    ruled = memory.feedback("home", "e1", principal="root", outcome="success", reward=1.0, channel="operator")
    assert (ruled.outcome, ruled.reward, ruled.outcome_by) == ("success", 1.0, "human")
    assert memory.episode("home", "e1") == ruled


@pytest.mark.parametrize("by", ["human", "verifier", "judge", None])
def test_a_human_goes_before_verifier_and_judge(memory: Memory, by: Source | None) -> None:
    """And a later word before an earlier one."""
    lived(memory, by)
    kept = memory.feedback("home", "e1", principal="bob", outcome="success", reward=1.0)
    assert (kept.outcome, kept.reward, kept.outcome_by) == ("success", 1.0, "human")


@pytest.mark.parametrize(("first", "second"), list(itertools.product(RANK, RANK)))
def test_settling_two_sources(first: Source, second: Source) -> None:
    """The higher rank is believed; equals, and verifier against judge, leave it unknown."""
    words: tuple[tuple[Source, Outcome], ...] = ((first, "success"), (second, "failure"))
    settled = settle([Said(outcome, by) for by, outcome in words])
    assert settled is not None
    if first == second or {first, second} == {"verifier", "judge"}:
        assert settled.outcome == "unknown"
    else:
        believed = min(words, key=lambda one: RANK.index(one[0]))
        assert (settled.by, settled.outcome) == believed
    assert len(settled.disputed) == 1
    agreed = settle([Said("success", first), Said("success", second), Said("unknown", "world")])
    assert agreed is not None
    assert (agreed.outcome, agreed.disputed) == ("success", ())


def test_nobody_knows() -> None:
    """Without an opinion nothing is settled."""
    assert settle([Said("unknown", "verifier")]) is None
