"""The job file: what a distillation is asked to do. Bytes enter here and are checked."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from distill.bundle import Admission
from distill.settings import TrainSettings
from distill.suites import Role, Suite
from memory.errors import DistillError
from memory.types import TRUST, EpisodeOrigin


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SuiteForm(_Form):
    """One entry of `suites`."""

    name: str = Field(min_length=1)
    world: str
    site: str
    split: str = "gate"
    n: int = Field(default=20, gt=0)
    role: Role | None = None
    """Left out: `retain` when the name begins with `ret`, else `adapt`."""
    seeds: tuple[int, ...] | None = None
    """Left out: the job's."""

    def suite(self) -> Suite:
        """As the gate knows it."""
        role = self.role or ("retain" if self.name.startswith("ret") else "adapt")
        return Suite(self.name, self.world, self.site, self.split, self.n, role)


class JobForm(_Form):
    """`job.json`; folders are absolute or relative to the job's own."""

    recipe: str
    base: Path
    """Model folder to start from."""
    bundle: Path
    """What `Memory.export` wrote."""
    namespace: str
    out: Path
    """The registry's folder."""
    train: TrainSettings = TrainSettings()
    seed: int = Field(default=0, ge=0)
    suites: tuple[SuiteForm, ...] = ()
    seeds: tuple[int, ...] = (0,)
    """Each draws its own tasks for every suite."""
    encoder: str | None = None
    """For the arms with memory; left out, the bundled one whose vectors the bundle holds."""
    tolerance: float = Field(default=0.1, ge=0, le=1)
    """How much success a retain suite may lose."""
    min_trust: int = Field(default=TRUST["reflection"], ge=0, le=TRUST["operator"])
    origins: tuple[EpisodeOrigin, ...] = ("real",)
    promote: bool = True
    """Let the adapter serve when the gate says so."""
    proposer: str = ""
    """Who asks for it, and may not let it serve by hand."""
    dry_run: bool = False
    """Only report what would be kept, masked and rejected."""
    general: Path | None = None
    """Conversations for recipes that mix some in, see `distill.general`."""
    earlier: bool = True
    """Run again the suites of adapters that served, so that what they could do is not forgotten."""

    @field_validator("train", mode="before")
    @classmethod
    def _knows_its_fields(cls, value: object) -> object:
        if isinstance(value, dict):
            unknown = sorted(set(value) - {field.name for field in fields(TrainSettings)})
            if unknown:
                raise ValueError(f"train has no setting {', '.join(map(repr, unknown))}")
        return value

    @property
    def admission(self) -> Admission:
        """Which episodes may teach."""
        return Admission(self.min_trust, self.origins)


def read_job(folder: Path) -> JobForm:
    """The job of a folder, its paths made absolute. Raises DistillError."""
    path = folder / "job.json"
    try:
        form = JobForm.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise DistillError(f"{str(path)!r} is not a valid job: {error}") from error
    named = ("base", "bundle", "out", *(("general",) if form.general is not None else ()))
    return form.model_copy(update={name: (folder / getattr(form, name)).resolve() for name in named})
