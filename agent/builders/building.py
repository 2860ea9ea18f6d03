"""The three ways a constitution is built, by name, and what their proposals do to memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType

from agent.builders import neural, neurosymbolic
from agent.builders.ops import Builder, BuilderName, Built, Operation, Window
from agent.builders.settings import MineSettings
from agent.builders.symbolic import operations, spanning
from agent.trail import EXTERNAL
from agent.types import Model
from memory.core import Memory
from memory.errors import BadInput, Conflict, Denied, NotFound
from memory.types import Channel, Draft, Lineage, PrincipleBody
from memory.writing.admission import as_draft


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """How a constitution is built."""

    mining: MineSettings = field(default_factory=MineSettings)
    max_tokens: int = 1024
    """Longest answer of a model."""
    share: float = 0.6
    """Share of a principle's words that must stand in what it cites: large models paraphrase."""
    most: int = 10
    """Operations that a model may propose in one build."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What operations did to memory."""

    items: tuple[str, ...] = ()
    """Ids of the principles added, worded anew, merged or seen again."""
    retired: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    """Why memory refused some."""


def by_counting(settings: BuildSettings) -> Builder:
    """Counters alone; no model is asked."""

    async def build(window: Window) -> Built:
        found = spanning(window.episodes, settings.mining)
        return Built(operations(((one, False) for one in found), window))

    return build


def by_model(model: Model | None, settings: BuildSettings) -> Builder:
    """A model alone. Raises BadInput without one."""
    asked = _needed(model, "neural")
    return partial(
        neural.propose,
        model=asked,
        max_tokens=settings.max_tokens,
        share=settings.share,
        most=settings.most,
    )


def by_both(model: Model | None, settings: BuildSettings) -> Builder:
    """Counters propose, a model words and merges. Raises BadInput without one."""
    asked = _needed(model, "neuro-symbolic")
    return partial(neurosymbolic.propose, model=asked, mining=settings.mining, max_tokens=settings.max_tokens)


BUILDERS: Mapping[BuilderName, Callable[[Model | None, BuildSettings], Builder]] = MappingProxyType(
    {"symbolic": lambda _, settings: by_counting(settings), "neural": by_model, "neuro-symbolic": by_both}
)


def apply(
    operations: Sequence[Operation],
    window: Window,
    memory: Memory,
    namespace: str,
    *,
    principal: str,
    key: str,
) -> Applied:
    """Carry operations out, one by one; again under the same key changes nothing more.

    What was seen of outside sources is trusted no more than they are, and changes nothing that is there. What
    memory refuses, a secret for instance, or a principle that is gone, is named; the others go on.
    """
    outside = {e.id for e in window.episodes if any(m.agent == EXTERNAL for m in e.messages)}
    items: list[str] = []
    retired: list[str] = []
    refused: list[str] = []
    for number, one in enumerate(operations):
        is_outside = any(piece.episode in outside for piece in one.evidence)
        if is_outside and one.action not in {"add", "keep"}:
            refused.append(f"{one.action}: the episode saw strangers")
            continue
        author = _Author(memory, namespace, principal, "external" if is_outside else "reflection")
        try:
            said = author.says(one, f"{key}/{number}")
            gone = author.takes_back(one, said)
        except (BadInput, Conflict, Denied, NotFound) as error:
            refused.append(f"{one.action}: {error}")
        else:
            items += said
            retired += gone
    return Applied(tuple(dict.fromkeys(items)), tuple(dict.fromkeys(retired)), tuple(refused))


@dataclass(frozen=True, slots=True)
class _Author:
    """Who changes which memory."""

    memory: Memory
    namespace: str
    principal: str
    channel: Channel

    def says(self, one: Operation, key: str) -> list[str]:
        """Ids of what memory holds because of it."""
        if one.action == "retire":
            return []
        draft = one.draft or self._again(one)
        memory, principal, channel = self.memory, self.principal, self.channel
        if one.action == "merge":
            merged = memory.merge(self.namespace, one.targets, draft, principal=principal, channel=channel)
            return [merged.id]
        said = memory.remember(
            self.namespace, [draft], principal=principal, channel=channel, idempotency_key=key
        )
        return [item.id for item in said]

    def takes_back(self, one: Operation, said: Sequence[str]) -> list[str]:
        """Ids of what is retired by it; a merge has retired its parts itself."""
        if one.action in {"add", "keep"}:
            return []
        gone = [target for target in one.targets if target not in said]
        if one.action != "merge":
            for target in gone:
                self.memory.forget(self.namespace, target, principal=self.principal, channel=self.channel)
        return gone

    def _again(self, one: Operation) -> Draft:
        """To keep a principle is to say it again with more evidence."""
        held = self.memory.get(self.namespace, one.targets[0])
        assert isinstance(held.body, PrincipleBody), f"{held.kind} {held.id} among the principles"
        body = PrincipleBody(held.body.tier, held.body.builder, len({e.episode for e in one.evidence}))
        return replace(as_draft(held), body=body, lineage=Lineage(one.evidence))


def _needed(model: Model | None, name: BuilderName) -> Model:
    if model is None:
        raise BadInput(f"the {name} builder needs a model; only `symbolic` works without one")
    return model
