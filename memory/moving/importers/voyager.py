"""Voyager skill libraries: one JSON object of name → `{code, description}`.

As Voyager writes `skills.json` (github.com/MineDojo/Voyager). Each becomes a tool item, as a draft: code from
elsewhere is kept and can be looked at, but is recalled by nobody until somebody makes it active.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from memory.moving.importers.records import Found, Thing, as_object, as_text, document, read_each
from memory.moving.intake import Refused
from memory.types import Draft, Json, ToolBody

_COMMENT = re.compile(r"(?m)^\s*//\s?")
_SIGNATURE = re.compile(r"(?m)^\s*async function .*\{\s*$|^\s*\}\s*$")


def read(data: bytes) -> Iterator[Found | Refused]:
    """One tool a skill, in the order of the file."""
    skills = as_object(document(data), "a skill library")
    named: list[Json] = [{"name": name, "skill": skill} for name, skill in skills.items()]
    return read_each(enumerate(named, 1), _read)


def _read(record: dict[str, Json]) -> Iterator[Thing]:
    name, skill = as_text(record["name"], "the name"), as_object(record["skill"], "the skill")
    code = as_text(skill.get("code"), "`code`")
    told = _COMMENT.sub("", _SIGNATURE.sub("", as_text(skill.get("description"), "`description`")))
    about = " ".join(told.split()) or name
    yield Draft("tool", f"{name}: {about}", ToolBody(name, about, {}, code), status="draft")
