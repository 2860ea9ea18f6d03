"""Formulas and specifications from text; the language is told in `docs/automaton.md`. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from agent.automaton.dfa import Automaton, automaton_of
from agent.automaton.formula import (
    FALSE,
    TRUE,
    Formula,
    Is,
    More,
    Next,
    Release,
    Until,
    both,
    either,
    labels_of,
    negated,
)
from memory.errors import BadInput

START, END = "start", "end"
_TOKEN = re.compile(r"\s*(?:(->|[()!&|])|([A-Za-z_](?:[\w.]|-(?!>))*))")
_UNARY = frozenset({"not", "!", "next", "weaknext", "eventually", "always"})
_BINARY = ("until", "unless")
_WORDS = frozenset({*_UNARY, *_BINARY, "and", "or", "true", "false", "last", START, END})
_RULE = re.compile(r"([\w.-]+)\s*:\s*(.+)")


@dataclass(frozen=True, slots=True)
class Specification:
    """What may follow what, and everything else that has to hold."""

    formula: Formula
    labels: tuple[str, ...]
    """In the order they were named."""
    is_closed: bool = False
    """May no other labels come?"""

    @property
    def automaton(self) -> Automaton:
        """Compiled. Raises BadInput when no trace fulfils it, TooLarge when it needs too many states."""
        return automaton_of(self.formula, self.labels)


def parse(text: str) -> Formula:
    """A formula.

    >>> parse("always (write -> eventually read)") == parse("always(!write | eventually read)")
    True

    Raises BadInput on text that is none, naming the place.
    """
    reader = _Reader(text)
    formula = reader.implication()
    reader.must_be_over()
    return formula


def specification(text: str) -> Specification:
    """A specification: rules of succession `label: label | label | end`, and formulas, one a line.

    Raises BadInput on a line that is neither, naming it, and on labels that follow but have no rule.
    """
    parts: list[Formula] = []
    followers: dict[str, list[str]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        said = line.partition("#")[0].strip()
        if not said:
            continue
        rule = _RULE.fullmatch(said)
        try:
            if rule is None:
                parts.append(parse(said))
            else:
                followers.setdefault(_rule_of(rule[1]), []).extend(_followers(rule[2]))
        except BadInput as error:
            raise BadInput(f"line {number}, {said!r}: {error}") from error
    parts += [_succession(label, then) for label, then in followers.items()]
    named = tuple(dict.fromkeys([*followers, *(one for then in followers.values() for one in then)]))
    labels = tuple(label for label in named if label not in {START, END})
    if missing := [label for label in labels if label not in followers]:
        raise BadInput(f"nothing is said of what follows {missing[0]!r}: add `{missing[0]}: end` or labels")
    if followers:
        # Rules of succession tell all there is: other labels have no place.
        parts.append(Release(FALSE, either(*map(Is, labels))))
    formula = both(*parts)
    spoken = tuple(sorted(labels_of(formula) - set(labels)))
    return Specification(formula, (*labels, *spoken), is_closed=bool(followers))


def _rule_of(label: str) -> str:
    if label == END:
        raise BadInput(f"nothing follows {END!r}: it stands on the right of a rule")
    return label


def _followers(text: str) -> Iterator[str]:
    for label in text.split("|"):
        if not re.fullmatch(r"[\w.-]+", label.strip()) or label.strip() == START:
            raise BadInput(f"{label.strip()!r} is no label: give labels with `|` between them")
        yield label.strip()


def _succession(label: str, then: list[str]) -> Formula:
    follow = either(*(Is(one) for one in then if one != END))
    if label == START:
        return either(follow, More(positive=False)) if END in then else both(More(), follow)
    return Release(FALSE, either(Is(label, positive=False), Next(follow, weak=END in then)))


class _Reader:
    """Reads a formula by recursive descent."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, int]] = []
        at = 0
        while at < len(text.rstrip()):
            found = _TOKEN.match(text, at)
            if found is None:
                raise BadInput(f"{text[at:].strip()[:20]!r} at {at} is no part of a formula")
            self._tokens.append((found[1] or found[2], found.start(1) if found[1] else found.start(2)))
            at = found.end()
        self._at = 0

    def implication(self) -> Formula:
        left = self._disjunction()
        if self._takes("->"):
            return either(negated(left), self.implication())
        return left

    def must_be_over(self) -> None:
        if self._at < len(self._tokens):
            token, at = self._tokens[self._at]
            raise BadInput(f"{token!r} at {at} has no place there")

    def _disjunction(self) -> Formula:
        formula = self._conjunction()
        while self._takes("|", "or"):
            formula = either(formula, self._conjunction())
        return formula

    def _conjunction(self) -> Formula:
        formula = self._pair()
        while self._takes("&", "and"):
            formula = both(formula, self._pair())
        return formula

    def _pair(self) -> Formula:
        left = self._unary()
        if self._takes("until"):
            return Until(left, self._pair())
        if self._takes("unless"):
            right = self._pair()
            return Release(right, either(left, right))
        return left

    def _unary(self) -> Formula:
        if self._takes("not", "!"):
            return negated(self._unary())
        if self._takes("next"):
            return Next(self._unary())
        if self._takes("weaknext"):
            return Next(self._unary(), weak=True)
        if self._takes("eventually"):
            return Until(TRUE, self._unary())
        if self._takes("always"):
            return Release(FALSE, self._unary())
        return self._atom()

    def _atom(self) -> Formula:
        if self._at >= len(self._tokens):
            raise BadInput(f"{self._text.strip()!r} ends where a formula is wanted")
        token, at = self._tokens[self._at]
        if token == "(":
            self._at += 1
            formula = self.implication()
            if not self._takes(")"):
                raise BadInput(f"the bracket at {at} is not closed")
            return formula
        self._at += 1
        if token in {"true", "false"}:
            return TRUE if token == "true" else FALSE
        if token == "last":
            return Next(FALSE, weak=True)
        if token in _WORDS or not re.match(r"\w", token):
            raise BadInput(f"{token!r} at {at} stands where a label is wanted")
        return Is(token)

    def _takes(self, *tokens: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at][0] in tokens:
            self._at += 1
            return True
        return False
