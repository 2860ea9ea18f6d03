"""The planners by the names that settings and requests give them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from agent.desk import Planner
from agent.planners.belief import Belief
from agent.planners.explore import Explore
from agent.planners.flow import Flow
from agent.planners.goals import Goals
from agent.planners.plan import Plan
from agent.planners.pool import PoolOfAttempts
from agent.planners.react import React
from agent.planners.search import Search
from agent.planners.team import Team
from agent.planners.thoughts import GraphOfThoughts
from agent.planners.tree import Tree
from memory.errors import BadInput

PLANNERS: Mapping[str, Callable[[], Planner]] = MappingProxyType(
    {
        "react": React,
        "plan": Plan,
        "tree": Tree,
        "goals": Goals,
        "belief": Belief,
        "team": Team,
        "search": Search,
        "explore": Explore,
        "pool": PoolOfAttempts,
        "thoughts": GraphOfThoughts,
        "flow": Flow,
    }
)
"""Each as it is with its defaults."""


def planner_named(name: str) -> Planner:
    """A planner with its defaults; `goals:` may say where it searches, `team:` who is in it,
    `flow:` which item of memory is followed.

    Raises BadInput on an unknown name.

    >>> planner_named("plan").name, planner_named("goals:web").name
    ('plan', 'goals')
    """
    kind, _, about = name.partition(":")
    if kind == "goals" and about:
        return Goals.of(about)
    if kind == "flow" and about:
        return Flow(item=about)
    if kind == "team" and about:
        return Team.of(about)
    if name not in PLANNERS:
        raise BadInput(f"there is no planner {name!r}; there are: {', '.join(PLANNERS)}")
    return PLANNERS[name]()
