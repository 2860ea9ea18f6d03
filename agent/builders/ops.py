"""What a builder is: it looks at episodes and proposes changes to the constitution, each with its evidence.

Source: OmniReflect (arXiv 2506.17449) names neural, symbolic and neuro-symbolic construction and no more;
the operations and the rule `no evidence, no entry` are a reconstruction. Rewriting wears rules away, so an
edit is a new principle in the place of an old one, which stays in the history. Pure.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from agent.learning.support import is_supported
from agent.prompt import Lesson
from memory.types import GLOBAL, Draft, Episode, Evidence, Item, Lineage, PrincipleBody, Usage
from memory.words import plain_words

Action = Literal["add", "edit", "merge", "retire", "keep"]
BuilderName = Literal["symbolic", "neural", "neuro-symbolic"]
_NEGATIONS = frozenset({"not", "never", "no", "don", "without", "avoid", "cannot", "nothing"})


@dataclass(frozen=True, slots=True)
class Operation:
    """One change to a constitution."""

    action: Action
    targets: tuple[str, ...] = ()
    """Ids of the principles it is about; none for `add`."""
    draft: Draft | None = None
    """What is to be said; for `add`, `edit` and `merge`."""
    evidence: tuple[Evidence, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Window:
    """What a builder looks at."""

    episodes: tuple[Episode, ...]
    """Oldest first."""
    principles: tuple[Item, ...] = ()
    """Those in force."""

    def learnable(self) -> tuple[Episode, ...]:
        """The episodes that went well or badly: others teach nothing."""
        return tuple(one for one in self.episodes if one.outcome in {"success", "failure"})


@dataclass(frozen=True, slots=True)
class Built:
    """What a builder proposes, and what it cost."""

    operations: tuple[Operation, ...] = ()
    rejected: tuple[str, ...] = ()
    """Why a model's proposals were not taken."""
    usage: Usage = field(default_factory=Usage)
    error: str | None = None
    """Why a model had no say."""


Builder = Callable[[Window], Awaitable[Built]]


def sifted(
    operations: Iterable[Operation], window: Window, share: float
) -> tuple[tuple[Operation, ...], tuple[str, ...]]:
    """What of a model's operations holds, and why the others do not.

    Every cited message must be there and be something done or seen. What is to be said must be borne out by
    it: `share` of its words, and every name with its number; evidence of episodes that do not bear it out is
    left away. What people wrote or pinned is not the model's to change.
    """
    held: list[Operation] = []
    refused: list[str] = []
    for one in operations:
        try:
            held.append(_checked(one, window, share))
        except _Unfounded as fault:
            refused.append(str(fault))
    return tuple(held), tuple(refused)


class _Unfounded(ValueError):  # control flow inside this file
    """Why an operation does not hold."""


def _checked(one: Operation, window: Window, share: float) -> Operation:
    principles = {item.id: item for item in window.principles}
    for target in one.targets:
        if target not in principles:
            raise _Unfounded(f"{one.action}: there is no principle {target!r}")
        if one.action != "keep" and _is_given(principles[target]):
            raise _Unfounded(f"{one.action}: {principles[target].text!r} is not for agents to change")
    needed = {"add": 0, "merge": 2}.get(one.action, 1)
    if len(set(one.targets)) < needed or (one.action != "merge" and len(one.targets) != needed):
        raise _Unfounded(f"{one.action}: {len(one.targets)} principles are named")
    if not one.evidence:
        raise _Unfounded(f"{one.action}: no evidence, no entry")
    if one.action == "retire":
        _seen(one, window)
        return one
    text = principles[one.targets[0]].text if one.action == "keep" else one.draft.text if one.draft else ""
    evidence = _borne_out(text, _seen(one, window), window, share)
    if not evidence:
        raise _Unfounded(f"{one.action}: {text!r} is not borne out by what it cites")
    draft = one.draft and with_evidence(one.draft, evidence)
    return replace(one, evidence=evidence, draft=draft)


def as_held(draft: Draft, item: Item | None) -> Draft:
    """The draft in the words and the reach of a principle that says the same."""
    if item is None:
        return draft
    assert isinstance(draft.body, PrincipleBody), f"a {draft.kind} among the principles"
    assert isinstance(item.body, PrincipleBody), f"a {item.kind} among the principles"
    body = replace(draft.body, tier=item.body.tier)
    return replace(draft, text=item.text, body=body, scope=item.scope, family=item.family)


def is_negative(text: str) -> bool:
    """Does it say what not to do? Then what the world refused is evidence too.

    >>> is_negative("Never open drawer 3."), is_negative("open drawer 3")
    (True, False)
    """
    return not _NEGATIONS.isdisjoint(plain_words(text))


def _is_given(item: Item) -> bool:
    return item.pinned or item.channel in {"operator", "user"} or item.namespace == GLOBAL


def _seen(one: Operation, window: Window) -> tuple[Evidence, ...]:
    """The evidence, all of it there."""
    episodes = {episode.id: episode for episode in window.learnable()}
    for piece in one.evidence:
        episode = episodes.get(piece.episode)
        if episode is None or not 0 <= piece.message < len(episode.messages):
            raise _Unfounded(f"{one.action}: there is no message {piece.message} of {piece.episode!r}")
        if episode.messages[piece.message].kind not in {"act", "observe", "answer"}:
            raise _Unfounded(f"{one.action}: message {piece.message} of {piece.episode!r} is not evidence")
    return tuple(dict.fromkeys(one.evidence))


def _borne_out(
    text: str, evidence: tuple[Evidence, ...], window: Window, share: float
) -> tuple[Evidence, ...]:
    held: list[Evidence] = []
    for episode in window.learnable():
        own = tuple(piece for piece in evidence if piece.episode == episode.id)
        if own and is_supported(Lesson(text, "rule", own), episode, share, refused=is_negative(text)):
            held += own
    return tuple(held)


def with_evidence(draft: Draft, evidence: tuple[Evidence, ...]) -> Draft:
    """The draft with the numbers that the evidence gives it; a model has no say in them."""
    assert isinstance(draft.body, PrincipleBody), f"a {draft.kind} among the principles"
    support = len({piece.episode for piece in evidence})
    lineage = Lineage(evidence, draft.lineage.items)
    return replace(draft, body=replace(draft.body, support=support), lineage=lineage)
