"""What of an episode is context and what is target; credit and selection."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from distill.select import BestPerTask
from distill.shapes.masks import Chain, MaskErrors, Steps, trajectory
from distill.shapes.stripping import OthersMemory, StripMemory
from distill.signals.outcomes import Outcome, Returns, Uniform
from distill.types import Row
from memory.types import Episode, StepVerdict
from tests.distill.episodes import episode_lists, make_episode


def _row(episode: Episode) -> Row:
    return trajectory(episode, Uniform()([episode])[episode.id])


class TestMasks:
    """Only right words of the assistant train."""

    @given(episode_lists())
    def test_refused_acts_are_context_and_later_ones_train(self, episodes: list[Episode]) -> None:
        """Weight 0 where the world said no, untouched elsewhere."""
        for episode in episodes:
            (row,) = MaskErrors()([_row(episode)], {})
            assert len(row.messages) == len(episode.messages)
            for message in row.messages:
                assert bool(message.weight) == (message.role == "assistant" and message.ok is not False)

    @given(episode_lists(), st.integers(0, 5))
    def test_masking_then_splitting_is_splitting_then_dropping(
        self, episodes: list[Episode], error: int
    ) -> None:
        """The two shapes commute, whoever says that an act was wrong."""
        for episode in episodes:
            judged = replace(episode, verdicts=(StepVerdict(error, "error"),))
            lived = {judged.id: judged}
            masked = Chain((MaskErrors(), Steps()))([_row(judged)], lived)
            split = [
                row
                for row in Steps()([_row(judged)], lived)
                if row.messages[-1].ok is not False and row.indices[-1] != error
            ]
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

    def test_others_memory_tells_of_another_task_and_nothing_of_ones_own(self) -> None:
        """Principles stay; what is shown never trains, and whose it was is said."""
        episodes = [
            make_episode(f"e{n}", memory=f"mug on shelf {n}", rules="wash", task_id=f"t{n // 2}")
            for n in range(6)
        ]
        lived = {one.id: one for one in episodes}
        rows = OthersMemory()([_row(one) for one in episodes], lived)
        assert [row.episode for row in rows] == list(lived)
        for row in rows:
            (other,) = row.also
            assert lived[other].task_id != lived[row.episode].task_id
            (place,) = [n for n, one in enumerate(row.messages) if one.kind == "memory"]
            assert row.messages[place].text == lived[other].messages[1].text
            assert (row.indices[place], row.messages[place].weight) == (-1, 0.0)
            rest = [one.text for one in row.messages if one.kind != "memory"]
            assert rest == [one.text for one in lived[row.episode].messages if one.kind != "memory"]

    def test_without_another_task_the_prompt_stays(self) -> None:
        """There is nobody whose memory it could be."""
        episodes = [make_episode(f"e{n}", memory=f"mug on shelf {n}", task_id="t") for n in range(2)]
        rows = [_row(one) for one in episodes]
        assert list(OthersMemory()(rows, {one.id: one for one in episodes})) == rows

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
