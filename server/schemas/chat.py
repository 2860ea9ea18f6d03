"""Requests in OpenAI's chat format, as far as it is understood; unknown fields are ignored."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from agent.types import ToolSpec
from memory.errors import BadInput
from memory.types import Image, Message, Text, ToolCall


class _In(BaseModel):
    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)


class TextPart(_In):
    """Text."""

    type: Literal["text"]
    text: str


class ImageUrl(_In):
    """Where an image is."""

    url: Annotated[str, Field(pattern=r"^(https://|data:image/[\w.+-]+;base64,)")]
    """An https URL, or the image itself as a data URL."""
    detail: Literal["auto", "low", "high"] = "auto"


class ImagePart(_In):
    """An image, passed on to the model unchanged."""

    type: Literal["image_url"]
    image_url: ImageUrl


class FunctionCall(_In):
    """A function and its arguments as JSON text."""

    name: str
    arguments: str


class ToolCallIn(_In):
    """A tool call of an earlier answer, sent back."""

    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class MessageIn(_In):
    """One turn of the conversation so far."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Annotated[TextPart | ImagePart, Field(discriminator="type")]] | None = None
    tool_calls: list[ToolCallIn] = []
    tool_call_id: str | None = None

    def to_message(self) -> Message:
        """As the other rooms know it. Raises BadInput when a call's arguments are no JSON object."""
        content = self.content
        parts = content if isinstance(content, str) else tuple(map(_part, content or ()))
        calls = tuple(ToolCall(call.id, call.function.name, _arguments(call)) for call in self.tool_calls)
        role = "system" if self.role == "developer" else self.role
        return Message(role, parts or "", tool_calls=calls, tool_call_id=self.tool_call_id)


class FunctionIn(_In):
    """A function the caller offers to run."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    description: str = ""
    parameters: dict[str, JsonValue] = {"type": "object", "properties": {}}


class ToolIn(_In):
    """A tool on the caller's side: calls are returned, not run here."""

    type: Literal["function"]
    function: FunctionIn


class ToolChoice(_In):
    """The one tool that may be called."""

    type: Literal["function"]
    function: dict[Literal["name"], str]


class JsonSchemaIn(_In):
    """A named JSON Schema."""

    name: str = "answer"
    schema_: Annotated[dict[str, JsonValue], Field(alias="schema")]


class ResponseFormat(_In):
    """Form of the answer."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaIn | None = None


class StreamOptions(_In):
    """What a stream tells besides text."""

    include_usage: bool = False


class ChatRequest(_In):
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
