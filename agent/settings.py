"""How an agent uses its memory and its model, and what one attempt is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from agent.builders.settings import MineSettings
from agent.types import Budget, Model
from memory.types import Channel, ItemKind, Mode, ReadName


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """How an agent uses its memory and its model."""

    k: int = 4
    """Most items recalled; the literature is flat from 1 to 8."""
    token_budget: int = 1024
    """For recalled items."""
    constitution_budget: int = 600
    """Tokens of principles."""
    drop_rate: float = 0.0
    """Share of recalled items and of active principles held out, to learn what they are worth."""
    hold_out: float = 0.0
    """Share of episodes that are shown no recalled item at all, to learn what recall is worth."""
    trial_rate: float = 1.0
    """Share of episodes that are shown a principle on trial. At 1, with nothing dropped, no coin is tossed:
    then there is no lift, and principles rise by their evidence alone."""
    enforces_principles: bool = True
    """Is an act sent back that a principle shown forbids word for word? Once where it was learned, see
    `agent.guards.principles`."""
    max_reply_tokens: int | None = None
    temperature: float = 0.0
    tool_timeout_s: float | None = 60.0
    """For one call of a tool."""
    approval_s: float = 0.0
    """Seconds that a run waits for a human where a guard asks for one; 0 takes no for an answer at once."""
    reflection_tokens: int = 512
    """Longest reflection."""
    reflection_calls: int = 1
    """Most model calls to look back at one episode; 0 leaves learning to counters. More than one are used
    only where a large model's answer cannot be read: it is told so."""
    reflect_every: int = 0
    """Steps after which a run that learns looks back at itself, and tells the model what it found; then also
    on errors and when it stalls. 0 is never: small models were not trained on being told in the middle. Of
    the calls of reflection one is left for the end."""
    recall_on_failure: bool = False
    """Ask memory again, with the step and what went wrong, when a step fails. Models that were trained on
    what is recalled at the opening alone may be confused by it."""
    mixture: tuple[tuple[ReadName, float], ...] = ()
    """Read policies, one of which is drawn for each episode, with their chances, 1 together; the first serves
    where no coin is tossed. Empty is the policy that the memory was opened with."""
    procedures: Literal["inline", "index", "off"] = "inline"
    """Recalled procedures whole, or by titles with a tool that gives the rest (`agent.shelf`), or none."""
    tool_notes: bool = True
    """Are notes on tools recalled?"""
    tools: bool = False
    """Are tools recalled that agents wrote? Only who can run them has a use for them, see `agent.forge`."""
    safety: bool = False
    """Are hazards that were met or foreseen recalled, with what to do instead? See `agent.generate.safe`."""
    mined_episodes: int = 50
    """Recent episodes of the same family that are mined for principles with the new one."""
    mining: MineSettings = field(default_factory=MineSettings)
    """What is looked for in them."""

    @property
    def kinds(self) -> tuple[ItemKind, ...]:
        """What recall looks for."""
        procedures: tuple[ItemKind, ...] = () if self.procedures == "off" else ("procedure",)
        notes: tuple[ItemKind, ...] = ("tool_note",) if self.tool_notes else ()
        hazards: tuple[ItemKind, ...] = ("safety",) if self.safety else ()
        return ("case", *procedures, *notes, *hazards, *(("tool",) if self.tools else ()))

    def is_indexed(self, model: Model) -> bool:
        """Is the model shown titles? Only one that calls tools by name can ask for the rest."""
        return self.procedures == "index" and model.style == "full"


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt: whose it is, what it is called, and how far it may go."""

    namespace: str
    principal: str
    episode_id: str
    seed: int = 0
    memory: Mode = "learn"
    """What memory does for it, see `memory.modes`."""
    budget: Budget = field(default_factory=Budget)
    family_scope: bool = True
    """Recall only what holds for the task's family (and what holds everywhere)."""
    group: str = ""
    """Attempts to be compared; empty means the task's id."""
    channel: Channel = "user"
    """How the task came in: where the trust of the context starts."""
    constitution: str | None = None
    """A frozen version to be served in the place of what is in force, whatever family it was frozen for."""
