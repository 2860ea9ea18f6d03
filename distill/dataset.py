"""Datasets as files: `messages.jsonl` with a weight on every message, and a manifest of where it is from.

The lines load in TRL, in axolotl (`message_field_training: weight`) and, with weights of 0 and 1, in services
that take OpenAI's fine-tuning format.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from agent.models.wire import tools_to_wire
from agent.types import ToolSpec
from distill.types import Dataset, Recipe, Row
from memory.codec import from_json, to_json
from memory.errors import DistillError
from memory.types import Message


def row_key(row: Row) -> tuple[str, tuple[int, ...], str, tuple[str, ...], str]:
    """The order of rows in a file."""
    # Shapes may write more than one row of the same messages: then their words decide.
    words = hashlib.sha256("\n".join(m.text for m in row.messages).encode()).hexdigest()
    return (row.episode, row.indices, row.stream, row.also, words)


def to_line(row: Row) -> str:
    """One row as a line of JSON, the same bytes for the same row."""
    data = {
        "id": hashlib.sha256(repr(row_key(row)).encode()).hexdigest()[:16],
        "messages": [entry_of(message) for message in row.messages],
        # Text, because a table of nested values of changing types does not load; TRL reads it so.
        "tools": json.dumps(tools_to_wire(row.tools), sort_keys=True),
        "meta": {
            "episode": row.episode,
            "indices": list(row.indices),
            "stream": row.stream,
            "has_memory": row.has_memory,
            "source": json.dumps([to_json(message) for message in row.messages], sort_keys=True),
            "specs": json.dumps([to_json(tool) for tool in row.tools], sort_keys=True),
            "rejected": "" if row.rejected is None else json.dumps(to_json(row.rejected), sort_keys=True),
            "also": list(row.also),
        },
    }
    return json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":")) + "\n"


def from_line(line: str) -> Row:
    """The row of a line. Raises DistillError."""
    try:
        meta = json.loads(line)["meta"]
        messages = tuple(from_json(Message, message) for message in json.loads(meta["source"]))
        tools = tuple(from_json(ToolSpec, tool) for tool in json.loads(meta["specs"]))
        rejected = from_json(Message, json.loads(meta["rejected"])) if meta["rejected"] else None
        also = tuple(meta["also"])
        return Row(meta["episode"], messages, tuple(meta["indices"]), meta["stream"], tools, rejected, also)
    except (ValueError, KeyError, TypeError) as error:
        raise DistillError(f"not a dataset row: {line[:80]!r}: {error}") from error


def write(dataset: Dataset, recipe: Recipe, folder: Path) -> None:
    """Write `messages.jsonl` and `manifest.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "messages.jsonl").open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(map(to_line, dataset.rows))
    manifest = {
        "hash": dataset.hash,
        "recipe": dataset.recipe,
        "objective": dataset.objective,
        "method": repr(recipe),
        "seed": dataset.seed,
        "namespace": dataset.namespace,
        "rows": len(dataset.rows),
        "episodes": list(dataset.episodes),
        "rejected": [{"episode": r.episode, "reason": r.reason} for r in dataset.rejected],
        "prompt_prefix": recipe.prompt_prefix,
    }
    text = json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False)
    (folder / "manifest.json").write_text(text + "\n", encoding="utf-8")


def read_rows(folder: Path) -> tuple[Row, ...]:
    """The rows of a written dataset. Raises DistillError."""
    return tuple(map(from_line, read_lines(folder)))


def read_lines(folder: Path) -> tuple[str, ...]:
    """The lines of a written dataset. Raises DistillError."""
    try:
        text = (folder / "messages.jsonl").read_text(encoding="utf-8")
    except OSError as error:
        raise DistillError(f"no dataset in {str(folder)!r}: {error}") from error
    return tuple(line for line in text.split("\n") if line)


def entry_of(message: Message) -> dict[str, Any]:
    """A message on the wire, with its weight."""
    entry: dict[str, Any] = {
        "role": message.role,
        "content": message.text,
        "weight": float(message.weight or 0.0),
    }
    if message.tool_calls:
        entry["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments, sort_keys=True)},
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        entry["tool_call_id"] = message.tool_call_id
    return entry
