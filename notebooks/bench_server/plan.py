"""What is run: contenders, loads and sizes, fixed before the first run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
UPSTREAM, PROXY = "upstream", "litellm proxy"
MODES = {"ours, memory on": "learn", "ours, frozen": "frozen", "ours, memory off": "off"}
"""Our server by what its memory does."""
PLACES = (UPSTREAM, PROXY, *MODES)


@dataclass(frozen=True, slots=True)
class Plan:
    """One run of the bench."""

    folder: Path
    """For data, settings and logs."""
    out: Path
    """Where the raw results go."""
    proxy: Path
    """LiteLLM's command, in an environment of its own."""
    levels: tuple[int, ...] = (1, 16, 128)
    """Clients that ask at once, each as soon as it was answered."""
    rounds: int = 5
    """Contenders take turns in each, in another order each time."""
    requests: tuple[int, ...] = (60, 320, 640)
    """Of one contender in one round, by level."""
    warm: int = 20
    """Requests before anything is measured."""
    think_s: float = 0.02
    """What the upstream takes for an answer."""
    items: int = 1000
    """In the memory of the namespace that asks."""
    streams: int = 1000
    """Followers of a task that waits."""
    soak_s: float = 1800.0
    is_quick: bool = False

    @property
    def quick(self) -> Plan:
        """Does it run? Too small to say anything."""
        return replace(
            self,
            levels=(1, 4),
            rounds=1,
            requests=(5, 12),
            warm=2,
            items=20,
            streams=20,
            soak_s=5.0,
            is_quick=True,
        )

    def notes(self, phase: str) -> Path:
        """The file of a phase's results."""
        return self.out / f"server-{phase}.jsonl"
