"""The part of a distillation before any weights are read: what can be refused is refused here, at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.models.local.identity import FolderIdentity, identify
from agent.types import Task
from distill import dataset as files
from distill.build import build
from distill.bundle import read_bundle, shown_items
from distill.progress import Progress
from distill.recipes import recipe_named
from distill.spec import JobForm
from distill.suites import Suite, frozen_tasks, refuse_seen
from distill.types import Dataset, Recipe


@dataclass(frozen=True, slots=True)
class Prepared:
    """What training and the gate need."""

    recipe: Recipe
    dataset: Dataset
    base: FolderIdentity
    """Of the model that training starts from."""
    encoder: str
    """Generation of the vectors that memory searched with."""
    tasks: Mapping[Suite, tuple[Task, ...]]
    """Frozen before anything is trained."""
    items: tuple[str, ...] = ()
    """Shown to the episodes that train."""


def prepare(form: JobForm, folder: Path, progress: Progress) -> Prepared:
    """Freeze the suites, read the bundle, write the dataset to `folder/dataset`.

    Raises DistillError, ModelError or BadInput when the job cannot or must not be done.
    """
    recipe = recipe_named(form.recipe)
    base = identify(form.base)
    suites = tuple(suite.suite() for suite in form.suites)
    tasks = {suite: frozen_tasks(suite, form.seeds) for suite in suites}
    progress.tell("read", 0, 1, f"reading the bundle of namespace {form.namespace}")
    bundle = read_bundle(form.bundle, form.namespace)
    refuse_seen((task for group in tasks.values() for task in group), bundle.task_ids)
    progress.tell("build", 0, 1, f"recipe {recipe.name} over {len(bundle.episodes)} episodes")
    dataset = build(recipe, bundle, form.seed, form.admission)
    files.write(dataset, recipe, folder / "dataset")
    message = f"{len(dataset.rows)} rows, {len(dataset.rejected)} episodes left out"
    progress.tell("build", 1, 1, message, {"rows": len(dataset.rows), "rejected": len(dataset.rejected)})
    used = frozenset(dataset.episodes)
    items = {item for e in bundle.episodes if e.id in used for item in shown_items(e)}
    return Prepared(recipe, dataset, base, bundle.encoder, tasks, tuple(sorted(items)))
