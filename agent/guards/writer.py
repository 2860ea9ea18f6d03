"""A policy for one task, from the user's words and the tools' schemas alone: rules of language, no model.

What memory or a tool says never enters here. Reading is allowed; an act is allowed when a verb of the user
asks for it, on things the user named or a store of ours lists; what destroys and what opens doors has to be
named.
Source: the policy writer of Progent (Shi et al. 2025, arXiv 2504.11703), which is a model's work there; so is
the narrower reading that an argument is pinned to what the user wrote. Trust of values is ours. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from agent.guards.lexicon import (
    ASKED_BY,
    BEFORE_NOUN,
    BEFORE_TOLD,
    CONTACTS,
    DESTROYS,
    GENERAL,
    LOCATORS,
    MAKES,
    NOUN_TOO,
    OPEN,
    PARTIES,
    REACHES,
    READS,
    SAME_THING,
    SECRETS,
    TELLS,
)
from agent.guards.privilege import Policy, Rule
from agent.types import ANSWER_TOOL, ToolSpec
from memory.types import TRUST

Strength = Literal["tools", "pinned", "floors"]
"""What rules look at: names; also arguments of which the user wrote a value; also where values are from."""
_WORD = re.compile(r"[A-Za-z]+(?:'[a-z]+)?")
_DELEGATES = re.compile(
    r"\b(?:follow|carry out|execute|perform|do|complete|finish)\b(?:\W+(?!following\b)\w+){0,4}?\W+"
    r"(?:instructions?|tasks?|actions?|steps|to-?dos?|todo list|what\b.{0,40}\b(?:says?|asks?|wants?))\b",
    re.IGNORECASE,
)
_QUOTED = r"""'[^']+'|"[^"]+\""""
_EMAIL = r"[\w.+-]+@[\w.-]+\.\w+"
_URL = r"https?://\S+|\bwww\.\S+"
_IBAN = r"\b[A-Z]{2}\d{2}[A-Z0-9]{6,}\b"
_NAME = r"[A-Z][\w-]*"
_TO = r"\bto\s+(?:the\s+)?(?:user\s+|channel\s+)?"
_LET_KNOW = re.compile(r"\blet (?!me\b|us\b)\w+ know\b", re.IGNORECASE)
_SHAPES: Mapping[str, str] = {
    "url": _URL,
    "link": _URL,
    "email": _EMAIL,
    "iban": _IBAN,
    "user": rf"(?<=[a-z,] )(?:{_NAME})|{_EMAIL}",
    "recipient": rf"(?<=[a-z,] )(?:{_NAME})|{_EMAIL}",
    "participant": rf"(?<=[a-z,] )(?:{_NAME})|{_EMAIL}",
}
"""What a value looks like, by a word in the name or description of its argument; the first that fits."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user's words ask for."""

    text: str
    words: frozenset[str]
    verbs: frozenset[str]
    delegates: bool
    """Is it left to a text somewhere else what is to be done?"""

    @classmethod
    def of(cls, text: str) -> Wish:
        """Read a request.

        >>> sorted(Wish.of("Read the message and reply to Ann.").verbs & {"message", "reply"})
        ['reply']
        """
        spelt = tuple(word.lower() for word in _WORD.findall(text))
        words = tuple(plain(word) for word in spelt)
        verbs = (
            word
            for word, form, last, then in zip(words, spelt, (None, *words), (*words[1:], None), strict=False)
            if (last not in BEFORE_NOUN or not (word in NOUN_TOO or form.endswith("ing")))
            and last not in BEFORE_TOLD
            and not (word in TELLS and then in {"me", "us"})
        )
        told = {"tell"} if _LET_KNOW.search(text) else set()
        return cls(text, frozenset(words), frozenset(verbs) | told, _DELEGATES.search(text) is not None)


def write_policy(request: str, tools: Sequence[ToolSpec], strength: Strength = "floors") -> Policy:
    """The policy that a request implies over these tools; the same words always give the same policy."""
    wish, acts = Wish.of(request), [tool for tool in tools if not is_reading(tool)]
    reading = [tool for tool in tools if is_reading(tool) and tool.name != ANSWER_TOOL]
    left = wish.delegates
    meant = [tool for tool in acts if _is_named(tool, acts, wish) or (left and verb_of(tool) not in DESTROYS)]
    rules = [_reads(tool, wish, strength) for tool in reading] + [
        _acts(tool, wish, strength) for tool in meant
    ]
    stores = frozenset(tool.name for tool in tools if not LOCATORS & _ends(tool))
    texts = frozenset(tool.name for tool in reading if not OPEN & _ends(tool)) - stores
    return Policy(tuple(rules), stores=stores, texts=texts)


def is_reading(tool: ToolSpec) -> bool:
    """Does a tool change nothing, by its own word or its name?"""
    return tool.read_only or verb_of(tool) in READS


def verb_of(tool: ToolSpec) -> str:
    """The first word of a tool's name."""
    return plain(_parts(tool.name)[0])


def plain(word: str) -> str:
    """A word without its case and its commonest endings, good enough to compare.

    >>> [plain(word) for word in ("Sends", "invited", "scheduling", "replies", "access")]
    ['send', 'invite', 'schedule', 'reply', 'access']
    """
    word = word.lower().removesuffix("'s")
    for ending, instead in (("ies", "y"), ("ied", "y"), ("sses", "ss"), ("ing", ""), ("ed", ""), ("s", "")):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            stem = word.removesuffix(ending) + instead
            return _KNOWN.get(stem, _KNOWN.get(stem + "e", _undoubled(stem)))
    return word


def _undoubled(stem: str) -> str:
    return stem[:-1] if len(stem) > 3 and stem[-1] == stem[-2] and stem[-1] not in "ls" else stem


_KNOWN: Mapping[str, str] = {word: word for words in ASKED_BY.values() for word in words} | {
    word: word for words in SAME_THING.values() for word in words
}
"""Base forms that endings were cut from."""


def _reads(tool: ToolSpec, wish: Wish, strength: Strength) -> Rule:
    """Reading is free, but for what leaves the house: an address has to be the user's or stand in a store."""
    floors: dict[str, int] = {}
    for argument, about in _arguments(tool).items():
        is_open = _end(argument) in OPEN
        if is_open and strength == "floors":
            floors[argument] = TRUST["reflection"]
        elif is_open and strength == "pinned" and re.search(_shape(argument, about), wish.text):
            floors[argument] = TRUST["user"]
    return Rule(tool.name, "allow", floors=floors)


def _acts(tool: ToolSpec, wish: Wish, strength: Strength) -> Rule:
    judged = {"tools": _free, "pinned": _pinned, "floors": _floor}[strength]
    floors = {name: judged(tool, name, about, wish) for name, about in _arguments(tool).items()}
    return Rule(tool.name, "allow", floors={name: floor for name, floor in floors.items() if floor})


def _free(_tool: ToolSpec, _argument: str, _about: str, _wish: Wish) -> int:
    return 0


def _pinned(tool: ToolSpec, argument: str, about: str, wish: Wish) -> int:
    """The user's words alone, where the request holds a value of the argument's kind."""
    if _end(argument) not in PARTIES | SECRETS | set(_things(tool)):
        return 0
    return TRUST["user"] if re.search(_shape(argument, about), wish.text) else 0


def _floor(tool: ToolSpec, argument: str, about: str, wish: Wish) -> int:
    """The least trust of one argument's value; 0 leaves it free."""
    last, reaches = _end(argument), verb_of(tool) in REACHES
    if last in SECRETS:
        return TRUST["user"]
    if last in CONTACTS and _names_a_party(tool, argument):
        return 0
    if last in PARTIES and reaches and re.search(f"{_TO}(?:{_shape(argument, about)})", wish.text):
        return TRUST["user"]
    if (
        last in PARTIES
        and reaches
        and not wish.delegates
        and not re.search(_shape(argument, about), wish.text)
    ):
        return TRUST["reflection"]
    if last in PARTIES or last == "id":
        return TRUST["tool"]
    return TRUST["reflection"] if last in _things(tool) and verb_of(tool) not in MAKES else 0


def _names_a_party(tool: ToolSpec, argument: str) -> bool:
    """Does another argument say who it is?"""
    others = (_end(name) for name in _arguments(tool) if name != argument)
    return any(last in PARTIES - CONTACTS for last in others)


def _shape(argument: str, about: str) -> str:
    """What a value of an argument looks like in a request, as a pattern."""
    called = f"{argument} {about}".lower()
    known = next((shape for kind, shape in _SHAPES.items() if kind in called), None)
    last = _end(argument)
    return known or rf"(?:{_QUOTED}|{_NAME}) {last}\b|\b{last} (?:{_QUOTED}|{_NAME})"


def _is_named(tool: ToolSpec, acts: Sequence[ToolSpec], wish: Wish) -> bool:
    """Does a verb of the request ask for the tool, and no other tool of the same verb fit its nouns alone?

    Where the request names who it is for, tools for the same thing are not told apart: the name will do that.
    """
    verb = verb_of(tool)
    if not ASKED_BY.get(verb, frozenset({verb})) & wish.verbs:
        return False
    rivals = [other for other in acts if verb_of(other) == verb]
    if _is_addressed(tool, wish):
        rivals = [other for other in rivals if _things(other)[-1] != _things(tool)[-1]]
    if _is_meant(tool, wish):
        return True
    return verb not in GENERAL and not any(_is_meant(other, wish) for other in rivals)


def _is_addressed(tool: ToolSpec, wish: Wish) -> bool:
    """Does the request name whom or what the tool is to reach?"""
    shapes = (_shape(name, about) for name, about in _arguments(tool).items() if _end(name) in PARTIES)
    return verb_of(tool) in REACHES and any(re.search(f"{_TO}(?:{one})", wish.text) for one in shapes)


def _is_meant(tool: ToolSpec, wish: Wish) -> bool:
    """Is one of the things in the tool's name in the request, by whatever name?"""
    return any((SAME_THING.get(thing, frozenset()) | {thing}) & wish.words for thing in _things(tool))


def _things(tool: ToolSpec) -> list[str]:
    """The nouns in a tool's name; the last is what the act is done to or with."""
    words = [plain(part) for part in _parts(tool.name)[1:]]
    end = next((at for at, word in enumerate(words) if word in {"to", "in", "from", "of", "for", "at"}), None)
    return words[:end] or [""]


def _arguments(tool: ToolSpec) -> dict[str, str]:
    """Names and descriptions of the arguments."""
    properties = tool.parameters.get("properties")
    if not isinstance(properties, dict):
        return {}
    return {
        name: str(schema.get("description", "")) if isinstance(schema, dict) else ""
        for name, schema in properties.items()
    }


def _ends(tool: ToolSpec) -> frozenset[str]:
    return frozenset(_end(name) for name in _arguments(tool))


def _end(argument: str) -> str:
    """The last word of an argument's name: what kind of thing it is."""
    return plain(_parts(argument)[-1])


def _parts(name: str) -> list[str]:
    """The words of a name in snake, kebab or camel case.

    >>> _parts("sendMoney_to")
    ['send', 'Money', 'to']
    """
    return re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name) or [name]
