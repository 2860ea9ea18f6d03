"""The models without weights that tests and examples use."""

import pytest

from agent.models.scripted import FunctionModel, ScriptedModel
from agent.types import Reply, Request
from memory.errors import ModelError
from memory.types import Message, ToolCall, Usage

ASK = Request((Message("user", "two words"),))


async def test_script_is_said_in_order_and_requests_are_kept() -> None:
    """Strings, messages and replies come out in turn; the history shows what was asked."""
    call = ToolCall("c", "look", {})
    whole = Reply(Message("assistant", "third"), Usage(1, 1, 0.5, 1))
    model = ScriptedModel(["first one", Message("assistant", tool_calls=(call,)), whole])
    replies = [(await model.complete(ASK))[0] for _ in range(3)]
    assert replies[0].message.text == "first one"
    assert (replies[0].usage.prompt_tokens, replies[0].usage.completion_tokens) == (2, 2)
    assert replies[1].finish == "tool_calls"
    assert replies[2] is whole
    assert model.history == [ASK] * 3
    assert model.left == 0


async def test_end_of_the_script_is_an_error_that_names_the_message() -> None:
    """A script that is too short is noticed."""
    with pytest.raises(ModelError, match="two words"):
        await ScriptedModel([]).complete(ASK)


async def test_exception_in_a_script_is_raised_at_its_turn() -> None:
    """Failures can be scripted."""
    model = ScriptedModel(["fine", ModelError("down")])
    await model.complete(ASK)
    with pytest.raises(ModelError, match="down"):
        await model.complete(ASK)


async def test_function_model_answers_from_the_messages() -> None:
    """Sync and async functions both serve; `n` asks for several answers."""

    async def shout(messages: tuple[Message, ...]) -> str:
        return messages[-1].text.upper()

    assert (await FunctionModel(shout).complete(ASK))[0].message.text == "TWO WORDS"
    replies = await FunctionModel(lambda m: m[-1].text, style="plain").complete(Request(ASK.messages, n=2))
    assert [r.message.text for r in replies] == ["two words"] * 2


async def test_long_answers_are_cut_at_max_tokens() -> None:
    """As by a real model, with the finish that tells."""
    (reply,) = await ScriptedModel(["a b c d"]).complete(Request(ASK.messages, max_tokens=2))
    assert (reply.message.text, reply.finish, reply.usage.completion_tokens) == ("a b", "length", 2)


async def test_choice_must_be_one_of_the_choices() -> None:
    """A scripted answer outside the choices is an error, one inside gets its index."""
    request = Request(ASK.messages, choices=("yes", "no"))
    assert (await ScriptedModel(["no"]).complete(request))[0].choice == 1
    with pytest.raises(ModelError, match="maybe"):
        await ScriptedModel(["maybe"]).complete(request)


async def test_stream_joins_to_the_whole_reply() -> None:
    """Words one by one, then the reply."""
    deltas = [delta async for delta in ScriptedModel(["a b c"]).stream(ASK)]
    assert "".join(d.text for d in deltas) == "a b c"
    assert deltas[-1].reply is not None
    assert deltas[-1].reply.message.text == "a b c"
