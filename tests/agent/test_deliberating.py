"""A model that deliberates: in a run, beside one, and what it passes through."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from agent.deliberate.correct import Choose, Rewrite
from agent.deliberate.model import Deliberating
from agent.loop import Agent
from agent.models.scripted import FunctionModel, ScriptedModel
from agent.opening import Run
from agent.types import Observation, Request, Task, ToolSpec
from memory.types import Message, ToolCall
from tests.agent.asks import question

FINISH = ToolSpec(
    "finish", "give the answer", {"type": "object", "properties": {"answer": {"type": "string"}}}
)
LOOK = ToolSpec("look", "look around", {"type": "object"})


class Room:
    """Knows one number."""

    def tools(self) -> tuple[ToolSpec, ...]:
        return FINISH, LOOK

    async def reset(self, task: Task) -> Observation:
        return Observation("a room")

    async def step(self, call: ToolCall) -> Observation:
        if call.name == "look":
            return Observation("there is a 7", ok=True)
        is_right = call.arguments["answer"] == "7"
        return Observation("done", ok=True, done=True, outcome="success" if is_right else "failure")


def calls(name: str, **arguments: str) -> Message:
    return Message("assistant", "", tool_calls=(ToolCall("c", name, dict(arguments)),))


def worker() -> Callable[[tuple[Message, ...]], Message]:
    """Looks, answers 8, and mends that when it looks at its answer again."""

    def answer(messages: tuple[Message, ...]) -> Message:
        if "Look at your answer again" in messages[-1].text:
            return calls("finish", answer="7")
        return calls("finish", answer="8") if messages[-1].role == "tool" else calls("look")

    return answer


async def run_with(model: FunctionModel | Deliberating) -> tuple[str, int, int]:
    task = Task("t", "which number is there?", "room", "room")
    episode = await Agent(model, None).run(task, Room(), Run("n", "p", "e"))
    return episode.outcome, episode.steps, episode.usage.calls


async def test_a_run_mends_its_answer_by_a_model_that_deliberates_and_pays_for_it() -> None:
    """The steps are the same, the answer another; turns that only act are not deliberated."""
    plain, twice = FunctionModel(worker()), FunctionModel(worker())
    assert await run_with(plain) == ("failure", 2, 2)
    rewriting = Deliberating(twice, Rewrite(rounds=1, decides=False))
    assert await run_with(rewriting) == ("success", 2, 3)
    assert len(twice.history) == 3
    assert all(request.tools for request in twice.history)


async def test_every_turn_is_deliberated_where_that_is_wanted() -> None:
    """Then a step of the run has a second look too."""
    model = FunctionModel(worker())
    wrapped = Deliberating(model, Rewrite(rounds=1, decides=False), scope="turns")
    assert (await run_with(wrapped))[1:] == (1, 2)


async def test_questions_beside_a_run_are_deliberated_only_where_that_is_wanted() -> None:
    """A planner's own questions offer no tools."""
    model = ScriptedModel(["4", "4", "5", "B"])
    await Deliberating(model, Rewrite(rounds=1)).complete(question("2 + 2?"))
    assert model.left == 3
    (reply,) = await Deliberating(model, Rewrite(rounds=1), scope="all").complete(question("2 + 2?"))
    assert (reply.message.text, model.left) == ("5", 0)


@pytest.mark.parametrize(
    "request_",
    [
        replace(question("q"), n=2),
        replace(question("q"), schema={"type": "object"}),
        replace(question("q"), choices=("x", "y")),
    ],
)
async def test_what_a_preset_does_not_take_is_passed_through(request_: Request) -> None:
    """Side questions of other rooms are theirs."""
    model = FunctionModel(lambda messages: "x")
    await Deliberating(model, Rewrite(), scope="all").complete(request_)
    assert model.history == [request_]


async def test_a_plain_model_is_passed_through_and_choices_are_deliberated_by_choose() -> None:
    """A plain model acts by words; who chooses again says which choice it was."""
    plain = FunctionModel(lambda messages: "Action: look", style="plain")
    await Deliberating(plain, Rewrite(), scope="all").complete(question("q"))
    assert len(plain.history) == 1
    model = ScriptedModel(["x", "for it: nothing", "y", "for it: all", "y"])
    wrapped = Deliberating(model, Choose(rounds=4))
    (reply,) = await wrapped.complete(replace(question("q"), choices=("x", "y")))
    assert (reply.choice, reply.message.text, model.left) == (1, "y", 0)
    assert reply.usage.calls == 5
    assert (wrapped.name, wrapped.count_tokens("a b")) == (model.name, 2)


async def test_a_deliberated_answer_is_streamed_whole() -> None:
    """Nobody sees the versions that were not chosen."""
    model = ScriptedModel(["first\n8", "second\n7", "B"])
    pieces = [
        piece async for piece in Deliberating(model, Rewrite(rounds=1), scope="all").stream(question("q"))
    ]
    assert pieces[0].text == "second\n7"
    assert pieces[-1].reply is not None
