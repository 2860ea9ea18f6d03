"""Settings of worlds of others: which are offered, and where they are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator
from pydantic_settings import BaseSettings, NoDecode

FOREIGN = ("scienceworld", "alfworld", "miniwob", "babyai", "textworld", "pddl")
_OWN = re.compile(r"[\w.-]+=[\w.]+:\w+")


class GymAt(BaseModel):
    """What has to be known of a server that speaks AgentGym's HTTP API, see `agent/worlds/gym.py`."""

    model_config = ConfigDict(extra="forbid")

    url: str
    splits: dict[str, tuple[Annotated[int, Field(ge=0)], int]]
    index: str = "data_idx"
    beside: dict[str, JsonValue] = {}
    full: Annotated[float, Field(gt=0)] = 1.0


class WorldSettings(BaseSettings, use_attribute_docstrings=True):
    """What an operator can set of them."""

    worlds: Annotated[tuple[str, ...], NoDecode] = ()
    """Worlds beside the bundled ones that tasks may be set in, comma-separated: `scienceworld`, `alfworld`,
    `miniwob`, `babyai`, `textworld`, `pddl`, whose packages have to be installed (see docs/worlds.md), or
    your own as `name=module:catalogue` (see docs/guides/world.md)."""
    alfworld_data: Path | None = None
    """The folder `json_2.1.1` of ALFWorld's games, the one that holds `train` and `valid_seen`."""
    gyms: dict[str, GymAt] = {}
    """Servers that speak AgentGym's HTTP API, as worlds by name, as JSON, e.g. `{"crafts": {"url":
    "http://127.0.0.1:36001", "splits": {"test": [0, 100]}}}`: splits by their first number and the one after
    their last."""

    @field_validator("worlds", mode="before")
    @classmethod
    def _split_names(cls, value: object) -> object:
        return (
            [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
        )

    @field_validator("worlds")
    @classmethod
    def _known(cls, worlds: tuple[str, ...]) -> tuple[str, ...]:
        for world in worlds:
            if world not in FOREIGN and not _OWN.fullmatch(world):
                raise ValueError(
                    f"no world is called {world!r}: there are {', '.join(FOREIGN)}, and any of your own as"
                    " name=module:catalogue"
                )
        return worlds
