"""Failures put right: what of two attempts at a task is context, what is learned, and who says so."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from distill.build import build
from distill.bundle import Admission, Bundle
from distill.replay import Tasks, now
from distill.select import Success
from distill.shapes.attempts import blamed, fault
from distill.shapes.checking import BorneOut
from distill.shapes.masks import Among, Beside, Chain, MaskErrors, Whole
from distill.shapes.repairing import Critique, Refine, Reflector, Repair, Revise, TriRow
from distill.shapes.splicing import COUNTERFACTUAL
from distill.signals.outcomes import Uniform
from distill.types import Recipe, Row, Shape
from memory.errors import DistillError, WorldError
from memory.types import Episode, Message, StepVerdict
from tests.distill.lived import NAMESPACE, attempts, household


@pytest.fixture(scope="module")
def pool() -> tuple[Episode, ...]:
    """A failure, a success that put an error right and a straight one at each of two tasks."""
    return asyncio.run(_pool())


async def _pool() -> tuple[Episode, ...]:
    found: list[Episode] = []
    for n, task in enumerate(household(2)):
        found += await attempts(task, f"home{n}", at=100.0 * n)
    return tuple(sorted(found, key=lambda one: one.id))


def rows(pool: Sequence[Episode], shape: Shape) -> tuple[Row, ...]:
    recipe = Recipe("x", Success(), Uniform(), shape)
    admission = Admission(origins=("real", "synthetic"))
    return build(recipe, Bundle(NAMESPACE, tuple(pool), {}), 0, admission).rows


def trained(row: Row) -> list[str]:
    return [one.text for one in row.messages if one.weight]


def acts(episode: Episode, start: int = 0) -> list[str]:
    return [one.text for one in episode.messages[start:] if one.role == "assistant" and one.ok is not False]


def by_id(pool: Sequence[Episode], id_: str) -> Episode:
    return next(one for one in pool if one.id == id_)


class TestRevise:
    """Agent-R: the first error in context, a thought about it, and a good way on that was lived."""

    def test_the_error_is_context_and_the_way_on_is_learned(self, pool: tuple[Episode, ...]) -> None:
        """From the thought on; nothing of the failure trains, and the thought says what was wrong."""
        made = rows(pool, Chain((MaskErrors(), Revise())))
        assert [(row.episode, row.also) for row in made] == [
            ("home0-straight", ("home0-lost",)),
            ("home1-straight", ("home1-lost",)),
        ]
        for row in made:
            lost, good = by_id(pool, row.also[0]), by_id(pool, row.episode)
            assert lost.first_error is not None
            assert [one.text for one in row.messages[:5]] == [one.text for one in lost.messages[:5]]
            said = trained(row)
            assert said[0] == f"{fault(lost, lost.first_error)} {acts(good)[1]}"
            assert "use nothing 9. it did nothing." in said[0]
            assert said[1:] == acts(good)[2:]
            assert not any(one.weight for one in row.messages[: lost.first_error + 2])

    def test_what_was_answered_was_answered_there(self, pool: tuple[Episode, ...]) -> None:
        """The row, lived once more in the world, gets the same answers, to a success at its end."""
        for row in rows(pool, Revise()):
            told = replace(by_id(pool, row.episode), messages=row.messages)
            tasks = Tasks.of([told])
            assert tasks.relived(told, len(told.messages), ()) == ()
            changed = [replace(m, content="no") if m.kind == "observe" else m for m in told.messages]
            assert tasks.relived(replace(told, messages=tuple(changed)), len(changed), ()) is None

    def test_a_world_that_cannot_be_lived_again_gives_no_row_unless_asked(
        self, pool: tuple[Episode, ...]
    ) -> None:
        """Then what nobody was answered there says so."""
        elsewhere = tuple(replace(one, world="elsewhere") for one in pool)
        with pytest.raises(DistillError, match="nothing to learn"):
            rows(elsewhere, Revise())
        made = rows(elsewhere, Revise(counterfactual=True))
        assert len(made) == 2
        for row in made:
            first = next(n for n, one in enumerate(row.messages) if one.weight)
            assert {one.agent for one in row.messages[first:] if one.role == "tool"} == {COUNTERFACTUAL}

    def test_an_episode_whose_answers_the_world_would_not_give_is_not_gone_on_from(
        self, pool: tuple[Episode, ...]
    ) -> None:
        """The world has changed since, or the episode was changed."""
        forged = [
            replace(one, messages=tuple(_forged(m) for m in one.messages)) if "lost" in one.id else one
            for one in pool
        ]
        with pytest.raises(DistillError, match="nothing to learn"):
            rows(forged, Revise())

    def test_one_way_revises_no_more_failures_than_it_may(self, pool: tuple[Episode, ...]) -> None:
        """All pairs would repeat the same words over and over."""
        lost = by_id(pool, "home0-lost")
        more = [_reworded(lost, n) for n in range(6)]
        assert len(rows((*pool, *more), Revise(most=3))) == 4

    def test_calls_have_ids_of_their_own(self, pool: tuple[Episode, ...]) -> None:
        """Two halves of two runs, numbered through; every answer finds its call."""
        for row in rows(pool, Revise()):
            ids = [call.id for one in row.messages for call in one.tool_calls]
            assert len(set(ids)) == len(ids)
            assert [one.tool_call_id for one in row.messages if one.role == "tool"] == ids


class TestRepair:
    """Re-ReST and SELF: what came of a failure in the end."""

    def test_a_repair_holds_no_trace_of_the_failure_but_says_whose_it_is(
        self, pool: tuple[Episode, ...]
    ) -> None:
        """By the earliest success after the failure."""
        made = {row.episode: row for row in rows(pool, Repair())}
        assert made["home0-mended"].also == ("home0-lost",)
        assert made["home0-straight"].also == ()
        assert len(made) == 4
        messages = by_id(pool, "home0-mended").messages
        assert [one.text for one in made["home0-mended"].messages] == [one.text for one in messages]

    def test_a_kept_error_is_context_without_a_thought(self, pool: tuple[Episode, ...]) -> None:
        """The same splice as a revision, less its thought."""
        (row, _) = rows(pool, Chain((MaskErrors(), Repair(keep_error=True))))
        assert row.messages[3].ok is False
        assert "wrong" not in trained(row)[0]

    def test_the_reflector_reads_the_failure_and_learns_the_repair(self, pool: tuple[Episode, ...]) -> None:
        """What was wrong is told; the acts of the success train."""
        (row, _) = rows(pool, Chain((MaskErrors(), Reflector())))
        lost = by_id(pool, "home0-lost")
        assert row.messages[0].role == "user"
        assert blamed(lost) in row.messages[0].text
        assert trained(row) == acts(by_id(pool, "home0-mended"))

    def test_a_success_before_the_failure_repairs_nothing(self, pool: tuple[Episode, ...]) -> None:
        """Nobody had been told what was wrong."""
        early = [replace(one, started_at=-1.0) if one.outcome == "success" else one for one in pool]
        with pytest.raises(DistillError, match="nothing to learn"):
            rows(early, Reflector())
        assert all(row.also == () for row in rows(early, Repair()))

    def test_three_rows_of_each_repaired_failure(self, pool: tuple[Episode, ...]) -> None:
        """Critique, repair and the task directly; of the critique the verdict alone trains."""
        made = rows(pool, TriRow())
        assert len(made) == 6
        critiques = [row for row in made if row.messages[-1].kind == "critique"]
        assert [row.episode for row in critiques] == ["home0-lost", "home1-lost"]
        for row in critiques:
            assert trained(row) == [blamed(by_id(pool, row.episode))]
        assert rows(pool, Critique()) == tuple(critiques)

    def test_a_refinement_ends_with_the_last_act_that_was_right(self, pool: tuple[Episode, ...]) -> None:
        """Only episodes that went wrong and right after it; wrong turns are context."""
        made = rows(pool, Refine())
        assert [row.episode for row in made] == ["home0-mended", "home1-mended"]
        for row in made:
            assert row.messages[-1].role == "assistant"
            assert trained(row) == acts(by_id(pool, row.episode))
            assert any(one.role == "assistant" and not one.weight for one in row.messages)


class TestVerdicts:
    """STeP's exact rule: what a verdict calls an error carries no loss."""

    def test_a_verdict_masks_what_the_world_took(self, pool: tuple[Episode, ...]) -> None:
        """A model found the act wrong that the world had nothing against."""
        straight = by_id(pool, "home0-straight")
        judged = replace(straight, verdicts=(StepVerdict(3, "error", "a detour", "model"),))
        judged = replace(judged, messages=tuple(replace(one, ok=None) for one in judged.messages))
        (row,) = rows([judged], MaskErrors())
        assert [index for index, one in zip(row.indices, row.messages, strict=True) if one.weight] == [
            n for n, one in enumerate(straight.messages) if one.role == "assistant" and n != 3
        ]
        assert fault(judged, 3).endswith("a detour.")

    def test_a_rule_that_was_broken_is_named(self, pool: tuple[Episode, ...]) -> None:
        """The world's own word comes first."""
        straight = by_id(pool, "home0-straight")
        broken = [
            replace(m, rule="wipe feet first.") if n == 2 else m for n, m in enumerate(straight.messages)
        ]
        assert "it broke the rule: wipe feet first." in fault(replace(straight, messages=tuple(broken)), 1)


class TestCombinators:
    """Shapes of shapes."""

    def test_only_what_the_world_bears_out_is_kept(self, pool: tuple[Episode, ...]) -> None:
        """A demonstration nobody lived, with an answer the world would not give, is left out."""
        made_up = replace(
            by_id(pool, "home0-straight"),
            id="dream",
            origin="synthetic",
            messages=tuple(_forged(m) for m in by_id(pool, "home0-straight").messages),
        )
        assert "dream" not in {row.episode for row in rows((*pool, made_up), BorneOut())}
        assert "dream" in {row.episode for row in rows((*pool, made_up), Whole())}
        true = replace(by_id(pool, "home1-straight"), id="true", origin="synthetic")
        assert "true" in {row.episode for row in rows((true, made_up), BorneOut())}
        with pytest.raises(DistillError, match="nothing to learn"):
            rows([replace(true, world="elsewhere")], BorneOut())

    def test_some_episodes_and_several_shapes(self, pool: tuple[Episode, ...]) -> None:
        """A shape of those that are selected; rows of several shapes together."""
        some = Among(_Named("home0-straight"), Whole())
        assert [row.episode for row in rows(pool, some)] == ["home0-straight"]
        both = Beside((some, Among(_Named("home1-straight"), Whole())))
        assert [row.episode for row in rows(pool, both)] == ["home0-straight", "home1-straight"]


class _Named:
    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, episodes: Sequence[Episode]) -> tuple[Episode, ...]:
        return tuple(one for one in episodes if one.id == self.name)


def test_a_world_that_waits_cannot_be_lived_again() -> None:
    """Nothing is waited for, and what was begun is closed."""
    with pytest.raises(WorldError, match="waits"):
        now(asyncio.sleep(0))


def _forged(message: Message) -> Message:
    return replace(message, content="all is well.") if message.kind == "observe" else message


def _reworded(lost: Episode, n: int) -> Episode:
    """The same failure in other words: the commands stay."""
    messages = tuple(
        replace(one, content=f"thought {n} {one.text}") if one.role == "assistant" else one
        for one in lost.messages
    )
    return replace(lost, id=f"more{n}", messages=messages)
