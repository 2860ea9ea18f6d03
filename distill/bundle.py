"""An exported memory as distillation reads it: episodes, what they were shown, and whether they may teach."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from distill.types import Rejected
from memory.codec import from_json
from memory.errors import DistillError
from memory.types import TRUST, Episode, EpisodeOrigin, Item, Json


@dataclass(frozen=True, slots=True)
class Bundle:
    """Episodes of one namespace, sorted by id, and the trust of every item."""

    namespace: str
    episodes: tuple[Episode, ...]
    trust: Mapping[str, int]
    """Item id to its lowest trust, see `memory.types.TRUST`."""

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
        if episode.outcome in {"unknown", "infra"}:
            return f"the outcome is {episode.outcome}"
        if episode.origin not in self.origins:
            return f"the origin is {episode.origin}"
        for item in shown_items(episode):
            if item not in trust:
                return f"it was shown item {item}, which memory no longer holds"
            if trust[item] < self.min_trust:
                return f"it was shown item {item} of trust {trust[item]}, below {self.min_trust}"
        return None


def read_bundle(folder: Path, namespace: str) -> Bundle:
    """Read what `Memory.export` wrote. Raises DistillError on a missing or malformed file."""
    episodes = [from_json(Episode, line) for line in _lines(folder / "episodes.jsonl")]
    trust: dict[str, int] = {}
    for line in _lines(folder / "items.jsonl"):
        item = from_json(Item, line)
        trust[item.id] = min(item.trust, trust.get(item.id, item.trust))
    mine = sorted((e for e in episodes if e.namespace == namespace), key=lambda e: e.id)
    if not mine:
        raise DistillError(f"the bundle {str(folder)!r} holds no episode of namespace {namespace!r}")
    return Bundle(namespace, tuple(mine), trust)


def shown_items(episode: Episode) -> tuple[str, ...]:
    """Ids of the items and principles that the prompt showed."""
    record = episode.recall
    if record is None:
        return ()
    items = [recalled.item for recalled in record.items if recalled.shown]
    return (*items, *(principle.partition("@")[0] for principle in record.constitution))


def admit(bundle: Bundle, admission: Admission) -> tuple[tuple[Episode, ...], tuple[Rejected, ...]]:
    """The episodes that may teach, and the others with the reason."""
    reasons = {episode.id: admission.refusal(episode, bundle.trust) for episode in bundle.episodes}
    admitted = tuple(episode for episode in bundle.episodes if reasons[episode.id] is None)
    return admitted, tuple(Rejected(id_, reason) for id_, reason in reasons.items() if reason is not None)


def _lines(path: Path) -> list[Json]:
    try:
        text = path.read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise DistillError(
            f"the bundle file {str(path)!r} cannot be read: {error}; export it again"
        ) from error
