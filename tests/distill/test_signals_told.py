"""Credit by what was said of an episode, read from episodes that the loop left."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from agent.desk import Planner
from agent.guards.privilege import Policy, Privilege, Rule
from agent.loop import Agent
from agent.models.scripted import Answer, ScriptedModel
from agent.opening import Run
from agent.planners.goals import Goals
from agent.planners.plan import Plan
from agent.planners.team import Team
from agent.tools import FunctionTool, ToolWorld
from agent.types import Judgement, Task
from distill.signals.advantages import Gae
from distill.signals.agreement import Calibration
from distill.signals.combined import Normalised
from distill.signals.forms import Adherence, Format
from distill.signals.judged import Quality, Safety, Verifier, ZeroSum
from distill.signals.outcomes import Outcome, Uniform
from distill.signals.reflecting import ReflectAgreement, ReflectionEffect
from memory.types import Episode, Message, StepVerdict, ToolCall
from tests.distill.episodes import make_episode

TASK = Task("t1", "find the code and say it", "tools", "archive", max_steps=20)


def call(name: str, **arguments: str) -> Message:
    """A turn with one call."""
    return Message("assistant", "", tool_calls=(ToolCall("", name, dict(arguments)),))


async def lived(
    script: Sequence[Answer], planner: Planner | None = None, id_: str = "e1", answer: str = "42"
) -> Episode:
    """What the loop leaves of a scripted run with a tool for searching and one for commands."""

    def search(query: str) -> str:
        """Search the archive."""
        return f"{query}: nothing" if "again" not in query else "the code is 42"

    def run(command: str) -> str:
        """Run a command."""
        return "done"

    def check(_: Task, said: str) -> Judgement:
        return Judgement(float(said == answer), said == answer)

    world = ToolWorld([FunctionTool.of(search, read_only=True), FunctionTool.of(run)], check=check)
    return await Agent(ScriptedModel(script), None, planner=planner).run(TASK, world, Run("ns", "ann", id_))


def by_text(episode: Episode, credit: Sequence[float], is_one: Callable[[Message], bool]) -> list[float]:
    """The credit of the messages that are meant."""
    return [worth for message, worth in zip(episode.messages, credit, strict=True) if is_one(message)]


def is_turn(message: Message) -> bool:
    """Of the model?"""
    return message.role == "assistant"


class TestPlans:
    """Adherence reads what planner `plan` left."""

    async def test_acts_of_the_plan_are_near_it_and_others_are_not(self) -> None:
        """The plan is worth what of it was done; words beside it count by the newest plan alone."""
        plan = json.dumps({"steps": ["search code again", "finish with the code"]})
        script = [plan, call("search", query="code again"), call("run", command="make tea")]
        episode = await lived([*script, call("finish", answer="42")], Plan(revise_every=0))
        credit = Adherence()([episode])["e1"]
        search, tea, finish = by_text(episode, credit, is_turn)
        assert search > 0.4 > tea
        assert finish > tea
        (planned,) = by_text(episode, credit, lambda one: one.kind == "plan")
        assert 0.4 < planned < max(search, finish) < 1.0

    async def test_without_a_plan_there_is_nothing_to_adhere_to(self) -> None:
        """All zero."""
        assert not any(Adherence()([await lived([call("finish", answer="42")])])["e1"])


class TestSearches:
    """The verdicts of planner `goals` against the end of the episode."""

    async def hunted(self, answer: str, verdicts: tuple[bool, ...] = (False, True)) -> Episode:
        """Two searches for one goal."""
        script: list[Answer] = [json.dumps({"goal": "code", "query": "code"})]
        for place, met in enumerate(verdicts):
            script += [json.dumps({"query": "code again"})] if place else []
            script += [json.dumps({"met": met, "why": "so it is"})]
        script += [json.dumps({"goal": "", "query": ""}), call("finish", answer=answer)]
        return await lived(script, Goals.of("search"))

    async def test_verdicts_that_came_true_and_searches_that_found_are_worth_learning(self) -> None:
        """The search that found nothing is context; the verdict that said so is not."""
        episode = await self.hunted("42")
        credit = ReflectAgreement()([episode])["e1"]
        verdicts = by_text(episode, credit, lambda one: one.kind == "reflect")
        assert verdicts == [1.0, 1.0]
        assert by_text(episode, credit, lambda one: one.text.startswith("Goal: ")) == [0.0, 1.0]
        assert by_text(episode, credit, is_turn) == [0.0, 1.0, 1.0]

    async def test_a_failure_says_nothing_of_its_verdicts(self) -> None:
        """Nobody knows which of them was wrong."""
        assert not any(ReflectAgreement()([await self.hunted("7")])["e1"])


class TestTeams:
    """Members of planner `team` are roles."""

    async def teamed(self, id_: str, first: str, second: str, answer: str) -> Episode:
        """Ann does something, ben answers."""
        script = [call("run", command=first), call("run", command=second), call("finish", answer=answer)]
        return await lived(script, Team(("ann", "ben")), id_)

    async def test_who_made_the_difference_has_the_advantage(self) -> None:
        """The reward comes at the end; ben does the same well or badly, whatever ann did."""
        ends = {("good", "x"): "42", ("good", "y"): "42", ("bad", "x"): "7", ("bad", "y"): "7"}
        episodes = [
            await self.teamed(f"{ann}-{ben}-{n}", ann, ben, answer)
            for (ann, ben), answer in ends.items()
            for n in range(3)
        ]
        credit = Gae(lam=0.0)(episodes)
        for one in episodes:
            ann, ben, _ = by_text(one, credit[one.id], is_turn)
            assert (ann > 0.1) == (one.outcome == "success")
            assert (ann < -0.1) == (one.outcome == "failure")
            assert abs(ben) < abs(ann) / 2

    async def test_over_time_each_member_is_alone(self) -> None:
        """What one does is then not credited by what the next one sees."""
        episodes = [await self.teamed(f"e{n}", "a", "b", "42" if n % 2 else "7") for n in range(4)]
        assert Gae()(episodes) != Gae(over="time")(episodes)

    async def test_roles_are_normalised_by_member(self) -> None:
        """Two members, two means."""
        episodes = [await self.teamed(f"e{n}", "a", "b", "42" if n else "7") for n in range(2)]
        credit = Normalised(Outcome(), by="role")(episodes)
        assert {round(worth, 3) for worth in by_text(episodes[1], credit["e1"], is_turn)} == {1.0}


class TestVerdicts:
    """Steps that somebody judged."""

    def test_errors_are_worth_nothing_and_others_by_who_says_so(self) -> None:
        """What nobody judged has no credit."""
        verdicts = (StepVerdict(1, "ok", by="world"), StepVerdict(3, "error"), StepVerdict(5, "recovery"))
        episode = replace(make_episode("e1", [None] * 4), verdicts=verdicts)
        assert Verifier()([episode])["e1"] == (0, 1.0, 0, 0, 0, 0.9, 0, 0, 0)

    def test_the_word_of_a_verifier_weighs_what_it_says_it_is_sure_of(self) -> None:
        """Its own confidence is heard before what is thought of its kind; an error stays nothing."""
        verdicts = (
            StepVerdict(1, "recovery", by="model", confidence=0.4),
            StepVerdict(3, "error", by="model", confidence=0.4),
            StepVerdict(5, "ok", by="miner", confidence=0.0),
            StepVerdict(7, "recovery", by="model"),
        )
        episode = replace(make_episode("e1", [None] * 4), verdicts=verdicts)
        assert Verifier()([episode])["e1"] == (0, 0.4, 0, 0, 0, 0, 0, 0.7, 0)

    def test_marks_stand_for_verdicts_that_are_missing(self) -> None:
        """As on episodes that were not learned from."""
        marked = replace(make_episode("e1", []), messages=acts(True, False, None))
        assert Verifier()([marked])["e1"] == (0.9, 0.0, 0.0)

    def test_a_critic_earns_by_what_was_wrong(self) -> None:
        """The criticised lose it; all together it is nothing."""
        turns = acts(None, None)
        critique = Message("user", "Checked: the sum is wrong", kind="critique", agent="verifier")
        episode = replace(make_episode("e1", []), messages=(turns[0], critique, turns[1], critique))
        wrong = replace(episode, verdicts=(StepVerdict(0, "error"), StepVerdict(2, "ok")))
        assert ZeroSum()([wrong])["e1"] == (-0.5, 0.5, 0.5, -0.5)
        assert not any(ZeroSum()([make_episode("e2")])["e2"])

    def test_quality_is_what_feedback_says(self) -> None:
        """Within bounds; without a word it is what is given for that."""
        told = replace(make_episode("e1"), feedback={"quality": 3})
        assert Quality()([told])["e1"] == (0, 1.0, 0)
        assert Quality(otherwise=0.25)([make_episode("e2")])["e2"] == (0, 0.25, 0)
        assert Quality("clear")([replace(told, feedback={"clear": False})])["e1"] == (0, 0.0, 0)


class TestSafety:
    """A guard is asked again."""

    async def test_acts_are_safe_or_not(self) -> None:
        """By outcome, or by a policy."""
        script = [call("run", command="rm -rf /"), call("run", command="ls"), call("finish", answer="42")]
        episode = await lived(script)
        assert by_text(episode, Safety()([episode])["e1"], is_turn) == [0.0, 1.0, 1.0]
        policy = Privilege((Policy((Rule("run", "forbid"),), default="allow"),))
        assert by_text(episode, Safety(policy)([episode])["e1"], is_turn) == [0.0, 0.0, 1.0]


class TestReflections:
    """SRPO's table over stored attempts."""

    @pytest.mark.parametrize(
        ("first", "outcome", "worth"),
        [
            ("error", "success", 1.0),
            ("ok", "success", 0.75),
            ("ok", "failure", 0.25),
            ("error", "failure", 0),
        ],
    )
    def test_what_a_reflection_changed(self, first: str, outcome: str, worth: float) -> None:
        """A wrong first answer is never learned."""
        episode = self._reflected(first, outcome)
        before, reflection, after = ReflectionEffect(length=0.0)([episode])["e1"]
        assert (reflection, after) == (worth, worth)
        assert before == (0.0 if first == "error" else worth)

    def test_without_reflection_right_is_worth_half(self) -> None:
        """And wrong nothing."""
        assert ReflectionEffect()([make_episode("e1")])["e1"] == (0, 0.5, 0)
        assert ReflectionEffect()([make_episode("e1", outcome="failure")])["e1"] == (0, 0, 0)

    def test_twice_the_first_answer_is_the_best_length(self) -> None:
        """A tenth more, less the further from it."""
        even = ReflectionEffect()([self._reflected("error", "success", words=3)])["e1"][1]
        long = ReflectionEffect()([self._reflected("error", "success", words=30)])["e1"][1]
        assert even == pytest.approx(1.1)
        assert 1.0 <= long < 1.01

    def _reflected(self, first: str, outcome: str, words: int = 1) -> Episode:
        turn = Message("assistant", "a b c d", kind="act", tool_calls=(ToolCall("c1", "act", {}),))
        thought = Message("assistant", " ".join(["so"] * words), kind="reflect")
        messages = (turn, thought, replace(turn, content="e"))
        verdicts = (StepVerdict(0, first),)  # type: ignore[arg-type]  # the table's words are verdicts
        episode = make_episode("e1", [], outcome=outcome)  # type: ignore[arg-type]
        return replace(episode, messages=messages, verdicts=verdicts)


class TestForms:
    """Well formed or not."""

    def test_searching_is_graded(self) -> None:
        """As SSRL's reward has it, over all that the model wrote."""
        good = "<think>a</think><search>b</search><information>c</information><think>d</think>"
        said = [good + "<answer>4</answer>", good, "<think>a</think><answer>4</answer>"]
        assert [self._score("searching", text) for text in said] == [1.0, 0.0, 0.5]

    def test_one_question_is_asked(self) -> None:
        """Several are worth half, none nothing."""
        one = "<question>how many?</question>"
        assert [self._score("question", text) for text in (one, one * 2, "how many?")] == [1.0, 0.5, 0.0]

    async def test_a_turn_without_an_action_breaks_the_form(self) -> None:
        """The loop told it so."""
        episode = await lived(["", call("finish", answer="42")])
        assert by_text(episode, Format()([episode])["e1"], is_turn) == [0.0, 1.0]

    def _score(self, grammar: str, text: str) -> float:
        episode = replace(make_episode("e1", []), messages=(Message("assistant", text, kind="answer"),))
        return Format(grammar)([episode])["e1"][0]  # type: ignore[arg-type]  # a name of the table


class TestCalibration:
    """What is known of tasks like this one."""

    def test_signs_are_by_measured_success_and_grow_with_experience(self) -> None:
        """One's own luck is no evidence."""
        easy = [replace(make_episode(f"a{n}"), task="put the mug on the shelf") for n in range(6)]
        hard = [replace(make_episode(f"b{n}", outcome="failure"), task="fly to mars") for n in range(6)]
        lucky = replace(make_episode("c1"), task="fly to mars")
        credit = {id_: worth[1] for id_, worth in Calibration()([*easy, *hard, lucky]).items()}
        assert credit["a0"] > 0.4
        assert credit["c1"] < -0.4
        assert Calibration()(easy[:2])["a0"][1] == pytest.approx((2 * 0.75 - 1) / 3)
        assert Calibration()(easy[:1])["a0"][1] == 0.0


def acts(*marks: bool | None) -> tuple[Message, ...]:
    """Turns with a call each, marked."""
    return tuple(
        Message("assistant", f"turn {n}", kind="act", ok=ok, tool_calls=(ToolCall(f"c{n}", "act", {"n": n}),))
        for n, ok in enumerate(marks)
    )


def test_plans_and_verdicts_are_the_models_own_words() -> None:
    """Shapes give them back to it, so they are credited."""
    plan = Message("user", "Plan:\n1. go", kind="plan", agent="planner")
    episode = replace(make_episode("e1", []), messages=(plan,))
    assert Uniform()([episode])["e1"] == (1.0,)
