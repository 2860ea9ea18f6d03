"""The sources by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from agent.types import Ask, Model
from distill.sources.edge import AtFrontier, mae
from distill.sources.evolving import EvolveFailed
from distill.sources.introspecting import Introspect
from distill.sources.known import TaskSource
from distill.sources.played import Imagine, RiskOrders
from distill.sources.reading import FromDocument
from memory.errors import BadInput

Make = Callable[[Model, Ask], TaskSource]
"""From who works and who plays the world, which only sources that play their tasks need."""
SOURCES: Mapping[str, Make] = MappingProxyType(
    {
        "evolve_failed": lambda _, __: EvolveFailed(),
        "frontier": lambda _, __: AtFrontier(),
        "from_document": lambda _, __: FromDocument(),
        "imagine": Imagine,
        "introspect": lambda _, __: Introspect(),
        "mae": lambda _, __: mae(),
        "risk_scenarios": RiskOrders,
    }
)


def source_named(name: str, agent: Model, world: Ask) -> TaskSource:
    """The source of that name. Raises BadInput."""
    check_source(name)
    return SOURCES[name](agent, world)


def check_source(name: str) -> None:
    """Raises BadInput on a name that is no source's."""
    if name not in SOURCES:
        raise BadInput(f"no source of tasks is called {name!r}; there are {', '.join(SOURCES)}")
