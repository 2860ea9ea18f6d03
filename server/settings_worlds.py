"""Settings of worlds of others: which are offered, and where they are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator
from pydantic_settings import BaseSettings, NoDecode

Foreign = Literal["scienceworld", "alfworld", "miniwob", "babyai"]


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

    worlds: Annotated[tuple[Foreign, ...], NoDecode] = ()
    """Worlds of others that tasks may be set in, `scienceworld`, `alfworld`, `miniwob`, `babyai`, see
    docs/worlds.md; their packages have to be installed. Comma-separated."""
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
