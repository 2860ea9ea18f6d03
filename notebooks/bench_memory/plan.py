"""How much is measured, and whom."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from material import SPARE, synthetic
from protocol import Seat

PEERS = ("chroma", "mem0-faiss", "mem0-qdrant", "lancedb", "sqlite-vec")
RAW = ("faiss-flat", "faiss-ivf", "faiss-hnsw")
WRITERS = ("queue", "queue-same-rows", "batch-64", "batch-500")


@dataclass(frozen=True)
class Plan:
    """One run."""

    folder: Path
    """On the disk to measure; databases and material."""
    notes: Path
    """Where raw results go."""
    cells: tuple[tuple[int, int], ...] = (
        (10_000, 1),
        (10_000, 100),
        (100_000, 1),
        (100_000, 100),
        (1_000_000, 1),
    )
    """Items and namespaces."""
    peers: tuple[str, ...] = PEERS
    repeats: int = 5
    questions: int = 50
    """In a round, or fewer where a round takes its seconds."""
    seconds: float = 1.5
    writes_base: int = 10_000
    writes_spare: int = 200_000
    load_limit_s: float = 300.0
    """For up to 100,000 items; four times that for more."""
    keep: bool = False
    """Leave loaded databases for the next run, and take those of the last."""
    kills: int = 10
    starts: int = 3

    @property
    def quick(self) -> Plan:
        """Does it run?"""
        return replace(
            self,
            cells=((1_000, 1),),
            peers=(),
            repeats=2,
            questions=10,
            seconds=0.2,
            writes_base=1_000,
            writes_spare=20_000,
            kills=1,
            starts=1,
        )

    def material(self, n: int, spare: int = SPARE) -> Path:
        return synthetic(self.folder / "material", n, spare)

    def seats(self, names: tuple[str, ...], phase: str, material: Path, n_spaces: int) -> list[Seat]:
        """Who takes part; on empty folders, unless what is loaded is kept."""
        home = self.folder / phase / f"{material.name}-{n_spaces}"
        if not self.keep:
            shutil.rmtree(home, ignore_errors=True)
        return [Seat(name, home / name, material, n_spaces) for name in names]
