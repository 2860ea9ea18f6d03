"""Tool calls from models with and without calls of their own: read, mended, and made where one must be."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent.models.calling import complete, read_calls, stream
from agent.models.hosted import LiteModel, ModelSettings
from agent.models.local.model import LocalModel
from agent.models.schema import Unreadable
from agent.models.scripted import FunctionModel, ScriptedModel
from agent.types import Delta, Model, Request, ToolSpec
from memory.errors import ModelError
from memory.types import Message, ToolCall
from tests.agent.openai_server import Service, fails, says

ADD = ToolSpec(
    "add",
    "Add.",
    {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a"],
        "additionalProperties": False,
    },
)
LAMP = ToolSpec(
    "lamp",
    "Switch the lamp.",
    {
        "type": "object",
        "properties": {"state": {"enum": ["on", "off"]}},
        "required": ["state"],
        "additionalProperties": False,
    },
)
BUNDLED = Path(__file__).parents[2] / "agent" / "models" / "tiny"
ASK = (Message("user", "one and two?"),)


def made(message: Message) -> list[tuple[str, dict[str, object]]]:
    return [(call.name, dict(call.arguments)) for call in message.tool_calls]


@pytest.mark.parametrize(
    "text",
    [
        'Let me see.\nAction: add {"a": 1}\nAction: lamp {"state": "on"}',
        'Let me see.\n  Action: add {\n "a": 1\n}\n\nAction: lamp {"state": "on"}',
        'Let me see.\n<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>'
        '<tool_call>{"name": "lamp", "arguments": {"state": "on"}}',
    ],
)
def test_several_calls_are_read_from_words(text: str) -> None:
    said, calls = read_calls(text, [ADD, LAMP])
    assert said == "Let me see."
    assert [(call.name, call.arguments) for call in calls] == [("add", {"a": 1}), ("lamp", {"state": "on"})]
    assert len({call.id for call in calls}) == 2


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Action: subtract {}", "there is no tool 'subtract'"),
        ('Action: add {"a": "one"}', "'one' is not of type 'integer'"),
        ("Action: add {a: 1}", "are not JSON"),
        ("Action: add [1]", "are not a JSON object"),
        ("<tool_call>add 1</tool_call>", "is not JSON"),
    ],
)
def test_what_was_meant_as_a_call_and_is_none_says_why(text: str, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        read_calls(text, [ADD, LAMP])


@pytest.mark.parametrize("text", ["3, I think", '{"a": 1}', "Lights, camera, Action: and {go}"])
def test_words_stay_words(text: str) -> None:
    assert read_calls(text, [ADD, LAMP]) == (text, ())


async def test_a_bad_call_is_told_to_the_model_once() -> None:
    model = ScriptedModel(['Action: add {"a": "one"}', 'Action: add {"a": 1}'])
    (reply,) = await complete(model, Request(ASK, tools=(ADD, LAMP)))
    assert made(reply.message) == [("add", {"a": 1})]
    assert "'one' is not of type 'integer'" in model.history[1].messages[-1].text
    assert reply.usage.calls == 2
    stubborn = ScriptedModel(["Action: add {}", "Action: add {}"])
    (reply,) = await complete(stubborn, Request(ASK, tools=(ADD, LAMP)))
    assert (reply.message.text, reply.message.tool_calls) == ("Action: add {}", ())


async def test_one_call_where_the_caller_wants_one() -> None:
    model = ScriptedModel(['Action: add {"a": 1}\nAction: add {"a": 2}'])
    (reply,) = await complete(model, Request(ASK, tools=(ADD,), parallel=False))
    assert made(reply.message) == [("add", {"a": 1})]


async def test_a_call_that_must_be_made_is_made() -> None:
    """Told first, then forced: the tool by choice, its arguments by their schema."""

    def talk(messages: tuple[Message, ...]) -> str:
        last = messages[-1].text
        return '{"state": "off"}' if "arguments of lamp" in last else "lamp" if len(messages) == 1 else "No."

    model = FunctionModel(talk)
    (reply,) = await complete(model, Request(ASK, tools=(ADD, LAMP), must_call=True))
    assert made(reply.message) == [("lamp", {"state": "off"})]
    assert "one of these tools has to be called: add, lamp" in model.history[1].messages[-1].text
    assert model.history[2].choices == ("add", "lamp")
    assert model.history[3].schema == LAMP.parameters
    assert reply.usage.calls == 4
    assert reply.finish == "tool_calls"


async def test_a_model_that_cannot_is_an_error_not_an_answer() -> None:
    mute = FunctionModel(lambda _: "No.")
    with pytest.raises(ModelError, match="made no call that can be used"):
        await complete(mute, Request(ASK, tools=(LAMP,), must_call=True))


async def pieces(model: Model, request: Request) -> tuple[list[str], Message]:
    deltas: list[Delta] = [delta async for delta in stream(model, request)]
    assert deltas[-1].reply is not None
    return [delta.text for delta in deltas if delta.text], deltas[-1].reply.message


async def test_in_a_stream_words_come_as_they_are_said_and_calls_at_the_end() -> None:
    model = ScriptedModel(['Let me see.\nAction: add {"a": 1}', "just words", "hm", "never"])
    said, message = await pieces(model, Request(ASK, tools=(ADD, LAMP)))
    assert "".join(said).strip() == "Let me see."
    assert len(said) > 1
    assert made(message) == [("add", {"a": 1})]
    said, message = await pieces(model, Request(ASK, tools=(ADD, LAMP)))
    assert (said, message.tool_calls) == (["just", " words"], ())


class Silent(FunctionModel):
    """Streams nothing: must not be asked to."""

    async def stream(self, request: Request) -> AsyncIterator[Delta]:
        raise AssertionError("streamed")
        yield Delta()


async def test_a_call_that_must_be_made_comes_whole() -> None:
    said, message = await pieces(
        Silent(lambda _: 'Action: add {"a": 1}'), Request(ASK, tools=(ADD,), must_call=True)
    )
    assert (said, made(message)) == ([], [("add", {"a": 1})])


@pytest.fixture
def service() -> Iterator[Service]:
    running = Service()
    yield running
    running.close()


def hosted(service: Service, *, native_tools: bool = True) -> LiteModel:
    return LiteModel("openai/test", api_base=service.url, settings=ModelSettings(native_tools=native_tools))


async def test_a_hosted_model_is_asked_in_its_own_way_and_held_to_it(service: Service) -> None:
    """`tool_choice` on the wire; where the server does not know it or the model does not obey, in words."""
    call = {"id": "x", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    service.script = [fails(400, "tool_choice is unknown"), says("No."), says("", calls=[call])]
    request = Request(ASK, tools=(ADD, LAMP), must_call=True, parallel=False)
    (reply,) = await complete(hosted(service), request)
    assert made(reply.message) == [("add", {"a": 1})]
    first, second, third = service.requests
    assert (first["tool_choice"], first["parallel_tool_calls"]) == ("required", False)
    assert "tool_choice" not in second
    assert "Answer with a call" in second["messages"][-1]["content"]
    assert "has to be called" in third["messages"][-2]["content"]


async def test_a_hosted_model_without_tools_is_told_how_to_call_them(service: Service) -> None:
    service.script = [says('Action: lamp {"state": "on"}\nAction: add {"a": 2}')]
    (reply,) = await complete(hosted(service, native_tools=False), Request(ASK, tools=(ADD, LAMP)))
    assert made(reply.message) == [("lamp", {"state": "on"}), ("add", {"a": 2})]
    told = service.requests[0]["messages"][-1]["content"]
    assert 'Action: tool_name {"argument": "value"}' in told


@pytest.fixture(scope="module")
def bundled() -> Iterator[LocalModel]:
    model = LocalModel.load(BUNDLED, name="local:tiny")
    yield model
    model.close()


async def test_the_bundled_model_calls_what_it_must_by_likelihood(bundled: LocalModel) -> None:
    """It was never told of tools: the name is its choice among the names, each field among its values."""
    fan = replace(LAMP, name="fan")
    ask = (Message("user", "the lamp is off."),)
    request = Request(ask, tools=(LAMP, fan), must_call=True)
    (reply,) = await complete(bundled, request)
    ((name, arguments),) = made(reply.message)
    assert name in {"lamp", "fan"}
    assert arguments["state"] in {"on", "off"}
    (again,) = await complete(bundled, request)
    assert made(again.message) == made(reply.message)
    free = ToolSpec(
        "free",
        "",
        {"type": "object", "properties": {"x": {"type": "string", "minLength": 900}}, "required": ["x"]},
    )
    with pytest.raises(ModelError, match="does not satisfy the schema"):
        await complete(bundled, Request(ask, tools=(free,), must_call=True))


async def test_native_calls_are_left_alone_where_none_must_be_made() -> None:
    call = ToolCall("n", "elsewhere", {"x": 1})
    model = ScriptedModel([Message("assistant", tool_calls=(call,))])
    (reply,) = await complete(model, Request(ASK, tools=(ADD,)))
    assert reply.message.tool_calls == (call,)
