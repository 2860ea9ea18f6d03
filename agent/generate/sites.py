"""The bundled sites as a world with knobs: where, which skill, how many tasks of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.generate.worlds import Config
from agent.types import Task
from agent.worlds.catalogue import catalogue
from agent.worlds.domain import SITE_WORDS, WORLDS
from memory.errors import BadInput
from memory.types import Json


@dataclass(frozen=True, slots=True)
class Sites:
    """The sites of one bundled world; its skills are the families of tasks that are set in training."""

    world: str

    def config_schema(self) -> Mapping[str, Json]:
        """Every knob with its values."""
        named = f"^(?:{'|'.join(SITE_WORDS)}) (?:2[1-9]|[345][0-9]|60)$"
        skills: list[Json] = list(self.skills())
        properties: Json = {
            "site": {"type": "string", "pattern": named},
            "skill": {"enum": skills},
            "n": {"type": "integer", "minimum": 1, "maximum": 8},
        }
        required: Json = ["site", "skill", "n"]
        return {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        }

    def skills(self) -> tuple[str, ...]:
        """Carrying, one for each process, looking."""
        return ("put", *(process.verb for process in WORLDS[self.world].processes), "look")

    def rules(self) -> str:
        """What a site is, without what it hides."""
        return (
            f"Sites of the {self.world}, each with places, machines of which some are broken, hidden things "
            "and rules of its own. A task asks for one skill: " + ", ".join(self.skills()) + "."
        )

    def tasks(self, config: Config, seed: int = 0) -> tuple[Task, ...]:
        """The tasks of a configuration, none of those that the gate keeps.

        Raises BadInput where the site has nothing for the skill.
        """
        n, skill = int(str(config["n"])), config["skill"]
        drawn = catalogue(self.world).tasks(
            site=str(config["site"]), split="work", n=n * len(self.skills()), seed=seed
        )
        found = tuple(task for task in drawn if task.config["family"] == skill)[:n]
        if not found:
            there = sorted({str(task.config["family"]) for task in drawn})
            raise BadInput(f"{config['site']!r} has no task of {skill!r}; it has {', '.join(there)}")
        return found
