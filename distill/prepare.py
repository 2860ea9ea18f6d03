"""The part of a distillation before any weights are read: what can be refused is refused here, at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from agent.models.local.identity import FolderIdentity, identify
from distill import dataset as files
from distill.build import build
from distill.bundle import Bundle, read_bundle, shown_items
from distill.general import GENERAL, read_general
from distill.progress import Progress
from distill.recipes import recipe_named, stages
from distill.registry import Registry
from distill.retention import Learned
from distill.spec import JobForm
from distill.suites import Frozen, Suite, freeze, refuse_seen
from distill.types import Dataset, Recipe, Rejected
from memory.modes import USES


@dataclass(frozen=True, slots=True)
class Prepared:
    """What training and the gate need."""

    recipe: Recipe
    dataset: Dataset
    """Of the last stage."""
    base: FolderIdentity
    """Of the model that training starts from."""
    encoder: str
    """Generation of the vectors that memory searched with."""
    suites: tuple[Frozen, ...]
    """Frozen before anything is trained; the job's own, then those of adapters that served."""
    history: tuple[Learned, ...] = ()
    """What those could do."""
    items: tuple[str, ...] = ()
    """Shown to the episodes that train."""
    before: tuple[Dataset, ...] = ()
    """Of the stages that the recipe goes on from, in order."""

    @property
    def stages(self) -> tuple[Dataset, ...]:
        """Of all stages."""
        return (*self.before, self.dataset)

    @property
    def episodes(self) -> tuple[str, ...]:
        """Ids of all that train in any stage, in order."""
        return tuple(sorted({id_ for one in self.stages for id_ in one.episodes}))


def prepare(form: JobForm, folder: Path, progress: Progress) -> Prepared:
    """Freeze the suites, read the bundle, write the dataset to `folder/dataset`.

    Raises DistillError, ModelError or BadInput when the job cannot or must not be done.
    """
    recipe = recipe_named(form.recipe)
    base = identify(form.base)
    history = Registry(form.out).served(form.namespace, base.weights) if form.earlier else ()
    asked = tuple((suite.suite(), suite.seeds or form.seeds) for suite in form.suites)
    suites = freeze((*asked, *(_earlier(history) if asked else ())))
    progress.tell("read", 0, 1, f"reading the bundle of namespace {form.namespace}")
    bundle, unused = _unlearned(read_bundle(form.bundle, form.namespace), suites)
    refuse_seen((task for one in suites for task in one.tasks), bundle.task_ids)
    progress.tell("build", 0, 1, f"recipe {recipe.name} over {len(bundle.episodes)} episodes")
    dataset = _built(form, recipe, bundle)
    dataset = replace(dataset, rejected=(*dataset.rejected, *unused))
    files.write(dataset, recipe, folder / "dataset")
    before = tuple(_before(form, one, bundle, folder) for one in stages(recipe)[:-1])
    message = f"{len(dataset.rows)} rows, {len(dataset.rejected)} episodes left out"
    progress.tell("build", 1, 1, message, {"rows": len(dataset.rows), "rejected": len(dataset.rejected)})
    prepared = Prepared(recipe, dataset, base, bundle.encoder, suites, history, before=before)
    used = frozenset(prepared.episodes)
    items = {item for e in bundle.episodes if e.id in used for item in shown_items(e)}
    return replace(prepared, items=tuple(sorted(items)))


def _before(form: JobForm, recipe: Recipe, bundle: Bundle, folder: Path) -> Dataset:
    """The dataset of a stage before the last, in a folder of its own."""
    dataset = _built(form, recipe, bundle)
    files.write(dataset, recipe, folder / "dataset" / recipe.name)
    return dataset


def _built(form: JobForm, recipe: Recipe, bundle: Bundle) -> Dataset:
    beside = form.base / GENERAL
    path = form.general or (beside if beside.exists() else None)
    general = () if path is None else read_general(path)
    return build(recipe, bundle, form.seed, form.admission, general)


def _earlier(history: Iterable[Learned]) -> Iterable[tuple[Suite, tuple[int, ...]]]:
    """What adapters that served had learned or kept is to be kept."""
    for one in history:
        for score in one.scores:
            if score.suite.role in ("adapt", "retain"):
                yield replace(score.suite, role="retain"), score.seeds


def _unlearned(bundle: Bundle, suites: Iterable[Frozen]) -> tuple[Bundle, tuple[Rejected, ...]]:
    """Without episodes of gate tasks that memory did not learn from: those void nothing and teach nothing."""
    held = {task.id for one in suites for task in one.tasks}
    unused = {e.id for e in bundle.episodes if e.task_id in held and not USES[e.mode].learns}
    kept = tuple(episode for episode in bundle.episodes if episode.id not in unused)
    reason = "its task is one of the gate's; memory did not learn from it"
    return replace(bundle, episodes=kept), tuple(Rejected(id_, reason) for id_ in sorted(unused))
