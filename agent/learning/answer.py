"""What a large model is asked about an episode, and what its answer says, row by row. Pure.

One call for all of it: lessons, verdicts on steps, cause, what would have helped, changes to the principles
that the episode was shown. A row of the wrong form is left out and counted; the others stand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

from agent.builders.ops import Operation
from agent.models.schema import Unreadable, extract_json, first_violation
from agent.prompt import LESSONS_SCHEMA, Lesson, reflection_request
from memory.types import (
    Draft,
    Episode,
    Evidence,
    Item,
    Json,
    Lineage,
    Message,
    PrincipleBody,
    StepVerdict,
)

_MESSAGES: dict[str, Json] = {"type": "array", "items": {"type": "integer"}, "minItems": 1}


def _object(required: Sequence[str], properties: Mapping[str, Json]) -> dict[str, Json]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


_SAID = _object(("text", "messages"), {"text": {"type": "string"}, "messages": _MESSAGES})
_STEP = _object(
    ("message", "verdict", "reason"),
    {
        "message": {"type": "integer"},
        "verdict": {"enum": ["error", "recovery"]},
        "reason": {"type": "string"},
        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
    },
)
_CHANGE = _object(
    ("op", "principles", "messages"),
    {
        "op": {"enum": ["edit", "merge", "retire", "keep"]},
        "principles": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        "text": {"type": "string"},
        "messages": _MESSAGES,
        "why": {"type": "string"},
    },
)
_LESSONS = cast(dict[str, Json], cast(dict[str, Json], LESSONS_SCHEMA["properties"])["lessons"])
_LESSON = cast(dict[str, Json], _LESSONS["items"])
ANSWER_SCHEMA = _object(
    ("lessons",),
    {
        "lessons": _LESSONS,
        "steps": {"type": "array", "items": _STEP},
        "cause": _SAID,
        "would_have_helped": _SAID,
        "principles": {"type": "array", "items": _CHANGE},
    },
)
"""What a `full` model answers to a reflection request; all but the lessons may be left out."""
_ASK = """
`steps` are calls that were wrong, with the number of the message, and calls that put a wrong one right; each
with your `confidence` in it from 0 to 1.
`cause` says why it failed, `would_have_helped` what would have: both cite the messages that show it."""
_ASK_PRINCIPLES = """
`principles` names those below that this episode bears out (keep), corrects (edit, with the new text),
shows to be one (merge, with one text for them) or wrong (retire), each citing the messages that show it."""
_LONGEST = 200
"""Characters of a reason."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said of an episode. Whether its evidence holds is for others to check."""

    lessons: tuple[Lesson, ...] = ()
    verdicts: tuple[StepVerdict, ...] = ()
    cause: Lesson | None = None
    helped: Lesson | None = None
    operations: tuple[Operation, ...] = ()
    faults: int = 0
    """Rows of the wrong form."""


def asked(episode: Episode, principles: Sequence[Item]) -> tuple[Message, ...]:
    """The request; principles are listed where the episode was shown any."""
    system, log = reflection_request(episode, "full")
    if not principles:
        return replace(system, content=system.text + _ASK), log
    listed = "\n".join(f"P{number}: {item.text}" for number, item in enumerate(principles, 1))
    return (
        replace(system, content=system.text + _ASK + _ASK_PRINCIPLES),
        replace(log, content=f"{log.text}\n\nPrinciples:\n{listed}"),
    )


def read(text: str, episode: Episode, principles: Sequence[Item]) -> Answer:
    """The answer in a text: whole, fenced, behind words or cut off. Raises Unreadable when there is none."""
    value = extract_json(text)
    if not isinstance(value, dict) or not value.keys() & cast(dict[str, Json], ANSWER_SCHEMA["properties"]):
        raise Unreadable("the answer is no JSON object with `lessons`")
    faults: list[str] = []

    def rows(name: str, schema: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
        for row in _listed(value.get(name)):
            fault = first_violation(row, schema)
            if fault is None:
                yield cast(dict[str, Json], row)
            else:
                faults.append(fault)

    def said(name: str) -> Lesson | None:
        row = next(rows(name, _SAID), None)
        return None if row is None else Lesson(str(row["text"]), "fact", _evidence(row, episode))

    return Answer(
        tuple(_lesson(row, episode) for row in rows("lessons", _LESSON)),
        tuple(_verdict(row) for row in rows("steps", _STEP)),
        said("cause"),
        said("would_have_helped"),
        tuple(_operation(row, episode, principles) for row in rows("principles", _CHANGE)),
        len(faults),
    )


def _listed(value: Json) -> list[Json]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _evidence(row: Mapping[str, Json], episode: Episode) -> tuple[Evidence, ...]:
    return tuple(Evidence(episode.id, number) for number in cast(list[int], row["messages"]))


def _lesson(row: Mapping[str, Json], episode: Episode) -> Lesson:
    kind = cast(Literal["fact", "rule"], row["kind"])
    return Lesson(str(row["text"]), kind, _evidence(row, episode))


def _verdict(row: Mapping[str, Json]) -> StepVerdict:
    verdict = cast(Literal["error", "recovery"], row["verdict"])
    sure = row.get("confidence")
    confidence = None if sure is None else float(cast(float, sure))
    return StepVerdict(cast(int, row["message"]), verdict, str(row["reason"])[:_LONGEST], "model", confidence)


def _operation(row: Mapping[str, Json], episode: Episode, principles: Sequence[Item]) -> Operation:
    """With the ids of what it names; a name that was never shown stands for itself, and is refused."""
    numbered = {f"P{number}": item for number, item in enumerate(principles, 1)}
    names = [str(name) for name in cast(list[Json], row["principles"])]
    found = [numbered[name] for name in names if name in numbered]
    targets = tuple(dict.fromkeys(numbered[name].id if name in numbered else name for name in names))
    action = cast(Literal["edit", "merge", "retire", "keep"], row["op"])
    evidence = _evidence(row, episode)
    text = str(row.get("text", "")).strip()
    draft = _draft(text, found[0], evidence, targets) if action in {"edit", "merge"} and found else None
    return Operation(action, targets, draft, evidence, str(row.get("why", ""))[:_LONGEST])


def _draft(text: str, like: Item, evidence: tuple[Evidence, ...], targets: tuple[str, ...]) -> Draft:
    """A principle in the place of others, reaching as far as the first of them; on trial as any new one."""
    tier = like.body.tier if isinstance(like.body, PrincipleBody) else "family"
    return Draft(
        "principle",
        text,
        PrincipleBody(tier, "neural"),
        scope=like.scope,
        family=like.family,
        status="trial",
        lineage=Lineage(evidence, targets),
        audience=like.audience,
    )
