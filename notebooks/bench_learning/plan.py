"""What is run: sites, seeds and sizes, fixed before the first run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from agent.worlds.site import held_out_sites

ROOT = Path(__file__).resolve().parent.parent.parent
TINY = ROOT / "agent" / "models" / "tiny"
WORLD = "household"
FIRST, N_SITES = 12, 8
"""Of the held-out sites the first twelve were looked at while the model was made."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One run of the bench."""

    folder: Path
    """For databases; emptied at the start of each part."""
    out: Path
    """Where the raw results go."""
    sites: tuple[str, ...] = field(default_factory=lambda: held_out_sites(24)[FIRST : FIRST + N_SITES])
    seeds: tuple[int, ...] = (1, 2, 3, 4, 5)
    """Draw the tasks of a site and their order."""
    tasks: int = 16
    """Different ones at a site."""
    passes: int = 3
    """Times each is met."""
    unseen: int = 8
    """Tasks of the gate at the end, with memory frozen."""
    part: tuple[int, int] = (0, 1)
    """Which of how many processes this is; seeds are dealt out."""
    is_quick: bool = False

    @property
    def quick(self) -> Plan:
        """Does it run? Too small to say anything."""
        return replace(self, sites=self.sites[:2], seeds=(1,), tasks=4, passes=2, unseen=2, is_quick=True)

    @property
    def own_seeds(self) -> tuple[int, ...]:
        """Of this process."""
        return self.seeds[self.part[0] :: self.part[1]]

    def notes(self, phase: str) -> Path:
        """The file of this process's results."""
        suffix = f"-{self.part[0]}" if self.part[1] > 1 else ""
        return self.out / f"learning-{phase}{suffix}.jsonl"
