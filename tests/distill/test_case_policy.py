"""`case_policy` as a job: the critic of a memory's cases, by the same command as every recipe."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from distill.case_policy import fit_case_policy
from distill.progress import Progress
from distill.spec import read_job
from memory.encoder import HashEncoder
from memory.errors import DistillError
from memory.types import Episode, Evidence, Item, Json, Lineage, Query, Recalled, RecallRecord
from memory.value.neural import load
from tests.distill.episodes import NAMESPACE, make_episode, make_item, write_bundle

RINSE, WARM = "rinse a mug with water", "warm a soup on the stove"


def lived(n: int = 120) -> list[Episode]:
    """Rinsing helps mugs, warming helps soups; every fourth is shown nothing and fails half the time."""
    chance, found = random.Random(1), []
    for place in range(n):
        thing, item = chance.choice(("mug", "soup")), chance.choice(("rinse", "warm"))
        question = f"what to do with the {thing} number {place}"
        helps = (item == "rinse") == (thing == "mug")
        shown = () if place % 4 == 0 else (Recalled(item, 1, 0.5, 1.0, True),)
        is_good = helps if shown else place % 8 == 0
        record = RecallRecord(Query(NAMESPACE, question), 1, "hash", shown)
        one = make_episode(f"e{place}", outcome="success" if is_good else "failure")
        found.append(replace(one, recall=record, started_at=float(place)))
    return found


def items(made_of: str = "") -> list[Item]:
    """The two items; `made_of` is the episode that both were made of."""
    lineage = Lineage((Evidence(made_of, 1),)) if made_of else Lineage()
    return [
        replace(make_item(name), text=text, lineage=lineage)
        for name, text in (("rinse", RINSE), ("warm", WARM))
    ]


def job(folder: Path, episodes: list[Episode], kept: list[Item]) -> Path:
    write_bundle(folder / "bundle", episodes, kept)
    told = {"recipe": "case_policy", "base": "none", "bundle": "bundle", "namespace": NAMESPACE, "out": "out"}
    (folder / "job.json").write_text(json.dumps({**told, "encoder": "hash"}), encoding="utf-8")
    return folder


def fitted(folder: Path) -> dict[str, Json]:
    return fit_case_policy(read_job(folder), folder, Progress(folder / "progress.jsonl"))


def test_the_critic_is_fitted_by_its_name(tmp_path: Path) -> None:
    """By the one command. What was held out is ranked; the baseline is what came of nothing shown."""
    folder = job(tmp_path, lived(), items())
    done = subprocess.run(
        [sys.executable, "-m", "distill", str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert report["held_out"]["n"] == 90
    assert report["held_out"]["critic"] > 0.9 > 0.7 > report["held_out"]["per_case"]
    assert report["reward"]["nothing shown"] == 0.5
    load(Path(report["critic"]), HashEncoder().generation)


def test_an_item_says_nothing_of_the_task_it_was_made_of(tmp_path: Path) -> None:
    """It may know how that went."""
    report = fitted(job(tmp_path, lived(), items(made_of="e1")))
    assert isinstance(report["held_out"], dict)
    assert report["held_out"]["n"] == 89


@pytest.mark.parametrize("keep", ["nothing shown", "nothing admitted"])
def test_without_anything_to_learn_from_it_is_refused(tmp_path: Path, keep: str) -> None:
    """With the reason."""
    bare = [one for n, one in enumerate(lived(8)) if n % 4 == 0]
    told = bare if keep == "nothing shown" else [replace(one, outcome="unknown") for one in lived(8)]
    with pytest.raises(DistillError, match="nothing to learn"):
        fitted(job(tmp_path, told, items()))
