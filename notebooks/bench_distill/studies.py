"""Recipes compared on one pool: every arm starts from the bundled model and is given as many updates."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass

from agent.models.local.model import LocalModel
from agent.types import Model
from distill.recipes import recipe_named
from distill.select import Both, Everything, Success
from distill.shapes.conditioning import ConditionOnFeedback
from distill.shapes.masks import MaskErrors, Whole
from distill.signals.advantages import Advantage
from distill.signals.combined import Positive
from distill.signals.outcomes import Uniform
from distill.types import Recipe, Row, Select, Stream
from memory.types import Episode
from notebooks.bench_distill.arms import made, scored, trained
from notebooks.bench_distill.general import remembered, replayed
from notebooks.bench_distill.plan import TINY, Plan
from notebooks.bench_distill.pools import Worker, cleared, gate, pool
from notebooks.bench_learning.notes import Notes

BASE = "bundled model"


@dataclass(frozen=True, slots=True)
class Faultless:
    """Episodes without a wrong act."""

    def __call__(self, episodes: Sequence[Episode]) -> tuple[Episode, ...]:
        return tuple(e for e in episodes if all(message.ok is not False for message in e.messages))


@dataclass(frozen=True, slots=True)
class Arm:
    """A recipe and what it is called in the tables."""

    name: str
    recipe: Recipe
    prefixes: tuple[str, ...] = ("",)
    """What is asked of it before a task's text."""


@dataclass(frozen=True, slots=True)
class Study:
    """One pool and what is made of it."""

    name: str
    workers: tuple[Worker, ...]
    is_marked: bool
    """Do episodes say which act was wrong?"""
    arms: tuple[Arm, ...]
    retention: bool = False
    """Is what the bundled model could do before measured too?"""
    at_all_sites: bool = False


def cloned(name: str, select: Select) -> Recipe:
    """Every word of the assistant."""
    return Recipe(name, select, Uniform(), Whole())


def mixed(share: float) -> Recipe:
    """`step` with so large a share of its own rows; the rest is what the bundled model does elsewhere."""
    general = (Stream("general", Whole(), share=1 - share, of="general"),) if share < 1 else ()
    return Recipe(f"step, {share:.0%} memory", Success(), Uniform(), MaskErrors(), mixture=general)


MASKS = Study(
    "masks",
    (Worker(0.35),),
    is_marked=True,
    arms=(
        Arm("all tokens", cloned("all tokens", Success())),
        Arm("masked", recipe_named("step")),
        Arm("clean only", cloned("clean only", Both((Success(), Faultless())))),
    ),
    at_all_sites=True,
)
CREDIT = Study(
    "credit",
    (Worker(0.1), Worker(0.4), Worker(0.8)),
    is_marked=False,
    arms=(
        Arm("cloning", cloned("cloning", Everything())),
        Arm("successes", cloned("successes", Success())),
        Arm("steps, exp(A / 0.3)", recipe_named("read")),
        Arm("steps, A > 0", Recipe("positive", Everything(), Positive(Advantage()), Whole())),
        Arm(
            "behind its feedback",
            recipe_named("faft"),
            prefixes=(ConditionOnFeedback().best, "wanted: failure, many steps."),
        ),
    ),
)
MIXTURE = Study(
    "mixture",
    (Worker(0.35),),
    is_marked=True,
    arms=tuple(Arm(f"{share:.0%} memory", mixed(share)) for share in (1.0, 0.5, 0.2)),
    retention=True,
)


def measure(study: Study, plan: Plan) -> None:
    """All arms at this process's sites that are not in the notes yet."""
    notes = Notes(plan.notes(study.name))
    sites = plan.sites[: None if study.at_all_sites else plan.n_sites]
    for site, arm in plan.dealt([(site, arm) for site in sites for arm in (None, *study.arms)]):
        if notes.has("arm", site=site, arm=BASE if arm is None else arm.name):
            continue
        if arm is None:
            _base(study, plan, notes, site)
        else:
            _measured(study, arm, plan, notes, site)


def _base(study: Study, plan: Plan, notes: Notes, site: str) -> None:
    with closing(LocalModel.load(TINY, name="tiny")) as model:
        notes.add("arm", study=study.name, site=site, arm=BASE, **_scores(study, model, plan, site, ""))


def _measured(study: Study, arm: Arm, plan: Plan, notes: Notes, site: str) -> None:
    seed = plan.sites.index(site)
    episodes = pool(site, plan.episodes, study.workers, seed)
    if not study.is_marked:
        episodes = tuple(map(cleared, episodes))
    general: tuple[Row, ...] = replayed(plan.episodes) if arm.recipe.mixture else ()
    dataset = made(arm.recipe, episodes, seed, general)
    begun = time.monotonic()
    with closing(trained(dataset, plan, f"{study.name}-{seed}", seed)) as model:
        seconds = round(time.monotonic() - begun)
        for prefix in arm.prefixes:
            scores = _scores(study, model, plan, site, prefix)
            asked = {"study": study.name, "prefix": prefix, "rows": len(dataset.rows), "seconds": seconds}
            notes.add("arm", site=site, arm=arm.name, **asked, **scores)


def _scores(study: Study, model: Model, plan: Plan, site: str, prefix: str) -> dict[str, object]:
    tasks = gate(site, plan.gate)
    told: dict[str, object] = {
        start: asdict(scored(model, tasks, stumble=start == "stumbled", prefix=prefix))
        for start in ("clean", "stumbled")
    }
    if study.retention:
        told["retained"] = remembered(model, plan.retained)
    return told
