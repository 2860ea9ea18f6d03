"""Credit: the laws of every signal, and what those say that go by outcomes and agreement."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.signals.advantages import Advantage, Gae
from distill.signals.agreement import Calibration, Consensus, Difficulty, Trust, chances
from distill.signals.combined import Exp, Normalised, Positive, Product, Scaled, Sum
from distill.signals.forms import Adherence, Format
from distill.signals.judged import Quality, Safety, Verifier, ZeroSum
from distill.signals.outcomes import GroupNorm, Outcome, Returns, Uniform
from distill.signals.reflecting import ReflectAgreement, ReflectionEffect
from distill.signals.rewards import as_reward
from distill.signals.stored import is_own
from distill.signals.trees import TreeValue
from distill.types import Signal
from memory.errors import BadInput
from memory.types import Episode, Message, ToolCall
from tests.distill.episodes import episode_lists, make_episode

SIGNALS: tuple[Signal, ...] = (
    Uniform(),
    Outcome(),
    Returns(),
    GroupNorm(),
    Consensus(),
    Trust(Consensus()),
    Difficulty(),
    Advantage(),
    Advantage(lam=0.5),
    Gae(),
    Gae(over="time"),
    TreeValue(),
    TreeValue(threshold=0.5),
    Adherence(),
    Calibration(),
    Format(),
    Format("searching"),
    Format("goals"),
    Format("question"),
    Quality(otherwise=0.5),
    ReflectAgreement(),
    ReflectionEffect(),
    Safety(),
    Verifier(),
    ZeroSum(),
    Exp(Advantage()),
    Positive(Advantage()),
    Normalised(Returns(), by="task"),
    Normalised(Returns(), by="role"),
    Product((Outcome(), Scaled(Returns(), by=2.0))),
    Sum((Outcome(), Returns())),
)


def answered(id_: str, answer: str, *, task_id: str = "t1", reward: float | None = None) -> Episode:
    """An attempt that ends with an answer."""
    call = ToolCall("c1", "finish", {"answer": answer})
    said = Message("assistant", "that is it", kind="act", tool_calls=(call,))
    asked = Message("user", "how many?", kind="task")
    episode = make_episode(id_, [], task_id=task_id, reward=reward)
    return replace(episode, messages=(asked, said), group="")


class TestLaws:
    """What holds for every signal."""

    @settings(max_examples=15)
    @given(episode_lists())
    def test_one_finite_number_for_each_message_and_none_for_others_words(
        self, episodes: list[Episode]
    ) -> None:
        """Every episode is told of, whatever the others are."""
        for signal in SIGNALS:
            said = signal(episodes)
            assert set(said) == {episode.id for episode in episodes}
            for episode in episodes:
                assert len(said[episode.id]) == len(episode.messages), signal
                for message, worth in zip(episode.messages, said[episode.id], strict=True):
                    assert math.isfinite(worth), signal
                    assert is_own(message) or worth == 0.0, signal

    @settings(max_examples=15)
    @given(episode_lists(), st.randoms(use_true_random=False))
    def test_the_order_of_episodes_changes_nothing(self, episodes: list[Episode], chance: object) -> None:
        """To the last bit: weights are written into datasets that are hashed."""
        shuffled = list(episodes)
        chance.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis types it as Random
        for signal in SIGNALS:
            assert dict(signal(shuffled)) == dict(signal(episodes)), signal


class TestOutcomes:
    """Credit by rewards."""

    def test_a_group_that_went_alike_has_no_advantage(self) -> None:
        """Whatever the reward is; one that differs gives both signs, and the mean is nothing."""
        alike = [make_episode(f"e{n}", task_id="t1", reward=0.1) for n in range(3)]
        assert all(not any(credit) for credit in GroupNorm()(alike).values())
        mixed = [*alike, make_episode("e9", task_id="t1", reward=1.0)]
        worth = {id_: credit[1] for id_, credit in GroupNorm()(mixed).items()}
        assert worth["e9"] == pytest.approx(math.sqrt(3))
        assert math.fsum(worth.values()) == pytest.approx(0.0)

    def test_groups_are_by_model_and_memory_unless_tasks_are_asked_for(self) -> None:
        """Two groups of one task are compared within themselves."""
        one = [replace(make_episode(f"a{n}", task_id="t1", reward=float(n)), group="g1") for n in range(2)]
        other = [replace(make_episode(f"b{n}", task_id="t1", reward=1.0), group="g2") for n in range(2)]
        assert GroupNorm()([*one, *other])["b0"][1] == 0.0
        assert GroupNorm(by="task")([*one, *other])["b0"][1] > 0.0


class TestAgreement:
    """Credit without an outcome."""

    def test_the_majority_is_right_and_a_tie_is_nobodys(self) -> None:
        """Answers are compared without case and marks."""
        votes = [answered("e1", "Four."), answered("e2", "four"), answered("e3", "5")]
        assert {id_: credit[1] for id_, credit in Consensus()(votes).items()} == {"e1": 1, "e2": 1, "e3": 0}
        assert chances(votes)["e3"] == pytest.approx(2 / 3)
        assert not any(credit[1] for credit in Consensus()(votes[1:]).values())

    def test_trust_grows_with_agreement(self) -> None:
        """0.6 up to p̂ = 0.3, 1 from 0.8 on."""
        votes = [answered(f"e{n}", "4") for n in range(2)] + [answered(f"f{n}", str(n)) for n in range(5, 7)]
        assert Trust(Consensus())(votes)["e0"][1] == pytest.approx(0.6 + 0.4 * 0.2 / 0.5)
        assert Trust(Consensus())(votes[:2])["e0"][1] == 1.0

    def test_what_is_learned_of_wrong_labels_is_less_with_trust(self) -> None:
        """They are wrong where attempts disagree: here 2 of 7 labels are, each trusted two thirds."""
        sure = [answered(f"a{n}", "right") for n in range(5)]
        votes = ("wrong", "wrong", "right", "4", "5")
        split = [answered(f"b{n}", vote, task_id="t2") for n, vote in enumerate(votes)]
        shares = []
        for signal in (Consensus(), Trust(Consensus())):
            learned = {id_: credit[1] for id_, credit in signal([*sure, *split]).items()}
            wrong = math.fsum(learned[one.id] for one in split if learned[one.id])
            shares.append(wrong / math.fsum(learned.values()))
        assert shares == pytest.approx([2 / 7, 1.36 / 6.36])

    def test_difficulty_is_what_attempts_come_to(self) -> None:
        """Failure counts up to 1, doubt is highest at one half."""
        tries = [answered(f"e{n}", "4", reward=float(n > 0)) for n in range(4)]
        assert Difficulty()(tries)["e0"][1] == pytest.approx(0.25)
        assert Difficulty("doubt")(tries)["e0"][1] == pytest.approx(0.5)


class TestCombined:
    """Signals of signals."""

    def test_exp_is_capped_and_positive_is_a_mask(self) -> None:
        """Advantages of both signs to weights."""
        mixed = [make_episode("e1", task_id="t", reward=0.0), make_episode("e2", task_id="t", reward=1.0)]
        weights = Exp(GroupNorm(), beta=0.5, cap=5.0)(mixed)
        assert weights["e1"] == pytest.approx((0.0, math.exp(-2.0), 0.0))
        assert weights["e2"] == pytest.approx((0.0, 5.0, 0.0))
        assert Positive(GroupNorm())(mixed) == {"e1": (0, 0, 0), "e2": (0, 1, 0)}

    def test_each_role_is_normalised_by_itself(self) -> None:
        """A role whose rewards are all large is not better than another."""
        episodes = []
        for number in range(2):
            said = [
                Message("assistant", role, kind="act", agent=role, tool_calls=()) for role in ("ann", "ben")
            ]
            episodes.append(replace(make_episode(f"e{number}"), messages=tuple(said)))
        worth = {"e0": (0.0, 10.0), "e1": (1.0, 11.0)}
        signal = Normalised(Fixed(worth), by="role")
        assert signal(episodes) == {"e0": (-1.0, -1.0), "e1": (1.0, 1.0)}
        assert Normalised(Fixed(worth))(episodes)["e0"][1] > 0.0


class TestTrees:
    """Retries of one task as one tree."""

    def walked(self, id_: str, acts: str, reward: float, task_id: str = "t1") -> Episode:
        """One act for each letter; every act is answered."""
        messages = [Message("user", "go", kind="task")]
        for place, letter in enumerate(acts):
            turn = ToolCall(f"c{place}", "act", {"command": letter})
            messages += [Message("assistant", f"{id_} thinks", kind="act", tool_calls=(turn,))]
            messages += [Message("tool", f"did {letter}", kind="observe", tool_call_id=turn.id)]
        return replace(make_episode(id_, [], task_id=task_id, reward=reward), messages=tuple(messages))

    @given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=8))
    def test_identical_episodes_are_worth_their_mean(self, rewards: list[float]) -> None:
        """At every message; thoughts do not part them."""
        episodes = [self.walked(f"e{n}", "ab", reward) for n, reward in enumerate(rewards)]
        for credit in TreeValue()(episodes).values():
            assert credit[1] == credit[3] == pytest.approx(math.fsum(rewards) / len(rewards))

    def test_a_node_is_worth_the_mean_of_its_children(self) -> None:
        """Not of its leaves: one good branch and one with three attempts that failed are one half.

        A verifier's message is good where more than half of what follows it ends well (MALT).
        """
        episodes = [self.walked("g", "ab", 1.0)]
        episodes += [self.walked(f"b{n}", f"ac{n}", 0.0) for n in range(3)]
        episodes += [self.walked("x", "xb", 1.0), self.walked("other", "ab", 0.0, task_id="t2")]
        credit = TreeValue()(episodes)
        assert credit["g"] == (0, 0.5, 0, 1.0, 0)
        assert credit["b0"] == (0, 0.5, 0, 0.0, 0, 0.0, 0)
        assert credit["x"][1] == 1.0
        assert TreeValue(threshold=0.5)(episodes)["g"] == (0, -1.0, 0, 1.0, 0)

    def test_an_attempt_that_ends_where_others_go_on_is_a_child(self) -> None:
        """Of the same weight as a branch."""
        episodes = [self.walked("short", "a", 1.0), self.walked("long", "ab", 0.0)]
        assert TreeValue()(episodes)["short"] == (0, 0.5, 0)


class TestRewards:
    """Signals as TRL calls reward functions."""

    @pytest.mark.parametrize("signal", SIGNALS, ids=lambda one: type(one).__name__)
    def test_one_number_for_each_completion(self, signal: Signal) -> None:
        """Texts and messages, whatever else is passed along."""
        told = {
            "completion_ids": [[1]] * 3,
            "trainer_state": None,
            "outcome": ["success", "failure", "success"],
        }
        texts = as_reward(signal)(prompts=["q"] * 3, completions=["4", "5", "4"], **told)
        turn = [{"role": "assistant", "content": "4", "tool_calls": [{"function": {"name": "f"}}]}]
        asked = [{"role": "user", "content": "q"}]
        said = as_reward(signal)(prompts=[asked] * 3, completions=[turn] * 3, **told)
        for numbers in (texts, said):
            assert len(numbers) == 3
            assert all(isinstance(one, float) for one in numbers)
        assert as_reward(signal)(prompts=[], completions=[]) == []

    def test_completions_of_one_prompt_are_a_group(self) -> None:
        """The majority of another prompt is not theirs."""
        reward = as_reward(Consensus())
        said = reward(prompts=["a", "a", "a", "b", "b"], completions=["4", "4.", "5", "5", "5"])
        assert said == [1.0, 1.0, 0.0, 1.0, 1.0]
        assert reward.__name__ == "consensus"

    def test_outcomes_come_from_columns_or_from_who_is_asked(self) -> None:
        """Without either nobody knows."""
        told = {"prompts": ["a", "a"], "completions": ["4", "5"]}
        assert as_reward(Outcome())(**told, reward=[0.5, 1]) == [0.5, 1.0]
        assert as_reward(Outcome())(**told) == [0.0, 0.0]
        right = as_reward(Outcome(), lambda one: replace(one, reward=float(one.messages[-1].text == "4")))
        assert right(**told) == [1.0, 0.0]
        with pytest.raises(BadInput, match="column 'reward' has 1 values for 2"):
            as_reward(Outcome())(**told, reward=[1.0])


class Fixed:
    """A signal that was written down."""

    def __init__(self, worth: dict[str, tuple[float, ...]]) -> None:
        self._worth = worth

    def __call__(self, _: object) -> dict[str, tuple[float, ...]]:
        """What was written."""
        return self._worth
