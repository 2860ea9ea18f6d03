"""Text and tokens of a local model: chat template, tokenizer, stop marks. Serving and training share it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from jinja2 import TemplateError
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from transformers import AutoTokenizer

from agent.models.wire import describe_tools, to_wire
from agent.types import Style, ToolSpec
from memory.errors import BadInput, ModelError
from memory.types import Image, Message, Text


class ChatSettings(BaseModel):
    """`apprentice.json` of a model folder; every field may be left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    style: Style = "full"
    """`plain`: role and content only are rendered, tools never."""
    stop: tuple[str, ...] = ()
    """Texts that end an answer, besides the tokenizer's own end-of-sequence token."""
    max_tokens: int = Field(default=256, gt=0)
    """Length of an answer when the request names none."""
    context: int | None = Field(default=None, gt=0)
    """Longest prompt plus answer in tokens; the model's own limit when left out."""
    chooses: bool = False
    """Where the only tool lists what its only argument may be, the act is the most likely of these; tools are
    not told. For small models that were trained on acts alone."""
    settings: dict[str, JsonValue] = {}
    """How the model was trained: a record, read by nobody."""


@dataclass(frozen=True, slots=True)
class Chat:
    """The tokenizer and template of one model folder."""

    settings: ChatSettings
    stop_ids: frozenset[int]
    """Stop texts that are one token, and the end-of-sequence token."""
    stop_texts: tuple[str, ...]
    """The other stop texts."""
    end_id: int | None
    """The token that ends an answer in the template."""
    tokenizer: Any

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read `tokenizer.json`, the template and `apprentice.json`. Raises ModelError."""
        settings = _read_settings(folder / "apprentice.json")
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"no tokenizer could be read from {str(folder)!r}: {error}") from error
        if tokenizer.chat_template is None:
            raise ModelError(
                f"the tokenizer in {str(folder)!r} has no chat template; add chat_template.jinja"
            )
        single, texts = _split_stops(tokenizer, settings.stop)
        return cls(settings, frozenset(single), texts, next(iter(single), None), tokenizer)

    def prompt(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> list[int]:
        """Tokens of a conversation up to where the assistant begins to write. Raises BadInput."""
        return self.encode(self.render(messages, tools, is_prompt=True))

    def render(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec] = (), *, is_prompt: bool = False
    ) -> str:
        """The conversation as one text; a prompt ends with the assistant's marker. Raises BadInput."""
        try:
            text: str = self.tokenizer.apply_chat_template(
                _entries(messages, tools, self.settings.style),
                add_generation_prompt=is_prompt,
                tokenize=False,
            )
        except (TemplateError, ValueError) as error:
            raise BadInput(f"the chat template cannot render these messages: {error}") from error
        return text

    def encode(self, text: str) -> list[int]:
        """Tokens of a text as it stands, nothing added."""
        # Not verbose: lengths are checked where they matter, with a better message.
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return ids

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of written tokens, special ones left out."""
        text: str = self.tokenizer.decode(
            list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    def cut(self, text: str, stops: Sequence[str]) -> str | None:
        """The text before the first stop, or None where there is none."""
        found = [at for at in (text.find(stop) for stop in stops) if at >= 0]
        return text[: min(found)] if found else None


def _read_settings(path: Path) -> ChatSettings:
    if not path.exists():
        return ChatSettings()
    try:
        return ChatSettings.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ModelError(f"{str(path)!r} is not a valid model setting: {error}") from error


def _split_stops(tokenizer: Any, stops: Sequence[str]) -> tuple[list[int], tuple[str, ...]]:
    """Stops that are one token, the folder's own before the tokenizer's, and the others."""
    single: list[int] = []
    texts: list[str] = []
    for stop in stops:
        ids = tokenizer(stop, add_special_tokens=False)["input_ids"]
        if len(ids) == 1 and ids[0] != tokenizer.unk_token_id:
            single.append(int(ids[0]))
        else:
            texts.append(stop)
    if tokenizer.eos_token_id is not None:
        single.append(int(tokenizer.eos_token_id))
    return single, tuple(texts)


def _entries(messages: Sequence[Message], tools: Sequence[ToolSpec], style: Style) -> list[dict[str, Any]]:
    """What the template is given.

    Full style speaks of tools in words (`Action: name {json}`), because templates disagree on native calls,
    and joins neighbouring messages of one role, because many templates insist on turns.
    """
    for message in messages:
        # A tool may show what it likes; its text is read.
        if message.role != "tool" and not isinstance(message.content, str) and _shows(message.content):
            raise BadInput("a local model reads text only; leave the images out")
    texts = [replace(message, content=message.text) for message in messages]
    if style == "plain":
        return [{"role": message.role, "content": message.text} for message in texts]
    entries: list[dict[str, Any]] = []
    for entry in to_wire(_told_of(texts, tools), native_tools=False):
        if entries and entries[-1]["role"] == entry["role"]:
            entries[-1]["content"] += f"\n\n{entry['content']}"
        else:
            entries.append(dict(entry))
    return entries


def _shows(parts: Sequence[Text | Image]) -> bool:
    return any(isinstance(part, Image) for part in parts)


def _told_of(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> list[Message]:
    """The messages with the tools described in the system message."""
    if not tools:
        return list(messages)
    words = describe_tools(tools)
    if messages and messages[0].role == "system":
        return [replace(messages[0], content=f"{messages[0].text}\n\n{words}"), *messages[1:]]
    return [Message("system", words), *messages]
