"""The formats by name."""

from __future__ import annotations

from collections.abc import Mapping

from memory.errors import BadInput
from memory.moving.importers import (
    agentgym,
    knowagent,
    langgraph,
    letta,
    openai,
    swe_agent,
    tau_bench,
    voyager,
)
from memory.moving.importers.records import Importer

FORMATS: Mapping[str, Importer] = {
    "openai": openai.read,
    "agentgym": agentgym.read,
    "swe-agent": swe_agent.read,
    "tau-bench": tau_bench.read,
    "knowagent": knowagent.read,
    "letta": letta.read,
    "langgraph": langgraph.read,
    "voyager": voyager.read,
}


def importer(name: str) -> Importer:
    """The importer of a format. Raises BadInput naming those there are."""
    if name not in FORMATS:
        raise BadInput(f"the format {name!r} is none of {', '.join(FORMATS)}")
    return FORMATS[name]
