"""One row as other trainers read it. Pure: rows in, entries for lines of JSON out."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from agent.models.wire import tools_to_wire
from distill.dataset import entry_of
from distill.types import Row
from memory.errors import DistillError
from memory.types import Message

Entry: TypeAlias = dict[str, Any]
View: TypeAlias = Callable[[Row], Iterator[Entry]]


def steps(row: Row) -> Iterator[Entry]:
    """`prompt`, `completion` of one message and its `weight`, for every message that trains."""
    for at, message in enumerate(row.messages):
        if message.role == "assistant" and (message.weight or 0.0) > 0:
            yield {**_answered(row, at, message), "weight": float(message.weight or 0.0)}


def pairs(row: Row) -> Iterator[Entry]:
    """`prompt`, `chosen`, `rejected`, of rows that have a worse answer."""
    if row.rejected is not None:
        told = _answered(row, len(row.messages) - 1, row.messages[-1])
        chosen = told.pop("completion")
        yield {**told, "chosen": chosen, "rejected": [_plain(row.rejected)]}


def unpaired(row: Row) -> Iterator[Entry]:
    """`prompt`, `completion`, `label`: the sign of the last message's weight, or both answers of a pair."""
    last = len(row.messages) - 1
    if row.messages[last].role != "assistant":
        return
    label = row.rejected is not None or (row.messages[last].weight or 0.0) > 0
    yield {**_answered(row, last, row.messages[last]), "label": label}
    if row.rejected is not None:
        yield {**_answered(row, last, row.rejected), "label": False}


def privileged(row: Row) -> Iterator[Entry]:
    """`prompt` without what memory showed, and that as `privileged_context`; where it showed something."""
    first = next((at for at, one in enumerate(row.messages) if one.role == "assistant"), None)
    opening = row.messages[:first]
    shown = [one.text for one in opening if one.kind == "memory"]
    asked = [_plain(one) for one in opening if one.kind != "memory"]
    if shown and asked:
        yield {"prompt": asked, "privileged_context": "\n\n".join(shown)}


def turns(row: Row) -> Iterator[Entry]:
    """LLaMA-Factory: `messages` that end with a trained one; with `mask_history` the others are context."""
    for step in steps(row):
        yield {"messages": _alternating([*step["prompt"], *step["completion"]])}


def ranked(row: Row) -> Iterator[Entry]:
    """LLaMA-Factory with `ranking`: `messages`, `chosen`, `rejected`, one message each."""
    for pair in pairs(row):
        yield {
            "messages": _alternating(pair["prompt"]),
            **{name: _worded(pair[name][0]) for name in ("chosen", "rejected")},
        }


def labelled(row: Row) -> Iterator[Entry]:
    """LLaMA-Factory with `kto_tag`: `messages` and `label`."""
    for one in unpaired(row):
        yield {"messages": _alternating([*one["prompt"], *one["completion"]]), "label": one["label"]}


def weighted(row: Row) -> Iterator[Entry]:
    """LLaMA-Factory from v1: each message with `loss_weight`, its content in parts."""
    yield {
        "messages": [
            {
                "role": message.role,
                "content": [{"type": "text", "value": _worded(_plain(message))["content"]}],
                "loss_weight": max(0.0, float(message.weight or 0.0)),
            }
            for message in row.messages
        ]
    }


def resampled(entries: Iterable[Entry], seed: int, unit: float = 1.0) -> Iterator[Entry]:
    """For trainers that know no weights: each entry floor(w / unit) times or once more, `weight` left out.

    Systematic resampling: one draw decides all, so that counts add up to the sum of weights within one and
    each entry's expectation is w / unit.
    """
    at, ticks = random.Random(seed).random(), 0.0
    for entry in entries:
        ticks += entry["weight"] / unit
        while at < ticks:
            yield {name: value for name, value in entry.items() if name != "weight"}
            at += 1.0


def gated(template: str) -> str:
    """The chat template whose generation marks leave out assistant messages of weight 0.

    With it `assistant_only_loss=True` of TRL obeys the weights. Raises DistillError where it has no marks.
    """
    loop = re.search(r"for\s+(\w+)\s+in\s+messages", template)
    marks = r"(\{%-?\s*generation\s*-?%\})(.*?)(\{%-?\s*endgeneration\s*-?%\})"
    if loop is None or re.search(marks, template, re.DOTALL) is None:
        raise DistillError("the chat template has no generation marks; TRL masks by them: use tokens.parquet")
    weight = f"{loop[1]}.get('weight')"

    def gate(found: re.Match[str]) -> str:
        begin, body, end = found.groups()
        trains = f"{{%- if {weight} is none or {weight} > 0 -%}}"
        return f"{trains}{begin}{body}{end}{{%- else -%}}{body}{{%- endif -%}}"

    return re.sub(marks, gate, template, flags=re.DOTALL)


def _answered(row: Row, at: int, answer: Message) -> Entry:
    """What stands before message `at`, and an answer to it."""
    return {
        "prompt": [_plain(one) for one in row.messages[:at]],
        "completion": [_plain(answer)],
        "tools": json.dumps(tools_to_wire(row.tools), sort_keys=True),
    }


def _plain(message: Message) -> Entry:
    """A message on the wire; tables want the same columns everywhere, so the weight goes beside."""
    entry = entry_of(replace(message, weight=0.0))
    del entry["weight"]
    return entry


def _worded(entry: Entry) -> Entry:
    """Role and text; calls in words, as models of the full style are taught."""
    calls = [
        f"Action: {call['function']['name']} {call['function']['arguments']}"
        for call in entry.get("tool_calls", ())
    ]
    return {"role": entry["role"], "content": "\n".join(filter(None, [entry["content"], *calls]))}


def _alternating(entries: Sequence[Entry]) -> list[Entry]:
    """User and assistant in turn, after a system message: what neighbours say is joined."""
    told: list[Entry] = []
    for entry in map(_worded, entries):
        role = entry["role"] if entry["role"] in ("system", "assistant") else "user"
        if told and told[-1]["role"] == role:
            told[-1]["content"] += f"\n\n{entry['content']}"
        else:
            told.append({"role": role, "content": entry["content"]})
    return told
