"""Who gets in: validation, secrets, duplicates, merging, trust. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import cast

from memory.codec import canonical, dumps, to_json
from memory.errors import BadInput, TooLarge
from memory.types import (
    BODIES,
    TRUST,
    Body,
    CaseBody,
    Channel,
    Draft,
    Evidence,
    Item,
    Json,
    Lineage,
    PrincipleBody,
)
from memory.words import normalised, numbers
from memory.writing.secrets import check_secrets as check_secrets

MAX_TEXT = 8_000
"""Characters of a text that is embedded; encoders read far fewer."""
MAX_BODY = 64_000
"""Characters of a body as JSON."""
MAX_NAME = 256
"""Characters of a namespace, principal, family or key."""
TWIN_COSINE = 0.97
"""Similarity from which two texts of the same numbers may be the same text."""

TWIN_DIGITS = 32
"""Hexadecimal digits of a twin key."""
LATER = frozenset({"audience", "valid_from"})
"""Fields of a draft that the first release did not have."""

_CONTROL = re.compile(r"[\ud800-\udfff\x00]")


def check_name(label: str, value: str) -> str:
    """A namespace, principal, family or key as it was given. Raises BadInput or TooLarge."""
    if not value or not value.strip():
        raise BadInput(f"{label} is empty")
    if len(value) > MAX_NAME:
        raise TooLarge(f"{label} has {len(value)} characters, at most {MAX_NAME} are allowed")
    if _is_undecoded(value):
        raise BadInput(f"{label} {value!r} holds a NUL or a lone surrogate")
    return value


def check_draft(draft: Draft) -> str:
    """The body of a draft as canonical JSON. Raises BadInput or TooLarge on what cannot be remembered."""
    if not draft.text.strip():
        raise BadInput(f"the text of a {draft.kind} is empty")
    if len(draft.text) > MAX_TEXT:
        raise TooLarge(f"the text has {len(draft.text)} characters, at most {MAX_TEXT} are allowed")
    body_type = BODIES[draft.kind]
    if not isinstance(draft.body, body_type):
        raise BadInput(f"a {draft.kind} needs a {body_type.__name__}, not a {type(draft.body).__name__}")
    body = dumps(draft.body)
    if len(body) > MAX_BODY:
        raise TooLarge(f"the body has {len(body)} characters of JSON, at most {MAX_BODY} are allowed")
    if _is_undecoded(draft.text) or _is_undecoded(body) or "\\u0000" in body:
        raise BadInput("the text holds a NUL or a lone surrogate: decode it first")
    _check_reach(draft)
    if draft.kind == "case" and draft.outcome not in {"success", "failure"}:
        raise BadInput(f"a case of outcome {draft.outcome!r} teaches nothing: only success and failure do")
    check_secrets([f"{draft.text}\n{body}"])
    return body


def _is_undecoded(text: str) -> bool:
    return "\0" in text if text.isascii() else _CONTROL.search(text) is not None


def _check_reach(draft: Draft) -> None:
    """Names, scope and validity must say one thing."""
    if draft.family is not None:
        check_name("family", draft.family)
    if draft.audience is not None:
        check_name("audience", draft.audience)
    if draft.scope == "family" and draft.family is None:
        raise BadInput("scope 'family' needs a family")
    if (draft.scope in {"run", "team"}) != (draft.audience is not None):
        raise BadInput(
            f"scope {draft.scope!r} and audience {draft.audience!r}: runs and teams need one, others none"
        )
    if draft.valid_from is not None and draft.valid_to is not None and draft.valid_to <= draft.valid_from:
        raise BadInput(f"valid_to {draft.valid_to} is not after valid_from {draft.valid_from}")


def as_draft(item: Item) -> Draft:
    """What would have to be admitted for an item to say what it says."""
    return Draft(
        item.kind,
        item.text,
        item.body,
        item.scope,
        item.family,
        item.outcome,
        item.status,
        audience=item.audience,
    )


@dataclass(frozen=True, slots=True)
class Keys:
    """What duplicates are found by; see `dedupe_key` and `twin_key`."""

    dedupe: str
    twin: str


def dedupe_key(thing: Draft | Item) -> str:
    """Equal for things that say the same; evidence, support and statistics are not compared."""
    return keys_of(thing, dumps(thing.body)).dedupe


def twin_key(thing: Draft | Item) -> str:
    """Equal for exactly the things that `are_twins` holds for: one, if their vectors are near."""
    return keys_of(thing, dumps(thing.body)).twin


def keys_of(thing: Draft | Item, body: str) -> Keys:
    """Both keys; `body` is the thing's body as canonical JSON."""
    said = _said(thing, body)
    same: list[Json] = [thing.kind, thing.scope, thing.family, normalised(thing.text), *said]
    if thing.audience is not None:
        same.append(thing.audience)
    near: list[Json] = [
        *(thing.kind, thing.scope, thing.family, thing.audience),
        list[Json](sorted(numbers(thing.text))),
        *said,
    ]
    return Keys(_hash(same), _hash(near)[:TWIN_DIGITS])


def _hash(said: list[Json]) -> str:
    return sha256(canonical(said).encode()).hexdigest()


def are_twins(one: Draft | Item, other: Draft | Item) -> bool:
    """May two things of nearly equal vectors be taken for one?

    Short facts are near each other whatever they say (`mug is in cabinet 3`, `… 4`), so the numbers must be
    equal, and everything in the body that carries meaning.
    """
    return (
        one.kind == other.kind
        and one.scope == other.scope
        and one.family == other.family
        and one.audience == other.audience
        and numbers(one.text) == numbers(other.text)
        and _said(one, dumps(one.body)) == _said(other, dumps(other.body))
    )


def merged(item: Item, draft: Draft) -> Item | None:
    """The item with the draft's evidence added; None when the draft brings nothing new.

    Support counts once per new episode, so that no second look at the same ones can inflate it.
    """
    fresh = _fresh(item.lineage.evidence, draft.lineage.evidence)
    broken = _fresh(_against(item.body), _against(draft.body))
    if not fresh and not broken:
        return None
    items = tuple(dict.fromkeys(item.lineage.items + draft.lineage.items))
    lineage = Lineage(item.lineage.evidence + fresh, items, item.lineage.source)
    body = item.body
    if isinstance(body, PrincipleBody) and isinstance(draft.body, PrincipleBody):
        body = _counted(body, draft.body, _n_new(item.lineage.evidence, fresh), broken)
    return replace(item, body=body, lineage=lineage)


def _counted(
    body: PrincipleBody, drawn: PrincipleBody, support: int, broken: tuple[Evidence, ...]
) -> PrincipleBody:
    """A principle with `support` more episodes behind it, and with what broke it.

    Violations of a draft that does not say where they were are added up. A share of occasions is not: the
    latest count stands.
    """
    violations = _n_new(body.against, broken) if drawn.against else drawn.violations
    return replace(
        body,
        support=body.support + support,
        violations=body.violations + violations,
        confidence=body.confidence if drawn.confidence is None else drawn.confidence,
        pattern=body.pattern or drawn.pattern,
        against=body.against + broken,
    )


def _against(body: Body) -> tuple[Evidence, ...]:
    return body.against if isinstance(body, PrincipleBody) else ()


def _fresh(known: tuple[Evidence, ...], told: tuple[Evidence, ...]) -> tuple[Evidence, ...]:
    there = set(known)
    return tuple(dict.fromkeys(piece for piece in told if piece not in there))


def _n_new(known: tuple[Evidence, ...], fresh: tuple[Evidence, ...]) -> int:
    """Episodes among the fresh ones that are not among the known."""
    return len({piece.episode for piece in fresh} - {piece.episode for piece in known})


def trust_of(channel: Channel, sources: Iterable[Item]) -> int:
    """Trust of something new: its channel's, lowered to the least trusted thing it was made from."""
    return min([TRUST[channel], *(source.trust for source in sources)])


def request_hash(channel: Channel, drafts: Iterable[Draft]) -> str:
    """What an idempotency key stands for. What is not given leaves no trace: keys outlive new fields."""
    asked: list[Json] = [channel]
    for draft in drafts:
        data = cast(dict[str, Json], to_json(draft))
        given = {name: value for name, value in data.items() if name not in LATER or value is not None}
        asked.append(given)
    return _hash(asked)


def _said(thing: Draft | Item, dumped: str) -> list[str]:
    body = thing.body
    if isinstance(body, PrincipleBody):
        return [body.tier]
    if isinstance(body, CaseBody):
        return [str(thing.outcome), normalised(body.lesson), normalised(body.cause or "")]
    return [dumped]
