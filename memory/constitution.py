"""Which principles are in force, and how they read. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha256

from memory.codec import from_json as decode
from memory.codec import to_json as encode
from memory.entry import reach_of
from memory.types import Constitution, Item, Json, PrincipleBody
from memory.value.means import prior_mean, shrunken

TIERS = ("global", "family", "tool")
TITLES = {"global": "Everywhere", "family": "Here", "tool": "Tools"}


def select(
    principles: Iterable[Item],
    *,
    namespace: str,
    family: str | None,
    at: float,
    token_budget: int,
    count_tokens: Callable[[str], int],
    every_family: bool = False,
) -> Constitution:
    """The principles valid at a time for a family: by tier, utility, support; as many as the budget takes.

    `every_family` takes those of all families, for people to read; an agent at work sees only its own.
    A principle that does not fit is left out and named; shorter ones after it may still fit.
    """
    valid = [item for item in principles if _is_valid(item, at) and (every_family or _is_of(item, family))]
    prior = prior_mean([item.utility for item in valid])
    kept: list[Item] = []
    dropped: list[str] = []
    left = token_budget
    for item in sorted(valid, key=lambda item: _order(item, prior)):
        cost = count_tokens(_line(item))
        if cost <= left:
            kept.append(item)
            left -= cost
        else:
            dropped.append(item.id)
    return Constitution(namespace, family, version_of(kept), tuple(kept), tuple(dropped))


def version_of(principles: Iterable[Item]) -> str:
    """Hash of ids and versions in order; equal constitutions read the same."""
    named = "\n".join(f"{item.id}@{item.version}" for item in principles)
    return sha256(named.encode()).hexdigest()[:16]


def to_markdown(constitution: Constitution) -> str:
    """A system prompt, or the text of an AGENTS.md; empty without principles."""
    by_title: dict[str, list[str]] = {}
    for tier in TIERS:
        for item in constitution.principles:
            if _body(item).tier == tier:
                by_title.setdefault(_title(item, constitution.family), []).append(_line(item))
    sections = ["\n".join([f"## {title}", "", *lines]) for title, lines in by_title.items()]
    if not sections:
        return ""
    return "\n\n".join([f"# Constitution {constitution.version}", *sections]) + "\n"


def _title(item: Item, family: str | None) -> str:
    """The tier; where families are mixed, the family as well."""
    if _is_of(item, family):
        return TITLES[_body(item).tier]
    return f"At {' '.join(str(item.family or item.audience).split())}"


def to_json(constitution: Constitution) -> Json:
    """The whole of it, evidence included."""
    return encode(constitution)


def from_json(data: Json) -> Constitution:
    """The other way. Raises BadInput."""
    return decode(Constitution, data)


def _is_of(item: Item, family: str | None) -> bool:
    reach = reach_of(item.scope, item.family, item.audience)
    return reach is None or (family is not None and reach == f"family:{family}")


def _is_valid(item: Item, at: float) -> bool:
    return (
        item.status in {"trial", "active"}
        and item.valid_from <= at
        and (item.valid_to is None or at < item.valid_to)
    )


def _order(item: Item, prior: float) -> tuple[int, bool, float, int, str]:
    body = _body(item)
    value = shrunken(item.utility, prior)
    return (TIERS.index(body.tier), not item.pinned, -value, body.violations - body.support, item.id)


def _body(item: Item) -> PrincipleBody:
    assert isinstance(item.body, PrincipleBody), f"{item.kind} {item.id} among the principles"
    return item.body


def _line(item: Item) -> str:
    return f"- {' '.join(item.text.split())}"
