"""What does not fit is left out of what a model is shown: whole turns, the oldest first, as few as do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.deliberate.named import deliberating
from agent.loop import Agent
from agent.models.scripted import ScriptedModel
from agent.opening import Run
from agent.tools import FunctionTool, ToolWorld
from agent.types import Reply, Request, Task
from agent.window import fitted
from memory.errors import TooLarge
from memory.types import Message, ToolCall


def talk(*lengths: int, opening: int = 2, plan_at: int = -1) -> Request:
    """An opening, then turns whose answers have so many words; a plan after one of them."""
    messages = [Message("system", "word " * opening)]
    for place, n in enumerate(lengths):
        messages += [Message("assistant", "act"), Message("tool", "word " * n)]
        if place == plan_at:
            messages.append(Message("user", "plan", kind="plan"))
    return Request(tuple(messages))


def words(request: Request) -> int:
    return sum(len(one.text.split()) for one in request.messages)


@given(st.lists(st.integers(1, 9), max_size=8), st.integers(0, 60), st.integers(-1, 7))
def test_as_few_turns_as_do(lengths: list[int], limit: int, plan_at: int) -> None:
    """Opening, plans and the latest turn stay; one turn less left out would not fit."""
    request = talk(*lengths, plan_at=plan_at)
    shown = fitted(request, lambda one: words(one) - limit)
    kept = sum(one.role == "assistant" for one in shown.messages)
    assert shown.messages[0] == request.messages[0]
    assert shown.messages[-1:] == request.messages[-1:]
    assert sum(one.kind == "plan" for one in shown.messages) == sum(
        one.kind == "plan" for one in request.messages
    )
    roles = [one.role for one in shown.messages if one.kind is None]
    assert roles == ["system", *(["assistant", "tool"] * kept)]
    assert words(shown) <= limit or kept <= 1
    if kept < len(lengths):
        more = fitted(request, lambda one: sum(m.role == "assistant" for m in one.messages) - kept - 1)
        assert words(more) > limit


class Forgetful(ScriptedModel):
    """Reads so many words, and refuses more as the local model does."""

    limit = 120

    def overflow(self, request: Request) -> int:
        return words(request) - self.limit


class Strict(ScriptedModel):
    """Tells only that a request was too long, as hosts do."""

    async def complete(self, request: Request) -> tuple[Reply, ...]:
        if words(request) > Forgetful.limit:
            raise TooLarge("too long")
        return await super().complete(request)


def tell() -> str:
    """Tell a long story."""
    return "once upon a time " * 8


@pytest.mark.parametrize("model_type", [Forgetful, Strict])
async def test_a_long_run_goes_on_with_what_can_be_read(model_type: type[ScriptedModel]) -> None:
    """The episode keeps every turn; the model is shown the task and the newest."""
    call = Message("assistant", "", tool_calls=(ToolCall("", "tell", {}),))
    end = Message("assistant", "", tool_calls=(ToolCall("", "finish", {"answer": "x"}),))
    model = model_type([*[call] * 8, end])
    world = ToolWorld([FunctionTool.of(tell)])
    episode = await Agent(model, None).run(Task("t", "listen", "tools", "f"), world, Run("ns", "ann", "e"))
    assert (episode.outcome, episode.steps) == ("unknown", 9)
    assert sum(message.kind == "observe" for message in episode.messages) >= 8
    sizes = [words(request) for request in model.history]
    assert max(sizes) <= Forgetful.limit < words(Request(episode.messages))
    assert all("listen" in " ".join(one.text for one in request.messages) for request in model.history)


async def test_a_task_that_cannot_be_read_at_all_is_told() -> None:
    """Nothing is left to leave out."""
    task = Task("t", "word " * 200, "tools", "f")
    episode = await Agent(Strict([]), None).run(task, ToolWorld(), Run("ns", "ann", "e"))
    assert (episode.outcome, episode.error) == ("infra", "TooLarge: too long")


async def test_a_model_that_thinks_twice_reads_no_more_than_itself() -> None:
    """Whoever wraps a model passes on what it can read."""
    request = talk(*[30] * 8)
    model = Forgetful(["x"])
    assert deliberating(model, "rewrite").overflow(request) == model.overflow(request) > 0  # type: ignore[attr-defined]
    assert deliberating(ScriptedModel(["x"]), "rewrite").overflow(request) == 0  # type: ignore[attr-defined]
