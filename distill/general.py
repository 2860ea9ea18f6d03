"""What the base can do and is to keep: conversations beside memory, for recipes that mix them in.

A file of JSON lines, each `{"messages": [{"role", "content"}, …]}` as services take it for fine-tuning; a
model's folder may bring one, `general.jsonl`.
Whoever has none lets the base answer prompts itself, so that training on them moves it the least:
`python -m distill.general PROMPTS --base FOLDER --out FILE`.
Source: AgentTuning (arXiv 2310.12823), a fifth agent and four fifths general; its own answers in the place of
others' are ours.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.types import Model, Request
from distill.types import Row
from memory.errors import DistillError
from memory.types import Message, Role

GENERAL = "general.jsonl"
"""In a model's folder: what a job takes that names no other file."""


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    role: Role
    content: str
    weight: float = Field(default=1.0, ge=0)

    def message(self) -> Message:
        return Message(self.role, self.content, weight=self.weight if self.role == "assistant" else 0.0)


class _Conversation(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")
    messages: tuple[_Said, ...] = Field(min_length=1)


def read_general(path: Path) -> tuple[Row, ...]:
    """The conversations of a file: what the assistant says trains, of no episode. Raises DistillError."""
    rows = [Row("", messages, tuple(range(-len(messages), 0))) for messages in _read(path)]
    empty = [number for number, row in enumerate(rows, 1) if row.is_empty]
    if empty:
        raise DistillError(
            f"{str(path)!r}, line {empty[0]}: the assistant says nothing that has weight; have it answered "
            "with `python -m distill.general`"
        )
    return tuple(rows)


async def answered(model: Model, prompts: Sequence[Sequence[Message]]) -> list[tuple[Message, ...]]:
    """Each prompt with the model's own answer behind it, greedy."""
    replies = await asyncio.gather(*(model.complete(Request(tuple(prompt))) for prompt in prompts))
    return [
        (*prompt, Message("assistant", reply.message.text, weight=1.0))
        for prompt, (reply, *_) in zip(prompts, replies, strict=True)
    ]


def write_general(path: Path, conversations: Iterable[Sequence[Message]]) -> None:
    """One conversation a line."""
    lines = [
        {
            "messages": [
                {"role": one.role, "content": one.text, "weight": one.weight or 0.0} for one in messages
            ]
        }
        for messages in conversations
    ]
    path.write_text("".join(json.dumps(one) + "\n" for one in lines), encoding="utf-8")


def _read(path: Path) -> list[tuple[Message, ...]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DistillError(f"no conversations in {str(path)!r}: {error}") from error
    found = []
    for number, line in enumerate(lines, 1):
        try:
            told = _Conversation.model_validate_json(line)
        except ValidationError as error:
            fault = error.errors()[0]["msg"]
            raise DistillError(
                f'{str(path)!r}, line {number} is no {{"messages": [{{"role", "content"}}]}}: {fault}'
            ) from error
        found.append(tuple(said.message() for said in told.messages))
    if not found:
        raise DistillError(f"{str(path)!r} holds no conversation")
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line. Raises DistillError, ModelError."""
    parser = argparse.ArgumentParser(prog="python -m distill.general", description=answered.__doc__)
    parser.add_argument("prompts", type=Path, help="JSON lines whose messages end with the user's")
    parser.add_argument("--base", type=Path, required=True, help="model folder")
    parser.add_argument("--out", type=Path, required=True, help="JSON lines that are written")
    given = parser.parse_args(arguments)
    from agent.models.local.model import LocalModel  # imports torch

    prompts = _read(given.prompts)
    model = LocalModel.load(given.base, name=given.base.name)
    try:
        told = asyncio.run(answered(model, prompts))
    finally:
        model.close()
    write_general(given.out, told)


if __name__ == "__main__":
    main()
