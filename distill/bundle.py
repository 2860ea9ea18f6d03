"""An exported memory as distillation reads it: episodes, what they were shown, and whether they may teach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from distill.types import Rejected
from memory.errors import BadInput, DistillError
from memory.moving import bundle
from memory.types import TRUST, Episode, EpisodeOrigin


@dataclass(frozen=True, slots=True)
class Bundle:
    """Episodes of one namespace, sorted by id, and the trust of every item."""

    namespace: str
    episodes: tuple[Episode, ...]
    trust: Mapping[str, int]
    """By item id, see `memory.types.TRUST`."""
    encoder: str = ""
    """Generation of the vectors that memory searched with."""

    @property
    def task_ids(self) -> frozenset[str]:
        """Tasks that memory has seen."""
        return frozenset(episode.task_id for episode in self.episodes)


@dataclass(frozen=True, slots=True)
class Admission:
    """What an episode must be to teach."""

    min_trust: int = TRUST["reflection"]
    """Lowest trust of any item that its prompt showed."""
    origins: tuple[EpisodeOrigin, ...] = ("real",)
    """Imagined and synthetic episodes are refused unless named here."""

    def refusal(self, episode: Episode, trust: Mapping[str, int]) -> str | None:
        """Why this episode may not teach, or None."""
        if episode.forgotten is not None:
            return f"it was forgotten: {episode.forgotten}"
        if episode.outcome in {"unknown", "infra"}:
            return f"the outcome is {episode.outcome}"
        if episode.origin not in self.origins:
            return f"the origin is {episode.origin}"
        if episode.channel is not None and TRUST[episode.channel] < self.min_trust:
            return f"it was imported through {episode.channel!r}, of trust below {self.min_trust}"
        for item in shown_items(episode):
            if item not in trust:
                return f"it was shown item {item}, which memory no longer holds"
            if trust[item] < self.min_trust:
                return f"it was shown item {item} of trust {trust[item]}, below {self.min_trust}"
        return None


def read_bundle(folder: Path, namespace: str) -> Bundle:
    """Read what `Memory.export` wrote. Raises DistillError when it is broken, changed or another's."""
    try:
        found = bundle.read(folder)
    except BadInput as error:
        raise DistillError(f"{error}; export it again") from error
    if found.manifest.namespace != namespace:
        raise DistillError(f"the bundle is of namespace {found.manifest.namespace!r}, not {namespace!r}")
    if not found.episodes:
        raise DistillError(f"the bundle {str(folder)!r} holds no episode")
    trust = {item.id: item.trust for item in found.items}
    episodes = tuple(sorted(found.episodes, key=lambda episode: episode.id))
    return Bundle(namespace, episodes, trust, found.manifest.encoder)


def shown_items(episode: Episode) -> tuple[str, ...]:
    """Ids of the items and principles that the prompt showed."""
    record = episode.recall
    if record is None:
        return ()
    items = [recalled.item for recalled in record.items if recalled.shown]
    return (*items, *(principle.partition("@")[0] for principle in record.constitution))


def admit(source: Bundle, admission: Admission) -> tuple[tuple[Episode, ...], tuple[Rejected, ...]]:
    """The episodes that may teach, and the others with the reason."""
    reasons = {episode.id: admission.refusal(episode, source.trust) for episode in source.episodes}
    admitted = tuple(episode for episode in source.episodes if reasons[episode.id] is None)
    return admitted, tuple(Rejected(id_, reason) for id_, reason in reasons.items() if reason is not None)
