"""Requests in OpenAI's chat format. What cannot be honoured and would change the answer is refused in words;
other fields that are unknown here (`user`, `metadata`, `store`, `service_tier`, …) are ignored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    Tag,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError

from agent.types import Request, ToolSpec
from memory.errors import BadInput
from memory.types import Image, Message, Text, ToolCall

_REMEDIES: Mapping[str, str] = {
    "logprobs": "no log-probabilities are given here: leave it out",
    "top_logprobs": "no log-probabilities are given here: leave it out",
    "logit_bias": "tokens cannot be weighed here: ask in words, or for a form by a JSON schema",
    "modalities": "answers are text alone here: ask for ['text']",
    "audio": "answers are text alone here: leave it out",
    "functions": "functions are offered as `tools` here",
    "function_call": "which function is called is said by `tool_choice` here",
    "web_search_options": "nothing is searched here: offer a tool that searches",
    "background": "answers are waited for here: submit work for later as a task, POST /v1/tasks",
    "conversation": "conversations go on by previous_response_id, or under /v1/rollout/{id}",
    "prompt": "no prompts are kept here: send `instructions` and `input`",
}
_NOTHING: tuple[JsonValue, ...] = (None, False, 0, [], {}, ["text"], "none", "auto")


def _refuse(value: JsonValue, info: ValidationInfo) -> JsonValue:
    if value not in _NOTHING:
        raise PydanticCustomError("not_served", "{remedy}", {"remedy": _REMEDIES[info.field_name or ""]})
    return None


NotServed = Annotated[JsonValue, AfterValidator(_refuse)]
"""A field that changes the answer and cannot be honoured: refused unless it asks for nothing."""


class In(BaseModel):
    """What clients of OpenAI send; fields that are unknown here are ignored."""

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _left_out(cls, value: object) -> object:
        """Null is the same as left out: clients send either."""
        if not isinstance(value, dict):
            return value
        return {name: one for name, one in value.items() if one is not None}


class TextPart(In):
    """Text."""

    type: Literal["text"]
    text: str


class ImageUrl(In):
    """Where an image is."""

    url: Annotated[str, Field(pattern=r"^(https://|data:image/[\w.+-]+;base64,)")]
    """An https URL, or the image itself as a data URL."""
    detail: Literal["auto", "low", "high"] = "auto"


class ImagePart(In):
    """An image, passed on to the model unchanged."""

    type: Literal["image_url"]
    image_url: ImageUrl


class FunctionCall(In):
    """A function and its arguments as JSON text."""

    name: str
    arguments: str


def form_of(content: object) -> Literal["words", "parts"]:
    """Which of both forms it is meant to be, so that what is wrong is told of that form."""
    return "words" if isinstance(content, str) else "parts"


class ToolCallIn(In):
    """A tool call of an earlier answer, sent back."""

    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class MessageIn(In):
    """One turn of the conversation so far."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Annotated[
        Annotated[str, Tag("words")]
        | Annotated[list[Annotated[TextPart | ImagePart, Field(discriminator="type")]], Tag("parts")],
        Discriminator(form_of),
    ] = ""
    tool_calls: list[ToolCallIn] = []
    tool_call_id: str | None = None

    def to_message(self) -> Message:
        """As the other rooms know it. Raises BadInput when a call's arguments are no JSON object."""
        content = self.content
        parts = content if isinstance(content, str) else tuple(map(_part, content))
        calls = tuple(ToolCall(call.id, call.function.name, _arguments(call)) for call in self.tool_calls)
        role = "system" if self.role == "developer" else self.role
        return Message(role, parts or "", tool_calls=calls, tool_call_id=self.tool_call_id)


class FunctionIn(In):
    """A function the caller offers to run."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    description: str = ""
    parameters: dict[str, JsonValue] = {"type": "object", "properties": {}}


class ToolIn(In):
    """A tool on the caller's side: calls are returned, not run here."""

    type: Literal["function"]
    function: FunctionIn


class ToolChoice(In):
    """The one tool that may be called."""

    type: Literal["function"]
    function: dict[Literal["name"], str]


class JsonSchemaIn(In):
    """A named JSON Schema."""

    name: str = "answer"
    schema_: Annotated[dict[str, JsonValue], Field(alias="schema")]


class ResponseFormat(In):
    """Form of the answer."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaIn | None = None


class StreamOptions(In):
    """What a stream tells besides text."""

    include_usage: bool = False


class ChatRequest(In):
    """A chat completion request."""

    model: str | None = None
    """A name from `GET /v1/models`; the server's default when left out."""
    messages: Annotated[list[MessageIn], Field(min_length=1)]
    """The conversation; memory is recalled for its last user message."""
    tools: list[ToolIn] = []
    """Tools of the caller. Calls come back in the answer; send their results in the next request."""
    tool_choice: Literal["none", "auto", "required"] | ToolChoice = "auto"
    """`none` hides the tools; `required` is answered by a call of one of them, a name by a call of that."""
    parallel_tool_calls: bool = True
    """False: at most one call in an answer."""
    n: Annotated[int, Field(ge=1, le=16)] = 1
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    """0, always the same answer, is the default here."""
    max_tokens: Annotated[int | None, Field(ge=1)] = None
    max_completion_tokens: Annotated[int | None, Field(ge=1)] = None
    stop: str | list[str] | None = None
    seed: int | None = None
    response_format: ResponseFormat | None = None
    logprobs: NotServed = None
    top_logprobs: NotServed = None
    logit_bias: NotServed = None
    modalities: NotServed = None
    audio: NotServed = None
    functions: NotServed = None
    function_call: NotServed = None
    web_search_options: NotServed = None

    def to_request(self) -> Request:
        """The conversation and how it is to be answered. Raises BadInput."""
        return Request(
            tuple(message.to_message() for message in self.messages),
            tools=self.tool_specs(),
            must_call=self.must_call(),
            parallel=self.parallel_tool_calls,
            n=self.n,
            stop=(self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ()),
            schema=self.answer_schema(),
            max_tokens=self.max_completion_tokens or self.max_tokens,
            temperature=self.temperature,
            seed=self.seed,
        )

    def tool_specs(self) -> tuple[ToolSpec, ...]:
        """The tools the model may call. Raises BadInput when the chosen one is not offered."""
        if self.tool_choice == "none":
            return ()
        specs = tuple(
            ToolSpec(t.function.name, t.function.description, t.function.parameters) for t in self.tools
        )
        if isinstance(self.tool_choice, ToolChoice):
            wanted = self.tool_choice.function["name"]
            specs = tuple(spec for spec in specs if spec.name == wanted)
            if not specs:
                raise BadInput(f"tool_choice names {wanted!r}, which is not among the tools")
        return specs

    def must_call(self) -> bool:
        """Has a tool to be called? Raises BadInput when one has to and none is offered."""
        must = self.tool_choice == "required" or isinstance(self.tool_choice, ToolChoice)
        if must and not self.tools:
            raise BadInput("tool_choice asks for a call, and there are no tools")
        return must

    def answer_schema(self) -> dict[str, JsonValue] | None:
        """The JSON Schema the answer must satisfy. Raises BadInput when one is announced but missing."""
        form = self.response_format
        if form is None or form.type == "text":
            return None
        if form.type == "json_object":
            return {"type": "object"}
        if form.json_schema is None:
            raise BadInput("response_format 'json_schema' needs a json_schema")
        return form.json_schema.schema_


def _part(part: TextPart | ImagePart) -> Text | Image:
    if isinstance(part, TextPart):
        return Text(part.text)
    return Image(part.image_url.url, part.image_url.detail)


def _arguments(call: ToolCallIn) -> dict[str, JsonValue]:
    try:
        value = json.loads(call.function.arguments or "{}")
    except ValueError as error:
        raise BadInput(f"the arguments of tool call {call.id!r} are not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadInput(f"the arguments of tool call {call.id!r} are not a JSON object")
    return value
