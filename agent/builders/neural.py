"""The neural builder: a model reads episodes and the constitution, and says what to change.

A large model answers with typed operations. A small one is asked what it was trained on, the reflection on
each episode, and its rules are additions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from agent.builders.ops import Action, Built, Operation, Window, as_held, sifted, with_evidence
from agent.learning.reflect import reflect
from agent.models.schema import Unreadable, extract_json, first_violation
from agent.prompt import transcript
from agent.types import Model, Request
from memory.codec import from_json
from memory.errors import BadInput, ModelError
from memory.types import Draft, Episode, Evidence, Item, Json, Lineage, Message, PrincipleBody, Usage

_LONGEST_LOG = 80
"""Lines of one episode that are shown; of longer ones the first and the last half."""
_ACTIONS: Mapping[str, Action] = {"ADD": "add", "EDIT": "edit", "REMOVE": "retire", "KEEP": "keep"}
_ROW: dict[str, Json] = {
    "type": "object",
    "properties": {
        "op": {"enum": ["ADD", "EDIT", "REMOVE", "KEEP"]},
        "principle": {"type": "string"},
        "text": {"type": "string"},
        "evidence": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"episode": {"type": "string"}, "message": {"type": "integer"}},
                "required": ["episode", "message"],
                "additionalProperties": False,
            },
        },
        "why": {"type": "string"},
    },
    "required": ["op", "principle", "text", "evidence", "why"],
    "additionalProperties": False,
}
OPERATIONS_SCHEMA: dict[str, Json] = {
    "type": "object",
    "properties": {"operations": {"type": "array", "items": _ROW}},
    "required": ["operations"],
    "additionalProperties": False,
}
"""What a large model answers; `principle` and `text` are empty where an operation has none."""
_ASK = """You keep the constitution of an agent: a short list of principles that help it with later tasks.
Read the episodes and say what to change in it, at most {most} operations:
ADD a principle; EDIT one (its number and the new text); REMOVE one that is wrong or of no use;
KEEP one that was borne out again. What is left as it is needs no operation.
A principle is one imperative sentence. Say which failure it would have prevented in `why`.
Each operation cites the messages that bear it out, by episode and number: without evidence leave it out."""


async def propose(window: Window, model: Model, *, max_tokens: int, share: float, most: int) -> Built:
    """What the model would change, as far as its evidence holds; the rest is rejected and named.

    One call of a large model, one an episode of a small one. Never raises for what a model says or fails to.
    """
    if not window.learnable():
        return Built()
    if model.style == "plain":
        return await _reflected(window, model, max_tokens)
    request = Request(_asked(window, most), schema=OPERATIONS_SCHEMA, max_tokens=max_tokens)
    try:
        (reply,) = await model.complete(request)
    except (ModelError, BadInput) as error:  # BadInput: e.g. episodes too long for the context
        return Built(error=str(error))
    try:
        read, faults = parsed(reply.message.text, window)
    except Unreadable as error:
        return Built(usage=reply.usage, error=str(error))
    held, unfounded = sifted(read[:most], window, share)
    over = tuple(f"{one.action}: more than {most} operations" for one in read[most:])
    return Built(held, (*faults, *unfounded, *over), reply.usage)


def parsed(text: str, window: Window) -> tuple[tuple[Operation, ...], tuple[str, ...]]:
    """The operations in an answer, and what is wrong with the others. Raises Unreadable.

    What they cite is not checked here, only that it has been shown.
    """
    value = extract_json(text)
    match value:
        case {"operations": list(rows), **others} if not others:
            pass
        case _:
            raise Unreadable("the answer is not an object with `operations` alone")
    operations: list[Operation] = []
    faults: list[str] = []
    for row in rows:
        fault = first_violation(row, _ROW)
        if fault is None:
            operations.append(_operation(from_json(_Row, row), window))
        else:
            faults.append(fault)
    return tuple(operations), tuple(faults)


def _asked(window: Window, most: int) -> tuple[Message, ...]:
    principles = [f"P{number}: {item.text}" for number, item in enumerate(window.principles, 1)]
    logs = [_log(f"E{number}", episode) for number, episode in enumerate(window.learnable(), 1)]
    held = "\n".join(principles) or "(empty)"
    said = f"Constitution:\n{held}\n\n" + "\n\n".join(logs)
    return Message("system", _ASK.format(most=most)), Message("user", said)


def _log(name: str, episode: Episode) -> str:
    lines = [f"[{index}] {text}" for index, text in transcript(episode.messages)]
    if len(lines) > _LONGEST_LOG:
        half = _LONGEST_LOG // 2
        lines = [*lines[:half], "…", *lines[-half:]]
    head = f"{name} at {episode.family}, {episode.outcome}: {episode.task}"
    return "\n".join([head, *lines])


@dataclass(frozen=True, slots=True)
class _Row:
    """One operation as a model names it."""

    op: Literal["ADD", "EDIT", "REMOVE", "KEEP"]
    principle: str
    text: str
    evidence: tuple[Evidence, ...]
    why: str


def _operation(row: _Row, window: Window) -> Operation:
    """With the ids of what it names; names that were never shown stand for themselves and fail."""
    names = {f"E{number}": episode.id for number, episode in enumerate(window.learnable(), 1)}
    numbered = {f"P{number}": item for number, item in enumerate(window.principles, 1)}
    evidence = tuple(replace(one, episode=names.get(one.episode, one.episode)) for one in row.evidence)
    target = numbered.get(row.principle)
    named = target.id if target else row.principle
    draft = _draft(row.text, evidence, window, target) if row.op in {"ADD", "EDIT"} else None
    return Operation(_ACTIONS[row.op], (named,) if named else (), draft, evidence, row.why)


def _draft(text: str, evidence: Sequence[Evidence], window: Window, target: Item | None) -> Draft:
    """Of the family that the evidence is from; of several: for the whole namespace."""
    families = {e.family for e in window.learnable() if any(piece.episode == e.id for piece in evidence)}
    family = families.pop() if len(families) == 1 else None
    if target is not None:
        family = target.family
    return Draft(
        "principle",
        text.strip(),
        PrincipleBody("global" if family is None else "family", "neural"),
        scope="namespace" if family is None else "family",
        family=family,
        status="trial",
        lineage=Lineage(tuple(evidence), (target.id,) if target else ()),
    )


async def _reflected(window: Window, model: Model, max_tokens: int) -> Built:
    rules: dict[str, list[Draft]] = {}
    rejected: list[str] = []
    usage = Usage()
    error: str | None = None
    for episode in window.learnable():
        said = await reflect(episode, model, "plain", max_tokens=max_tokens)
        usage += said.usage
        error = error or said.error
        rejected += ["add: a rule that its evidence does not bear out"] * said.rejected
        if said.source == "model":
            for draft in (one for one in said.drafts if one.kind == "principle"):
                rules.setdefault(draft.text, []).append(draft)
    operations = tuple(_told(text, drafts, window) for text, drafts in rules.items())
    return Built(operations, tuple(rejected), usage, error)


def _told(text: str, drafts: Sequence[Draft], window: Window) -> Operation:
    """One rule with the evidence of all episodes that it was drawn from; of several families: of all."""
    evidence = tuple(dict.fromkeys(piece for draft in drafts for piece in draft.lineage.evidence))
    draft = with_evidence(_draft(text, evidence, window, None), evidence)
    for family in (draft.family, None):
        for item in window.principles:
            if (item.text, item.family) == (text, family) and item.scope in {"family", "namespace"}:
                return Operation("keep", (item.id,), as_held(draft, item), evidence)
    return Operation("add", (), draft, evidence)
