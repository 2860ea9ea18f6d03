"""Recipe `case_policy`: no weights of a model, but the critic that chooses cases, fitted on what was lived.

Source: Zhou et al. 2025 (Memento / AgentFly), arXiv 2508.16153, the learned retrieval policy. Ours: folds are
by question, an item that was made of a task is left out of its questions, and the report says what the same
families come to with nothing shown. Subtracting that from the scores would change no choice: it is one
number for all items of a question.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean

from distill.bundle import Bundle, admit, read_bundle
from distill.critic import FitSettings, compared, fit, rows_of
from distill.progress import Progress
from distill.spec import JobForm
from memory.encoder import Encoder, open_encoder
from memory.errors import DistillError
from memory.moving import bundle as exported
from memory.types import Episode, Item, Json
from memory.value.means import reward_of
from memory.value.neural import save

CASE_POLICY = "case_policy"


def fit_case_policy(form: JobForm, folder: Path, progress: Progress) -> dict[str, Json]:
    """Fit the critic of the job's bundle into `folder/critic`, for `APPRENTICE_CRITIC`; what it is worth.

    The base model is not read. Raises DistillError, BadInput.
    """
    progress.tell("read", 0, 1, f"reading the bundle of namespace {form.namespace}")
    bundle = read_bundle(form.bundle, form.namespace)
    items = {item.id: item for item in exported.read(form.bundle).items}
    episodes = sorted(admit(bundle, form.admission)[0], key=lambda one: (one.started_at, one.id))
    encoder, settings = _encoder(form.encoder, bundle), FitSettings(seed=form.seed)
    texts = {name: item.text for name, item in items.items()}
    rows = rows_of(episodes, texts, encoder, own=_tasks_of(items, bundle))
    progress.tell("train", 0, 1, f"{len(rows.items)} uses of items at {len(set(rows.questions))} questions")
    report = compared(rows, encoder.generation, settings)
    save(fit(rows.inputs, rows.rewards, encoder.generation, settings), folder / "critic")
    progress.tell("train", 1, 1, f"a success is put above a failure with probability {report.critic:.3f}")
    return {
        "recipe": CASE_POLICY,
        "critic": str(folder / "critic"),
        "held_out": {key: round(value, 4) for key, value in asdict(report).items()},
        "reward": {"shown": round(float(rows.rewards.mean()), 4), "nothing shown": _baseline(episodes)},
    }


def _tasks_of(items: Mapping[str, Item], bundle: Bundle) -> dict[str, frozenset[str]]:
    """The tasks whose attempts each item was made of."""
    task_of = {episode.id: episode.task_id for episode in bundle.episodes}
    return {
        name: frozenset(task_of[one.episode] for one in item.lineage.evidence if one.episode in task_of)
        for name, item in items.items()
    }


def _baseline(episodes: Sequence[Episode]) -> float | None:
    """Mean reward of episodes that were shown nothing, in families where others were; None without any."""
    shown = {e.family for e in episodes if e.recall is not None and any(one.shown for one in e.recall.items)}
    found = [
        reward
        for e in episodes
        if e.family in shown and (e.recall is None or not any(one.shown for one in e.recall.items))
        if (reward := reward_of(e)) is not None
    ]
    return round(fmean(found), 4) if found else None


def _encoder(name: str | None, bundle: Bundle) -> Encoder:
    """That of the job, else a bundled one of the generation that memory searched with."""
    if name is not None:
        return open_encoder(name)
    for known in ("minilm", "hash"):
        encoder = open_encoder(known)
        if encoder.generation == bundle.encoder:
            return encoder
    raise DistillError(f"memory used encoder {bundle.encoder!r}; name it as `encoder` in the job")
