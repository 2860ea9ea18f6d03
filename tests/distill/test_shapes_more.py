"""Shapes over real episodes of every planner: who speaks, what is preferred, what is asked and answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from agent.critics.goals import ASKED
from agent.planners.admitted import ASKED as CAN_YOU
from agent.planners.goals import ASK_NEXT
from agent.planners.plan import AGAIN, FIRST
from agent.planners.team import seen_by
from agent.prompt import command_of, conditioned
from distill.build import build
from distill.bundle import Bundle
from distill.select import Success
from distill.shapes.asides import Asides, Perturb, PlanPrefix
from distill.shapes.asking import Proposals, SelfAssessment
from distill.shapes.conditioning import ConditionOnFeedback
from distill.shapes.masks import ByKind, Chain, MaskSpans, Whole
from distill.shapes.preferring import Labelled, SafeSteps, SiblingPairs
from distill.shapes.roles import AsWorldModel, PerAgent
from distill.shapes.stripping import StripMemory
from distill.signals.agreement import Calibration
from distill.signals.outcomes import Outcome, Uniform
from distill.types import Objective, Recipe, Row, Select, Shape, Signal
from memory.errors import DistillError
from memory.types import Episode
from tests.distill.episodes import make_episode
from tests.distill.lived import NAMESPACE, everything


@pytest.fixture(scope="module")
def pool() -> tuple[Episode, ...]:
    """Episodes of all planners and worlds."""
    return asyncio.run(everything())


class Some:
    """Selects by the beginning of the id."""

    def __init__(self, begins: str) -> None:
        self.begins = begins

    def __call__(self, episodes: Sequence[Episode]) -> tuple[Episode, ...]:
        return tuple(one for one in episodes if one.id.startswith(self.begins))


class Blocked:
    """-1 on an act that was refused, 1 on others: what a signal of safety says."""

    def __call__(self, episodes: Sequence[Episode]) -> dict[str, tuple[float, ...]]:
        return {
            one.id: tuple((-1.0 if m.ok is False else 1.0) * (m.role == "assistant") for m in one.messages)
            for one in episodes
        }


def rows(
    pool: Sequence[Episode],
    shape: Shape,
    select: Select,
    signal: Signal | None = None,
    objective: Objective = "nll",
) -> tuple[Row, ...]:
    recipe = Recipe("x", select, signal or Uniform(), shape, objective)
    return build(recipe, Bundle(NAMESPACE, tuple(pool), {}), 0).rows


def trained(row: Row) -> list[str]:
    return [one.text for one in row.messages if one.weight]


def by_id(pool: Sequence[Episode], id_: str) -> Episode:
    return next(one for one in pool if one.id == id_)


class TestAsides:
    """Plans, goals and verdicts are trained as the answers that they were when serving."""

    def test_a_plan_answers_the_planners_question(self, pool: tuple[Episode, ...]) -> None:
        """The first plan, then revisions with the newest plan alone in view."""
        made = rows(pool, Asides(("plan",)), Some("plan-with"))
        assert [row.messages[-2].text for row in made] == [FIRST, AGAIN, AGAIN]
        plans = [one.text for one in by_id(pool, "plan-with").messages if one.kind == "plan"]
        for row, plan in zip(made, plans, strict=True):
            steps = json.loads(row.messages[-1].text)["steps"]
            assert plan == "Plan:\n" + "\n".join(f"{n}. {step}" for n, step in enumerate(steps, 1))
            assert trained(row) == [row.messages[-1].text]
            assert sum(one.text.startswith("Plan:") for one in row.messages) <= 1

    def test_goals_queries_and_verdicts(self, pool: tuple[Episode, ...]) -> None:
        """A goal with its query, another query for it, and what was said of each find."""
        made = rows(pool, Asides(), Some("search-0"))
        said = [json.loads(row.messages[-1].text) for row in made]
        goals = [one for one in said if "goal" in one]
        assert [one["goal"] for one in goals] == ["the mayor of Ormar", "the river of Belton"]
        assert sum(set(one) == {"query"} for one in said) == 1
        assert sorted(one["met"] for one in said if "met" in one) == [False, True, True]
        assert sum(row.messages[-2].text == ASK_NEXT for row in made) == 2
        assert all(row.messages[0].role == "user" for row in made if "met" in row.messages[-1].text)

    def test_an_aside_that_nobody_asked_for_is_left_alone(self, pool: tuple[Episode, ...]) -> None:
        """And none trains in the episode itself."""
        with pytest.raises(DistillError, match="nothing to learn"):
            rows(pool, Asides(), Some("team"))
        for row in rows(pool, Whole(), Some("search")):
            assert all(one.role == "assistant" for one in row.messages if one.weight)

    def test_noise_in_the_place_of_a_find_is_not_met(self, pool: tuple[Episode, ...]) -> None:
        """One row for each search that met its goal; what is found there is another search's."""
        made = rows(pool, Perturb(), Some("search"))
        assert len(made) == 4
        for row in made:
            asked, answer = row.messages
            assert asked.text.startswith(ASKED[:20])
            goal = asked.text.split("this goal: ")[1].split("\n")[0]
            assert f"{goal} is" not in asked.text
            assert json.loads(answer.text)["met"] is False
            assert answer.weight == 1.0

    def test_a_plan_in_hindsight_is_what_was_done(self, pool: tuple[Episode, ...]) -> None:
        """Behind the task, without what was refused; a failure has none."""
        (row,) = rows(pool, PlanPrefix(), Some("home0-mended"))
        at = next(n for n, one in enumerate(row.messages) if one.kind == "plan")
        assert row.messages[at - 1].kind == "task"
        episode = by_id(pool, "home0-mended")
        done = [command_of(c) for m in episode.messages if m.ok is not False for c in m.tool_calls]
        assert row.messages[at].text.splitlines()[1:] == [f"{n}. {one}" for n, one in enumerate(done, 1)]
        assert not row.messages[at].weight
        (plan,) = rows(pool, Chain((PlanPrefix(), Asides(("plan",)))), Some("home0-mended"))
        assert json.loads(trained(plan)[0])["steps"] == done
        with pytest.raises(DistillError, match="nothing to learn"):
            rows(pool, PlanPrefix(), Some("home0-lost"))

    def test_a_table_by_kind_makes_a_stage(self, pool: tuple[Episode, ...]) -> None:
        """Acts alone, or half of them."""
        (row,) = rows(pool, ByKind((("act", 0.5),)), Some("home0-straight"))
        assert {one.weight for one in row.messages if one.kind == "act"} == {0.5}
        with pytest.raises(DistillError, match="nothing to learn"):
            rows(pool, ByKind((("plan", 1.0),)), Some("home0-straight"))


class TestRoles:
    """Who speaks, and what is learned of whom."""

    def test_each_member_learns_its_own_turns_from_what_it_saw(self, pool: tuple[Episode, ...]) -> None:
        """One row a turn, as the planner shows it; the others' acts are not even there."""
        episode = by_id(pool, "team-done")
        ann, ben = (rows(pool, PerAgent(name), Some("team-done")) for name in ("ann", "ben"))
        both = rows(pool, PerAgent(), Some("team-done"))
        assert len(ann) + len(ben) == len(both) == episode.steps
        for row, name in (*((one, "ann") for one in ann), *((one, "ben") for one in ben)):
            end = max(row.indices) + 1
            assert [m.text for m in row.messages] == [m.text for m in seen_by(episode.messages[:end], name)]
            notice = [one.text for one in row.messages if one.text.startswith("It is your turn")]
            assert [name in one for one in notice] == [True]
            (last,) = [n for n, one in enumerate(row.messages) if one.weight]
            assert row.indices[last] == max(
                n for n, one in enumerate(episode.messages[:end]) if one.role == "assistant"
            )

    def test_alone_nobody_else_trains(self, pool: tuple[Episode, ...]) -> None:
        """An episode of one agent is its row; of another name there is none."""
        assert len(rows(pool, PerAgent("agent"), Some("home0-straight"))) == 1
        with pytest.raises(DistillError, match="nothing to learn"):
            rows(pool, PerAgent("ben"), Some("home0-straight"))

    def test_the_world_model_learns_what_was_answered(self, pool: tuple[Episode, ...]) -> None:
        """Roles are swapped: calls are asked, the last answer trains, earlier ones are left out."""
        episode = by_id(pool, "home0-straight")
        made = rows(pool, AsWorldModel(), Some("home0-straight"))
        answers = [n for n, one in enumerate(episode.messages) if one.kind == "observe"]
        assert [row.indices[-1] for row in sorted(made, key=lambda row: row.indices[-1])] == answers
        for row in made:
            assert trained(row) == [episode.messages[row.indices[-1]].text]
            assert row.messages[-1].role == "assistant"
            assert row.messages[-2].role == "user"
            assert not any("wipe feet" in one.text for one in row.messages[-1:])
            assert not any(episode.messages[n].text in [m.text for m in row.messages[:-1]] for n in answers)

    def test_what_is_done_everywhere_does_not_fill_the_data(self, pool: tuple[Episode, ...]) -> None:
        """So many rows of one action."""
        looks = [row.messages[-2].text for row in rows(pool, AsWorldModel(per_action=2), Some("home"))]
        assert looks.count("wipe feet") <= 2
        assert len(rows(pool, AsWorldModel(per_action=50), Some("home"))) > len(looks)


class TestPreferring:
    """What is better than what."""

    def test_siblings_are_acts_after_the_same_words(self, pool: tuple[Episode, ...]) -> None:
        """The straight way against the stray act, at the place where they part; one message each."""
        after, before = rows(pool, SiblingPairs(), Some("home0-"), Outcome(), "prefer")
        for row, bad in ((before, "use nothing 9"), (after, "look")):
            assert row.rejected is not None
            assert row.rejected.text.endswith(f"> {bad}")
            assert trained(row) == [by_id(pool, row.episode).messages[len(row.messages) - 1].text]
            assert "home0-lost" in row.also
        assert (before.episode, len(before.messages)) == ("home0-straight", 4)
        assert (after.episode, len(after.messages)) == ("home0-mended", 6)

    def test_without_a_difference_in_value_there_is_no_pair(self, pool: tuple[Episode, ...]) -> None:
        """Every act is worth the same."""
        with pytest.raises(DistillError, match="nothing to learn"):
            rows(pool, SiblingPairs(), Some("home0-"), Uniform(), "prefer")

    def test_labels_are_by_sign(self, pool: tuple[Episode, ...]) -> None:
        """Acts of the success are desired, those of the failure are not."""
        made = rows(pool, Labelled(), Some("home0-"), Outcome(), "unpaired")
        for row in made:
            assert row.messages[-1].weight == (1.0 if "lost" not in row.episode else -1.0)
            assert not any(one.weight for one in row.messages[:-1])

    def test_what_is_safe_is_learned_in_the_place_of_what_is_not(self, pool: tuple[Episode, ...]) -> None:
        """The situation before the unsafe act, then the safe one; the unsafe one is nowhere."""
        (row,) = rows(pool, SafeSteps(), Some("tidy-bold"), Blocked())
        assert [command_of(c) for one in row.messages for c in one.tool_calls] == ["mv photos archive"]
        assert [bool(one.weight) for one in row.messages] == [False, False, True]
        assert row.indices[:2] == (0, 1)
        (pair,) = rows(pool, SafeSteps(pairs=True), Some("tidy-bold"), Blocked(), "prefer")
        assert pair.rejected is not None
        assert [command_of(c) for c in pair.rejected.tool_calls] == ["rm -rf photos"]

    def test_another_attempt_may_know_what_is_safe(self, pool: tuple[Episode, ...]) -> None:
        """Where the run itself came to no safe act; without either there is no row."""
        bold = by_id(pool, "tidy-bold")
        cut = replace(bold, messages=bold.messages[:4], outcome="failure")
        (row,) = rows((cut, by_id(pool, "tidy-calm")), SafeSteps(), Some("tidy"), Blocked())
        assert row.also == ("tidy-calm",)
        with pytest.raises(DistillError, match="nothing to learn"):
            rows((cut,), SafeSteps(), Some("tidy"), Blocked())


class TestConditions:
    """What stands before a target."""

    def test_the_feedback_is_said_first(self, pool: tuple[Episode, ...]) -> None:
        """Failures are learned as what to do when they are asked for; serving asks for the best."""
        shape = ConditionOnFeedback()
        told = {
            row.episode: next(one.text for one in row.messages if one.kind == "task")
            for row in rows(pool, shape, Some("home0-"))
        }
        assert told["home0-lost"].startswith("wanted: failure, many steps. ")
        assert told["home0-straight"].startswith(shape.best)
        opening = by_id(pool, "home0-straight").messages[:1]
        assert conditioned(opening, shape.best)[0].text == told["home0-straight"]

    def test_named_feedback_is_told_where_it_is_known(self, pool: tuple[Episode, ...]) -> None:
        """Yes, no, or nothing."""
        shape = ConditionOnFeedback(("in budget",))
        known = [replace(one, feedback={"in budget": False}) for one in pool if one.id == "home0-straight"]
        (row,) = rows(known, shape, Some(""))
        assert row.messages[0].text.startswith("wanted: success, few steps, in budget no. ")
        assert shape.best == "wanted: success, few steps, in budget yes."

    def test_a_share_of_rows_keeps_its_memory(self) -> None:
        """By a hash of the episode: all, none, or about half."""
        episodes = [make_episode(f"e{n}", memory=f"mug on shelf {n}") for n in range(40)]
        counts = []
        for p in (0.0, 0.5, 1.0):
            made = [StripMemory(p)([Row(e.id, e.messages, tuple(range(4)))], {})[0] for e in episodes]
            counts.append(sum(row.has_memory for row in made))
        assert counts[0] == 40
        assert 10 <= counts[1] <= 30
        assert counts[2] == 0

    def test_information_between_marks_is_read_and_not_learned(self, pool: tuple[Episode, ...]) -> None:
        """Characters of weight 0; the rest of the message trains."""
        (row,) = rows(pool, MaskSpans(), Some("informed"))
        (said,) = [one for one in row.messages if one.weight]
        assert [said.text[one.begin : one.end] for one in said.spans] == [
            "<information> Rome is old. </information>"
        ]
        assert [one.weight for one in said.spans] == [0.0]


class TestAsking:
    """Can it be done, and which is worth trying?"""

    def test_what_can_be_done_is_answered_by_how_attempts_went(self, pool: tuple[Episode, ...]) -> None:
        """The question of admission behind the opening; yes where most attempts succeeded."""
        made = rows(pool, SelfAssessment(), Some("home"), Calibration())
        assert [row.messages[-1].text for row in made] == ["yes", "yes", "yes"]
        assert all(row.messages[-2].text == CAN_YOU for row in made)
        assert made[0].episodes == ("home0-lost", "home0-mended", "home0-straight")
        lost = [one for one in pool if one.outcome == "failure"]
        for row in rows(lost, SelfAssessment(), Some("home"), Calibration()):
            assert row.messages[-1].text == "no"
            assert (row.messages[-1].weight or 0.0) > 0.0

    def test_proposals_weigh_what_their_attempts_do(self, pool: tuple[Episode, ...]) -> None:
        """A task in the words it was given in, behind those that are known."""
        done = [one for one in pool if one.id not in ("home1-lost",)]
        made = rows(done, Proposals(), Some("home"), Outcome())
        assert {row.messages[-1].text for row in made} == {one.task for one in pool if "home" in one.id}
        assert all(row.messages[-1].weight == 1.0 for row in made)
        assert all("always done: " in row.messages[0].text for row in made)
        assert len(rows(done, Proposals(), Success(), Outcome())) > len(made)
