"""What is run: sites, seeds and sizes, fixed before the first run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from agent.worlds.site import held_out_sites
from distill.settings import TrainSettings

ROOT = Path(__file__).resolve().parent.parent.parent
TINY = ROOT / "agent" / "models" / "tiny"
WORLD = "household"
FIRST = 20
"""The sites before were looked at by other benches or while the model was made."""
Work = TypeVar("Work")


@dataclass(frozen=True, slots=True)
class Plan:
    """One run of the bench."""

    folder: Path
    """For adapters and databases."""
    out: Path
    """Where the raw results go."""
    sites: tuple[str, ...] = field(default_factory=lambda: held_out_sites(FIRST + 4)[FIRST:])
    """One a seed: what is learned at one is of no use at another."""
    n_sites: int = 3
    """Of them, but for the first study, which is at all."""
    episodes: int = 500
    """In a pool."""
    gate: int = 32
    """Tasks that nobody works on."""
    worked: int = 60
    """Tasks that the bundled model works on, twice each, for what it is to internalise."""
    known_site: str = "scarlet 45"
    """Where the bundled model does well enough without memory to lose something."""
    retained: int = 100
    """Sites at which it is asked whether memory is still read."""
    train: TrainSettings = field(default_factory=lambda: TrainSettings(epochs=0.01, min_updates=400))
    """Every arm is given as many updates, whatever its rows."""
    part: tuple[int, int] = (0, 1)
    """Which of how many processes this is; sites are dealt out."""
    is_quick: bool = False

    @property
    def quick(self) -> Plan:
        """Does it run? Too small to say anything."""
        train = replace(self.train, min_updates=6)
        return replace(
            self, sites=self.sites[:1], episodes=40, gate=12, retained=8, worked=6, train=train, is_quick=True
        )

    def dealt(self, work: Sequence[Work], first: int = 0) -> Sequence[Work]:
        """What of it this process does; the process `first` takes the first."""
        part, parts = self.part
        return work[(part - first) % parts :: parts]

    def notes(self, phase: str) -> Path:
        """The file of this process's results."""
        suffix = f"-{self.part[0]}" if self.part[1] > 1 else ""
        return self.out / f"distill-{phase}{suffix}.jsonl"
