"""What a job folder says of itself, read for a page. Files enter here and are checked."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from distill.dataset import read_rows
from distill.types import Row
from memory.errors import DistillError


class _Read(BaseModel):
    # Reports grow: what a page does not show is passed over.
    model_config = ConfigDict(frozen=True, extra="ignore")


class ArmSeen(_Read):
    """One arm on one suite."""

    success: float
    ci: tuple[float, float]
    steps: float
    n: int
    violations: float = 0.0
    tokens_per_success: float | None = None


class DifferenceSeen(_Read):
    """The adapter against the base on one suite."""

    role: str
    success: float
    ci: tuple[float, float]
    pairs: int
    p: float


class RejectedSeen(_Read):
    """An episode that does not teach."""

    episode: str
    reason: str


class DatasetSeen(_Read):
    """What was learned from."""

    hash: str
    rows: int
    tokens: int
    episodes: int
    rejected: tuple[RejectedSeen, ...] = ()


class TrainSeen(_Read):
    """How."""

    updates: int
    seconds: float
    first_loss: float
    last_loss: float


class ReportSeen(_Read):
    """`report.json` of a job that ran to its end."""

    adapter: str
    promoted: bool
    reason: str
    arms: dict[str, dict[str, ArmSeen]] = {}
    difference: dict[str, DifferenceSeen] = {}
    dataset: DatasetSeen
    train: TrainSeen


@dataclass(frozen=True, slots=True)
class Seen:
    """One distillation."""

    name: str
    recipe: str
    method: str
    namespace: str
    report: ReportSeen
    losses: tuple[float, ...]
    """One an update."""
    seconds: dict[str, float]
    """Between the first and last word of each stage."""
    rows: tuple[Row, ...]

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """Why episodes do not teach, the most frequent first."""
        return Counter(one.reason for one in self.report.dataset.rejected).most_common()


def read_job_folder(folder: Path) -> Seen:
    """A job that ran to its end. Raises DistillError where it did not, or its words were forgotten."""
    try:
        report = ReportSeen.model_validate_json((folder / "report.json").read_bytes())
        told = [json.loads(line) for line in (folder / "progress.jsonl").read_text("utf-8").splitlines()]
        manifest = json.loads((folder / "dataset" / "manifest.json").read_bytes())
    except (OSError, ValueError, ValidationError) as error:
        raise DistillError(
            f"distillation {folder.name!r} has no report to show: it did not end with an adapter, or what it "
            f"learned from was erased ({type(error).__name__})"
        ) from error
    stages = dict.fromkeys(str(line["stage"]) for line in told)
    times = {name: [float(line["at"]) for line in told if line["stage"] == name] for name in stages}
    return Seen(
        name=folder.name,
        recipe=manifest["recipe"],
        method=manifest["method"],
        namespace=manifest["namespace"],
        report=report,
        losses=tuple(float(line["metrics"]["loss"]) for line in told if "loss" in line["metrics"]),
        seconds={name: at[-1] - at[0] for name, at in times.items()},
        rows=read_rows(folder / "dataset"),
    )
