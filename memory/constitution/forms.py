"""A constitution written out: for people, for programs, for another agent's prompt. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from memory.codec import from_json as decode
from memory.codec import to_json as encode
from memory.constitution.select import TIERS, is_of, line_of, tier_of
from memory.errors import BadInput
from memory.types import Constitution, Draft, Item, Json, Lineage, PrincipleBody

TITLES: Mapping[str, str] = MappingProxyType({"global": "Everywhere", "family": "Here", "tool": "Tools"})
AGENTS = """# Instructions for agents

Learned from earlier work, the most useful first. Follow them unless you are told otherwise.
"""
SYSTEM = "Principles learned from experience:"


def to_markdown(constitution: Constitution) -> str:
    """For people: a heading a tier, a line a principle; empty without principles."""
    sections = _sections(constitution)
    if not sections:
        return ""
    return "\n\n".join([f"# Constitution {constitution.version}", *sections]) + "\n"


def to_agents(constitution: Constitution) -> str:
    """The text of an AGENTS.md, with the version in a comment; empty without principles."""
    sections = _sections(constitution)
    if not sections:
        return ""
    return "\n".join([AGENTS, "\n\n".join(sections), "", f"<!-- constitution {constitution.version} -->", ""])


def to_system(constitution: Constitution) -> str:
    """A part of a system prompt, as an agent here would show it; empty without principles."""
    lines = [line_of(item) for item in constitution.principles]
    return "\n".join([SYSTEM, *lines]) + "\n" if lines else ""


def to_json(constitution: Constitution) -> Json:
    """The whole of it, evidence included."""
    return encode(constitution)


def from_json(data: Json) -> Constitution:
    """The other way. Raises BadInput."""
    return decode(Constitution, data)


def to_drafts(constitution: Constitution) -> tuple[Draft, ...]:
    """What another memory may take in: on trial, without pins, statistics or evidence.

    Support, confidence and evidence are claims about episodes that are not there. What held for all
    namespaces holds for one; a run's or a team's own principles mean nothing elsewhere and stay out. Raises
    BadInput on what is no principle.
    """
    return tuple(
        _foreign(item, f"constitution:{constitution.version}")
        for item in constitution.principles
        if item.scope not in {"run", "team"}
    )


def _foreign(item: Item, source: str) -> Draft:
    if not isinstance(item.body, PrincipleBody):
        raise BadInput(f"{item.kind} {item.id!r} is no principle: only principles make a constitution")
    return Draft(
        "principle",
        item.text,
        PrincipleBody(item.body.tier, item.body.builder, pattern=item.body.pattern),
        scope="family" if item.scope == "family" else "namespace",
        family=item.family,
        status="trial",
        lineage=Lineage(source=source),
        valid_to=item.valid_to,
    )


def _sections(constitution: Constitution) -> list[str]:
    by_title: dict[str, list[str]] = {}
    for tier in TIERS:
        for item in constitution.principles:
            if tier_of(item) == tier:
                by_title.setdefault(_title(item, constitution.family), []).append(line_of(item))
    return ["\n".join([f"## {title}", "", *lines]) for title, lines in by_title.items()]


def _title(item: Item, family: str | None) -> str:
    """The tier; where families are mixed, the family as well."""
    if is_of(item, family):
        return TITLES[tier_of(item)]
    return f"At {' '.join(str(item.family or item.audience).split())}"
