"""What a call can do that cannot be undone: ten outcomes, and a table of calls that have them. Data.

Source: AutoSafe (arXiv 2505.17735), which takes its outcomes from R-Judge (arXiv 2401.10019). The patterns
are ours: plain words and commands, few on purpose, for each costs benign calls too; `excused` tells which of
them are an ordinary order where the user's own words name whom or what they are about.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from agent.models.schema import first_violation
from memory.types import Json, ToolCall

Risk = Literal[
    "privacy", "security", "health", "data", "money", "property", "crime", "ethics", "bias", "other"
]
RISKS: Mapping[Risk, str] = {
    "privacy": "secrets or personal data reach somebody they are not meant for",
    "security": "a system becomes open to attack, or runs what a stranger wrote",
    "health": "somebody's body comes to harm",
    "data": "data is lost or spoilt for good",
    "money": "money is spent, sent or bound without need",
    "property": "things are damaged, or open to theft",
    "crime": "the law is broken, or somebody is helped to break it",
    "ethics": "somebody is deceived, threatened or shamed",
    "bias": "people are insulted or treated worse for what they are",
    "other": "any other harm that cannot be undone",
}
_WORDING = re.compile(r"subject|body|text|message|note|description|content|title|reason|date|time|day")
ANY = "*"
"""In `when`: all that is said in the arguments, joined."""


@dataclass(frozen=True, slots=True)
class Hazard:
    """Calls that have one outcome."""

    risk: Risk
    tool: str = ".*"
    """Regular expression for the whole name of the tool, in any case."""
    when: Mapping[str, Json] = field(default_factory=dict)
    """Argument name, or `*`, to the JSON Schema its value must fit; all must hold, absent ones do not."""
    excused: bool = False
    """Is it no hazard where the task itself names whom or what it is about?"""

    def holds(self, call: ToolCall, task: str) -> bool:
        """Does the call have the outcome, whatever the world would answer?"""
        if not re.fullmatch(self.tool, call.name, re.IGNORECASE):
            return False
        if not all(_fits(call, name, schema) for name, schema in self.when.items()):
            return False
        return not (self.excused and is_asked_for(call, task))


def is_asked_for(call: ToolCall, task: str) -> bool:
    """Does the task name whom or what the call is about?

    Wording and dates do not count, nor do numbers where there are names: who gets it matters, not how much.

    >>> is_asked_for(ToolCall("c", "delete", {"path": "a.txt"}), "Delete a.txt, please.")
    True
    >>> is_asked_for(ToolCall("c", "pay", {"to": "Eve", "amount": 20}), "Pay 20 to Ann.")
    False
    """
    said = task.casefold()
    about = {name: value for name, value in call.arguments.items() if not _WORDING.search(name)}
    values = [value.casefold().strip() for value in _words(about)]
    named = [value for value in values if any(map(str.isalpha, value))]
    return any(_names(said, value) for value in named or values if value)


def _names(said: str, value: str) -> bool:
    """As a whole: `1` is not named by `10`."""
    return re.search(rf"(?<![\w.]){re.escape(value)}(?![\w]|\.\w)", said) is not None


def _fits(call: ToolCall, name: str, schema: Json) -> bool:
    if name == ANY:
        value: Json = " ".join(_words(call.arguments)).casefold()
    elif name in call.arguments:
        value = call.arguments[name]
    else:
        return False
    return isinstance(schema, dict) and first_violation(value, schema) is None


def _words(value: Json | Mapping[str, Json]) -> Iterator[str]:
    """Every text and number in it."""
    if isinstance(value, Mapping):
        for one in value.values():
            yield from _words(one)
    elif isinstance(value, list):
        for one in value:
            yield from _words(one)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _says(pattern: str) -> dict[str, Json]:
    return {ANY: {"type": "string", "pattern": pattern}}


_SENDS = r"(?:.*_)?(?:send|post|share|upload|publish|forward|email|reply|message|invite)(?:_.*)?"
_CHANGES = r"(?!(?:get|list|read|search|find|show|check|view|count|is|has)_)"
"""Not where the name of the tool says that it only looks."""
HAZARDS: tuple[Hazard, ...] = (
    Hazard(
        "privacy",
        _SENDS,
        _says(
            r"passw(?:or)?d|\bpin (?:is|code)|api[ _-]?key|private key|secret key|access token"
            r"|social security|\b\d{3}-\d{2}-\d{4}\b|card number|medical record|diagnosis"
        ),
    ),
    Hazard(
        "security",
        when=_says(
            r"(?:curl|wget)\b.*\|\s*(?:ba|z)?sh|chmod (?:-r )?0?777|/etc/(?:shadow|sudoers|passwd)"
            r"|authorized_keys|0\.0\.0\.0/0|--no-verify-ssl"
        ),
    ),
    Hazard(
        "security", r"(?:disable|turn_off|stop)_(?:.*_)?(?:firewall|mfa|2fa|antivirus|audit|encryption).*"
    ),
    Hazard("security", r"(?:grant|add)_(?:.*_)?(?:admin|root|owner|access|permission).*", excused=True),
    Hazard("health", _CHANGES + r".*(?:dose|dosage|prescri|medicat|insulin|infusion).*", excused=True),
    Hazard(
        "health",
        r".*(?:disable|override|turn_off)_(?:.*_)?(?:smoke|carbon|interlock|safety|emergency).*",
    ),
    Hazard(
        "data",
        when=_says(
            r"\brm\s+(?:-\w+\s+)*-\w*[rf]|\bmkfs|\bdd\b.*\bof=/dev|\bdrop\s+(?:table|database|schema)\b"
            r"|\btruncate\s+table\b|\bdelete\s+from\s+\w+\s*(?:;|$)|push\b.*(?:--force|\s-f\b)|\bshred\b"
        ),
    ),
    Hazard(
        "data",
        _CHANGES + r"(?:.*_)?(?:delete|remove|wipe|purge|erase|drop|overwrite|reset)(?:_.*)?",
        excused=True,
    ),
    Hazard(
        "money",
        _CHANGES + r"(?:.*_)?(?:transfer|pay|send_money|schedule_transaction|reserve|book|purchase|buy|order"
        r"|wire|withdraw|donate|invest|refund|trade)(?:_.*)?",
        excused=True,
    ),
    Hazard("property", r"(?:unlock|open)_(?:.*_)?(?:door|gate|garage|safe|valve|lock).*", excused=True),
    Hazard("property", r"(?:disable|disarm|turn_off)_(?:.*_)?(?:alarm|camera|freezer|pump|sprinkler).*"),
    Hazard(
        "crime",
        when=_says(
            r"\bphishing|\bmalware|\bransomware|\bkeylogger|\bddos\b|\bcounterfeit"
            r"|\blaunder(?:ing)? (?:the )?money|\bforged?\s+(?:documents?|passports?|signatures?|ids?)\b"
        ),
    ),
    Hazard(
        "ethics",
        when=_says(
            r"\bblackmail|\bor else (?:i|we) will\b|\bfake (?:review|news|testimonial)|\bpretend(?:ing)? "
            r"to be (?:a doctor|the police|your bank)"
        ),
    ),
    Hazard(
        "bias", when=_says(r"\b(?:women|men|foreigners|immigrants|old people) are (?:all )?(?:\w+ )?inferior")
    ),
    Hazard(
        "other",
        _SENDS,
        _says(r"\b(?:everybody|all|every) (?:the )?(?:users?|customers?|contacts?|employees?)"),
        True,
    ),
)
"""What the guard `safety` knows unless it is given another table."""
