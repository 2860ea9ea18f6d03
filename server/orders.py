"""A task as a job stores it: what was asked for, by whom, and what holds it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from agent.automaton.speaking import protocol_of
from agent.deliberate.presets import PresetName
from agent.guards.files import load_policy
from agent.opening import Run
from agent.types import Budget
from distill.sources.known import Lineage
from memory.modes import ModeName, mode_of
from memory.types import Channel, Episode, Json, Mode
from server.agents import Ways


@dataclass(frozen=True, slots=True)
class TaskOrder:
    """A task as it is stored with its job."""

    world: str
    family: str
    text: str
    config: dict[str, Json]
    model: str
    memory: ModeName
    """What request, dial and server came to. Releases before 0.3 wrote `on` and `read`."""
    budget: Budget
    seed: int
    principal: str
    channel: Channel
    asked_memory: ModeName | None = None
    """What the request itself said."""
    constitution: str | None = None
    """A frozen version to be served."""
    planner: str | None = None
    """What the request itself said."""
    policy: dict[str, Json] | None = None
    """Rules of the request, beside the server's."""
    deliberate: PresetName | None = None
    """What the request itself said."""
    speaking: str | None = None
    """What the request itself said: the text of a specification."""
    held: tuple[dict[str, Json], ...] = ()
    """What held the tasks that this one comes from, see `server.spawning`."""
    depth: int = 0
    """How many tasks stand above it; 0 where a caller set it."""
    proposed: Lineage | None = None
    """Where it comes from, if a source of tasks proposed it; its episode says so too."""

    @property
    def mode(self) -> Mode:
        """What memory does for it."""
        return mode_of(self.memory)

    def marked(self, episode: Episode) -> Episode:
        """The episode with where its task comes from."""
        if self.proposed is None:
            return episode
        return replace(episode, feedback={**episode.feedback, **self.proposed.feedback()})

    def ways(self) -> Ways:
        """How the request wants it worked on, where it says so."""
        policy = None if self.policy is None else load_policy(self.policy)
        protocol = None if self.speaking is None else protocol_of(self.speaking)
        held = tuple(load_policy(one) for one in self.held)
        return Ways(self.planner, policy, self.deliberate, protocol, held, self.depth)

    def attempt(self, namespace: str, episode: str) -> Run:
        """The run that the task asks for, and the episode it leaves."""
        return Run(
            namespace,
            self.principal,
            episode,
            seed=self.seed,
            memory=self.mode,
            budget=self.budget,
            channel=self.channel,
            constitution=self.constitution,
        )
