"""What distillations keep of a memory: bundles, datasets, the gate's own memory; found and removed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

_TEXTS = ("bundle", "dataset", "memory", "train")
"""Folders of a job that hold words of the memory."""


def datasets(jobs: Path, namespace: str, episodes: Iterable[str]) -> tuple[str, ...]:
    """Names of the jobs whose dataset has rows of any of the episodes, in order."""
    named = frozenset(episodes)
    return tuple(job.name for job, used in _manifests(jobs, namespace) if not named.isdisjoint(used))


def remove(jobs: Path, namespace: str) -> tuple[str, ...]:
    """Remove everything that jobs of a namespace keep in words; reports stay. Returns the names of the jobs.

    Every bundle is a copy of the whole namespace as it was.
    """
    cleaned: list[str] = []
    for job in sorted(jobs.glob("*/job.json")):
        folders = [job.parent / name for name in _TEXTS if (job.parent / name).exists()]
        if folders and _namespace(job) == namespace:
            for folder in folders:
                shutil.rmtree(folder)
            cleaned.append(job.parent.name)
    return tuple(cleaned)


def _manifests(jobs: Path, namespace: str) -> Iterator[tuple[Path, list[str]]]:
    for folder in sorted(jobs.glob("*/dataset")):
        # Stages that the last one went on from have folders of their own below.
        manifests = [json.loads(path.read_text("utf-8")) for path in folder.glob("**/manifest.json")]
        if manifests and manifests[0]["namespace"] == namespace:
            yield folder.parent, [id_ for one in manifests for id_ in one["episodes"]]


def _namespace(job: Path) -> str | None:
    found = json.loads(job.read_text("utf-8")).get("namespace")
    return None if found is None else str(found)
