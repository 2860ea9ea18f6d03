"""The systems that are compared: each as it was published, and ours as it is shipped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from agent.opening import AgentSettings
from memory.recall.choosing import RecallSettings
from memory.types import Mode, ReadName
from memory.value.reads import ReadSettings
from memory.value.steps import GATE, StepSettings


@dataclass(frozen=True, slots=True)
class Arm:
    """How an agent remembers."""

    said: str
    agent: AgentSettings = field(default_factory=AgentSettings)
    recall: RecallSettings = field(default_factory=RecallSettings)
    mode: Mode = "learn"
    is_per_task: bool = False
    """Only what the same task taught is remembered."""
    advantage: StepSettings | None = None
    tidied_every: int = 0
    """Episodes after which memory is put in order, which is when procedures are drawn; 0 is never."""
    says_why: bool = False
    """A failed case also says which rule was broken: a case as small models are shown one does not."""


CASES = AgentSettings(constitution_budget=0, mined_episodes=0)
"""Systems that keep cases and nothing else."""
COINS = AgentSettings(drop_rate=0.1, trial_rate=0.9)


def reads(policy: ReadName, weight: float = 1.0) -> RecallSettings:
    """A policy as it was published; `weight` is MemRL's λ."""
    return RecallSettings(utility_weight=weight, recency_weight=0.0, read=ReadSettings(policy))


MAIN: Mapping[str, Arm] = MappingProxyType({
    "off": Arm("no memory", mode="off"),
    "cosine": Arm("cases by cosine (Memento, non-parametric)", CASES, reads("cosine")),
    "episodic": Arm("cases by kernel episodic control", CASES, reads("episodic")),
    "per-case Q": Arm("cases by their own Q and similarity (MemRL)", CASES, reads("per_case", 0.5)),
    "cosine, told why": Arm(
        "the same, a failed case also says which rule it broke", CASES, reads("cosine"), says_why=True
    ),
    "per-case Q, told why": Arm("so here", CASES, reads("per_case", 0.5), says_why=True),
    "reflexion": Arm("what the task's own attempts taught (Reflexion)", is_per_task=True),
    "ours": Arm("as shipped: per-case Q, constitution, no coins"),
})  # fmt: skip
MORE: Mapping[str, Arm] = MappingProxyType({
    "ours, read by cosine": Arm("the same constitution", recall=reads("cosine")),
    "ours, read by episodic control": Arm("the same constitution", recall=reads("episodic")),
    "ours, read by lift": Arm("coins: .1 dropped, .9 of trials shown", COINS, reads("lift", 0.5)),
    "ours, nothing enforced": Arm(
        "principles are shown alone", AgentSettings(enforces_principles=False)
    ),
    "ours with coins": Arm("coins: .1 dropped, .9 of trials shown", COINS),
    "ours with guard": Arm("refuses once what was credibly worse here", advantage=GATE),
})  # fmt: skip
"""Variants of ours, at half of the sites."""
