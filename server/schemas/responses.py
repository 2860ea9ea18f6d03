"""Requests in OpenAI's responses format, over the same conversation as chat completions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, JsonValue, Tag

from agent.types import Request, ToolSpec
from memory.errors import BadInput
from memory.types import Image, Message, Text, ToolCall
from server.schemas.chat import In, NotServed, form_of


class TextPart(In):
    """Text of whoever speaks."""

    type: Literal["input_text", "output_text", "text"]
    text: str


class RefusalPart(In):
    """Text of a model that would not."""

    type: Literal["refusal"]
    refusal: str


class ImagePart(In):
    """An image, passed on to the model unchanged."""

    type: Literal["input_image"]
    image_url: Annotated[str, Field(pattern=r"^(https://|data:image/[\w.+-]+;base64,)")]
    """An https URL, or the image itself as a data URL."""
    detail: Literal["auto", "low", "high"] = "auto"


Part = Annotated[TextPart | RefusalPart | ImagePart, Field(discriminator="type")]
Content = Annotated[
    Annotated[str, Tag("words")] | Annotated[list[Part], Tag("parts")], Discriminator(form_of)
]


class MessageItem(In):
    """One turn in words."""

    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: Content = ""


class CallItem(In):
    """A call of an earlier answer, sent back."""

    type: Literal["function_call"]
    call_id: str
    name: str
    arguments: str = "{}"


class ResultItem(In):
    """What a call brought."""

    type: Literal["function_call_output"]
    call_id: str
    output: Content = ""


class ThoughtItem(In):
    """Reasoning of another model; left out."""

    type: Literal["reasoning"]


def _kind(item: Any) -> str:
    """A message may go without its type."""
    found = item.get("type") if isinstance(item, dict) else getattr(item, "type", None)
    return str(found or "message")


Item = Annotated[
    Annotated[MessageItem, Tag("message")]
    | Annotated[CallItem, Tag("function_call")]
    | Annotated[ResultItem, Tag("function_call_output")]
    | Annotated[ThoughtItem, Tag("reasoning")],
    Discriminator(
        _kind,
        custom_error_type="not_served",
        custom_error_message="of items, only message, function_call, function_call_output and reasoning are "
        "known here: send things themselves, or name what was before by previous_response_id",
    ),
]


def _nothing() -> dict[str, JsonValue]:
    return {"type": "object", "properties": {}}


class FunctionIn(In):
    """A function on the caller's side: calls are returned, not run here. Built-in tools are not served."""

    type: Literal["function"]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    description: str = ""
    parameters: dict[str, JsonValue] = Field(default_factory=_nothing)


class NamedFunction(In):
    """The one function that may be called."""

    type: Literal["function"]
    name: str


class TextFormat(In):
    """Form of the answer."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    name: str = "answer"
    schema_: Annotated[dict[str, JsonValue] | None, Field(alias="schema")] = None


class TextIn(In):
    """How the answer is written."""

    format: TextFormat = TextFormat()


class ResponseRequest(In):
    """What is to be answered, and what went before."""

    model: str | None = None
    """A name from `GET /v1/models`; the server's default when left out."""
    input: Annotated[
        Annotated[str, Tag("words")] | Annotated[list[Item], Field(min_length=1), Tag("parts")],
        Discriminator(form_of),
    ]
    """Words of the user, or items: messages, calls of earlier answers and what they brought."""
    instructions: str | None = None
    """A system message for this answer alone: it does not go on with `previous_response_id`."""
    previous_response_id: str | None = None
    """The stored response that this one goes on from."""
    tools: list[FunctionIn] = Field(default_factory=list)
    """Functions of the caller. Calls come back as items; send what they bring in the next request."""
    tool_choice: Literal["none", "auto", "required"] | NamedFunction = "auto"
    parallel_tool_calls: bool = True
    text: TextIn = TextIn()
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    """0, always the same answer, is the default here."""
    max_output_tokens: Annotated[int | None, Field(ge=1)] = None
    stream: bool = False
    store: bool = True
    """Keep it to be retrieved and gone on from. An episode is recorded either way, unless memory is `off`."""
    metadata: dict[str, str] = Field(default_factory=dict)
    """Kept with it."""
    top_logprobs: NotServed = None
    background: NotServed = None
    conversation: NotServed = None
    prompt: NotServed = None

    def added(self) -> tuple[Message, ...]:
        """The input as messages; calls belong to the words before them. Raises BadInput."""
        if isinstance(self.input, str):
            return (Message("user", self.input),)
        return tuple(_joined(_message(item) for item in self.input if not isinstance(item, ThoughtItem)))

    def to_request(self, before: Sequence[Message]) -> Request:
        """The whole conversation and how it is to be answered. Raises BadInput."""
        system = (Message("system", self.instructions),) if self.instructions else ()
        must = self.tool_choice == "required" or isinstance(self.tool_choice, NamedFunction)
        if must and not self.tools:
            raise BadInput("tool_choice asks for a call, and there are no tools")
        return Request(
            (*system, *before, *self.added()),
            tools=self._specs(),
            must_call=must,
            parallel=self.parallel_tool_calls,
            schema=self._schema(),
            max_tokens=self.max_output_tokens,
            temperature=self.temperature,
        )

    def _specs(self) -> tuple[ToolSpec, ...]:
        if self.tool_choice == "none":
            return ()
        specs = tuple(ToolSpec(tool.name, tool.description, tool.parameters) for tool in self.tools)
        if isinstance(self.tool_choice, NamedFunction):
            wanted = self.tool_choice.name
            specs = tuple(spec for spec in specs if spec.name == wanted)
            if not specs:
                raise BadInput(f"tool_choice names {wanted!r}, which is not among the tools")
        return specs

    def _schema(self) -> dict[str, JsonValue] | None:
        form = self.text.format
        if form.type == "json_schema" and form.schema_ is None:
            raise BadInput("text.format 'json_schema' needs a schema")
        if form.type == "json_object":
            return {"type": "object"}
        return form.schema_ if form.type == "json_schema" else None


def _message(item: MessageItem | CallItem | ResultItem | ThoughtItem) -> Message:
    match item:
        case MessageItem():
            role = "system" if item.role == "developer" else item.role
            return Message(role, _content(item.content))
        case CallItem():
            call = ToolCall(item.call_id, item.name, _arguments(item))
            return Message("assistant", "", tool_calls=(call,))
        case ResultItem():
            return Message("tool", _content(item.output), tool_call_id=item.call_id)
    raise AssertionError(item)


def _joined(messages: Iterable[Message]) -> list[Message]:
    """An answer in words and its calls, which are items of their own, as the one message they were."""
    found: list[Message] = []
    for one in messages:
        if found and one.tool_calls and found[-1].role == "assistant":
            found[-1] = replace(found[-1], tool_calls=(*found[-1].tool_calls, *one.tool_calls))
        else:
            found.append(one)
    return found


def _content(content: str | list[Part]) -> str | tuple[Text | Image, ...]:
    if isinstance(content, str):
        return content
    parts = tuple(_part(part) for part in content)
    if all(isinstance(part, Text) for part in parts):
        return "".join(part.text for part in parts if isinstance(part, Text))
    return parts


def _part(part: TextPart | RefusalPart | ImagePart) -> Text | Image:
    if isinstance(part, ImagePart):
        return Image(part.image_url, part.detail)
    return Text(part.refusal if isinstance(part, RefusalPart) else part.text)


def _arguments(item: CallItem) -> dict[str, JsonValue]:
    try:
        value = json.loads(item.arguments or "{}")
    except ValueError as error:
        raise BadInput(f"the arguments of call {item.call_id!r} are not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadInput(f"the arguments of call {item.call_id!r} are not a JSON object")
    return value
