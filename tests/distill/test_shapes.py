"""What of an episode is context and what is target; credit and selection."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from distill.build import build
from distill.bundle import Bundle
from distill.recipes import RECIPES, recipe_named
from distill.select import BestPerTask
from distill.shapes.masks import Chain, MaskErrors, Steps, trajectory
from distill.shapes.stripping import StripMemory
from distill.signals.outcomes import Outcome, Returns, Uniform
from distill.types import Dataset, Row
from memory.errors import DistillError
from memory.types import Episode
from tests.distill.episodes import NAMESPACE, episode_lists, make_episode

RECIPE_NAMES = [recipe.name for recipe in RECIPES]


def _build(episodes: list[Episode], recipe: str) -> Dataset | None:
    try:
        return build(recipe_named(recipe), Bundle(NAMESPACE, tuple(episodes), {}), 0)
    except DistillError:
        return None


def _row(episode: Episode) -> Row:
    return trajectory(episode, Uniform()([episode])[episode.id])


class TestMasks:
    """Only right words of the assistant train."""

    @given(episode_lists(), st.sampled_from(RECIPE_NAMES))
    def test_targets_are_assistant_messages_of_their_episode(
        self, episodes: list[Episode], recipe: str
    ) -> None:
        """System, user, tool and memory messages have weight 0, and provenance is exact."""
        by_id = {episode.id: episode for episode in episodes}
        dataset = _build(episodes, recipe)
        for row in dataset.rows if dataset else ():
            source = by_id[row.episode].messages
            for index, message in zip(row.indices, row.messages, strict=True):
                assert message.role == source[index].role
                assert message.weight is not None
                assert message.weight >= 0
                if message.weight > 0:
                    assert message.role == "assistant"
                    assert message.text == source[index].text

    @given(episode_lists())
    def test_refused_acts_are_context_and_later_ones_train(self, episodes: list[Episode]) -> None:
        """Weight 0 where the world said no, untouched elsewhere."""
        for episode in episodes:
            (row,) = MaskErrors()([_row(episode)], {})
            assert len(row.messages) == len(episode.messages)
            for message in row.messages:
                assert bool(message.weight) == (message.role == "assistant" and message.ok is not False)

    @given(episode_lists())
    def test_masking_then_splitting_is_splitting_then_dropping(self, episodes: list[Episode]) -> None:
        """The two shapes commute."""
        for episode in episodes:
            masked = Chain((MaskErrors(), Steps()))([_row(episode)], {})
            split = [row for row in Steps()([_row(episode)], {}) if row.messages[-1].ok is not False]
            assert list(masked) == split

    @given(episode_lists())
    def test_stripped_rows_hold_no_memory(self, episodes: list[Episode]) -> None:
        """Neither recalled items nor principles; all else stays in order."""
        for episode in episodes:
            (row,) = StripMemory()([_row(episode)], {})
            assert not row.has_memory
            assert all(message.role != "system" for message in row.messages)
            rest = [m.text for m in episode.messages if m.kind != "memory" and m.role != "system"]
            assert [m.text for m in row.messages] == rest

    def test_a_weight_set_by_hand_takes_the_place_of_credit(self) -> None:
        """But never gives weight to anyone but the assistant."""
        episode = make_episode("e1", [True, True])
        messages = [replace(m, weight=0.25) for m in episode.messages]
        row = _row(replace(episode, messages=tuple(messages)))
        assert [m.weight for m in row.messages] == [0.0, 0.25, 0.0, 0.25, 0.0]


class TestParts:
    """Selections and signals."""

    def test_the_best_attempt_at_each_task_is_kept(self) -> None:
        """Success first, then reward, then fewer steps."""
        episodes = [
            make_episode("slow", [True] * 4, task_id="t1"),
            make_episode("fast", [True] * 2, task_id="t1"),
            make_episode("lost", [True], task_id="t1", outcome="failure"),
            make_episode("only", [True] * 3, task_id="t2"),
        ]
        assert {e.id for e in BestPerTask(1)(episodes)} == {"fast", "only"}

    def test_outcome_credit_is_the_reward(self) -> None:
        """On the assistant's messages, never below 0."""
        episode = make_episode("e1", [True], reward=0.5)
        assert Outcome()([episode])["e1"] == (0.0, 0.5, 0.0)
        assert Outcome()([replace(episode, reward=-1.0)])["e1"] == (0.0, 0.0, 0.0)

    def test_returns_discount_from_the_end(self) -> None:
        """The last act earns the reward, earlier ones less."""
        assert Returns(0.5)([make_episode("e1", [True, True, True])])["e1"] == (0, 0.25, 0, 0.5, 0, 1, 0)
