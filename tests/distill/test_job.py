"""`python -m distill` as the server runs it: a folder in, an adapter and a report out."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from agent.loop import Agent
from agent.opening import Run
from agent.worlds.catalogue import catalogue
from distill import copies
from distill.bundle import read_bundle
from distill.general import GENERAL
from distill.job import Job, run_job
from distill.prepare import prepare
from distill.progress import Progress
from distill.registry import Registry
from distill.spec import read_job
from distill.suites import Suite, frozen_tasks
from memory.core import Memory
from memory.encoder import HashEncoder
from memory.errors import DistillError
from memory.types import Episode, Json
from tests.distill.episodes import write_bundle
from tests.distill.expert import expert_model
from tests.distill.lived import everything
from tests.distill.tiny import make_folder

SITE = "maple 27"
NAMESPACE = "home"
SEEN: dict[str, Json] = {"name": "adapt", "world": "household", "site": SITE, "split": "work", "n": 12}
"""The very tasks that the episodes are of."""


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """What an owner has after some work: the bundle of twelve solved tasks, and a model with their words."""
    folder = tmp_path_factory.mktemp("worked")
    episodes = asyncio.run(_work(folder))
    words = " ".join(message.text for episode in episodes for message in episode.messages)
    return folder / "bundle", make_folder(folder / "tiny", words=words, context=1024)


async def _work(folder: Path) -> list[Episode]:
    tasks = catalogue("household").tasks(site=SITE, split="work", n=12)
    with Memory.open(folder / "memory.db", encoder=HashEncoder()) as memory:
        agent = Agent(await expert_model(tasks), memory)
        episodes: list[Episode] = []
        for number, task in enumerate(tasks):
            run = Run(NAMESPACE, "worker", f"e{number}", memory="learn")
            episode = await agent.run(task, catalogue(task.world).make(), run)
            memory.record(episode, principal="worker")
            episodes.append(episode)
        memory.export(NAMESPACE, folder / "bundle")
    assert all(episode.outcome == "success" for episode in episodes)
    return episodes


def _job(folder: Path, worked: tuple[Path, Path], **changes: Json) -> Path:
    bundle, base = worked
    job: dict[str, Json] = {
        "recipe": "step",
        "base": str(base),
        "bundle": str(bundle),
        "namespace": NAMESPACE,
        "train": {"epochs": 2, "min_updates": 1, "rank": 4},
        "seed": 0,
        "suites": [{"name": "adapt", "world": "household", "site": SITE, "split": "gate", "n": 3}],
        "seeds": [0],
        "out": str(folder / "adapters"),
        **changes,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    return folder


def _start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "distill", str(folder)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=120)
    return process.returncode, output


def _progress(folder: Path) -> list[dict[str, Json]]:
    path = folder / "progress.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def _stages(lines: Sequence[dict[str, Json]]) -> list[Json]:
    return list(dict.fromkeys(line["stage"] for line in lines))


def _wait_for_training(folder: Path, process: subprocess.Popen[str]) -> None:
    deadline, tick = time.monotonic() + 60, threading.Event()
    while not any(line["stage"] == "train" and line["metrics"] for line in _progress(folder)):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        tick.wait(0.05)


class TestWhole:
    """From memory to an adapter with a verdict."""

    def test_a_job_ends_with_an_adapter_and_a_report(self, tmp_path: Path, worked: tuple[Path, Path]) -> None:
        """Stages in order, four arms, a loss that fell, an adapter that loads; three tasks prove nothing."""
        folder = _job(tmp_path, worked)
        code, output = _finish(_start(folder))
        assert code == 0, output
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        assert _stages(_progress(folder)) == ["read", "build", "train", "register", "gate", "done"]
        assert set(report["arms"]["adapt"]) == {"base", "+memory", "+adapter", "+memory+adapter"}
        assert set(report["arms"]["adapt"]["base"]) >= {"success", "ci", "steps", "n"}
        assert report["dataset"]["rows"] == 12
        assert report["train"]["last_loss"] < report["train"]["first_loss"]
        assert not report["promoted"]
        assert "prove nothing" in report["reason"]
        registry = Registry(folder / "adapters")
        assert registry.current(NAMESPACE) is None
        manifest = registry.get(report["adapter"])
        assert manifest.dataset == report["dataset"]["hash"]
        assert manifest.gate["arms"] == report["arms"]
        assert report["arms"]["adapt"]["base"]["violations"] >= 0
        assert report["retention"]["rows"] == ["base", manifest.id]
        (score,) = manifest.scores
        assert (score.suite.name, score.seeds) == ("adapt", (0,))
        rows = registry.lineage(manifest.id)
        assert {row.episode for row in rows} == set(manifest.episodes)
        assert all(len(row.indices) == len(row.weights) and any(row.weights) for row in rows)
        assert len(manifest.episodes) == 12
        model = registry.load(manifest.id, worked[1], name=f"local:tiny+{manifest.id}")
        model.close()

    def test_a_dry_run_says_what_would_be_learned(self, tmp_path: Path, worked: tuple[Path, Path]) -> None:
        """Kept, masked, rejected, each with its reason; no weights, no adapter, in a second or two."""
        folder = _job(tmp_path, worked, dry_run=True)
        code, output = _finish(_start(folder))
        assert code == 0, output
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        assert len(report["kept"]["rows"]) == 12
        assert all(row["trained"] and row["context"] for row in report["kept"]["rows"])
        assert report["rejected"] == {"reasons": {}, "episodes": []}
        assert _stages(_progress(folder)) == ["read", "build", "done"]
        assert not (folder / "train").exists()
        assert Registry(folder / "adapters").list() == ()


def test_gate_tasks_that_taught_nothing_void_nothing(tmp_path: Path, worked: tuple[Path, Path]) -> None:
    """Episodes of theirs that memory did not learn from are left out; the others void the job."""
    tasks = frozen_tasks(Suite("adapt", "household", SITE, "work", 3), [0])
    lived = {one.task_id: one for one in read_bundle(worked[0], NAMESPACE).episodes}
    episodes = [
        replace(one, mode="frozen" if id_ in {t.id for t in tasks} else "learn") for id_, one in lived.items()
    ]
    (tmp_path / "job").mkdir()
    write_bundle(tmp_path / "bundle", episodes)
    suite: dict[str, Json] = {"name": "adapt", "world": "household", "site": SITE, "split": "work", "n": 3}
    form = read_job(_job(tmp_path / "job", (tmp_path / "bundle", worked[1]), suites=[suite]))
    prepared = prepare(form, tmp_path / "job", Progress(tmp_path / "progress.jsonl"))
    held = {one.episode for one in prepared.dataset.rejected if "the gate's" in one.reason}
    assert len(held) == len(tasks)
    assert held.isdisjoint(prepared.dataset.episodes)
    write_bundle(tmp_path / "learned", [replace(one, mode="learn") for one in episodes])
    form = form.model_copy(update={"bundle": tmp_path / "learned"})
    with pytest.raises(DistillError, match="gate tasks"):
        prepare(form, tmp_path / "job", Progress(tmp_path / "progress.jsonl"))


def test_a_base_brings_what_it_is_to_keep(tmp_path: Path, worked: tuple[Path, Path]) -> None:
    """`general.jsonl` beside its weights, where the job names no other file."""
    base = make_folder(tmp_path / "base", words="hello there")
    told = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "there"}]
    (base / GENERAL).write_text(json.dumps({"messages": told}) + "\n", "utf-8")
    (tmp_path / "job").mkdir()
    form = read_job(_job(tmp_path / "job", (worked[0], base), recipe="agenttuning", suites=[]))
    prepared = prepare(form, tmp_path / "job", Progress(tmp_path / "progress.jsonl"))
    (general,) = [row for row in prepared.dataset.rows if row.stream == "general"]
    assert [message.text for message in general.messages] == ["hello", "there"]


def test_a_recipe_of_two_stages_is_one_job(tmp_path: Path) -> None:
    """Each in its turn; the adapter is traced to the rows of both, and so is a copy of an episode."""
    episodes = [replace(one, namespace=NAMESPACE) for one in asyncio.run(everything())]
    (tmp_path / "jobs" / "a").mkdir(parents=True)
    write_bundle(tmp_path / "bundle", episodes)
    words = " ".join(message.text for episode in episodes for message in episode.messages)
    base = make_folder(tmp_path / "tiny", words=words, context=1024)
    changes: dict[str, Json] = {"recipe": "malt", "suites": [], "train": {"epochs": 1, "min_updates": 2}}
    folder = _job(tmp_path / "jobs" / "a", (tmp_path / "bundle", base), **changes)
    form, progress = read_job(folder), Progress(folder / "progress.jsonl")
    prepared = prepare(form, folder, progress)
    report = run_job(Job(form, prepared, folder, progress, lambda: False))
    told = [
        str(line["message"]) for line in _progress(folder) if line["stage"] == "train" and line["metrics"]
    ]
    assert list(dict.fromkeys(told)) == ["stage malt.1", "stage malt"]
    registry = Registry(folder / "adapters")
    manifest = registry.get(str(report["adapter"]))
    rows = registry.lineage(manifest.id)
    assert len(rows) == sum(len(one.rows) for one in prepared.stages) > len(prepared.dataset.rows)
    early = set(prepared.before[0].episodes) - set(prepared.dataset.episodes)
    assert early <= set(manifest.episodes)
    for episode in manifest.episodes:
        assert copies.datasets(tmp_path / "jobs", NAMESPACE, [episode]) == ("a",)


class TestRefusals:
    """Exit code 2 and the reason in the report."""

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"recipe": "alchemy"}, "alchemy"),
            ({"namespace": "office"}, "office"),
            ({"train": {"learning_speed": 1}}, "learning_speed"),
            (
                {"suites": [{"name": "adapt", "world": "household", "site": SITE, "split": "work", "n": 12}]},
                "12",
            ),
            ({"base": "nowhere"}, "nowhere"),
        ],
    )
    def test_what_cannot_be_done_is_refused_with_the_reason(
        self, tmp_path: Path, worked: tuple[Path, Path], changes: dict[str, Json], reason: str
    ) -> None:
        """Unknown recipe, another's memory, a mistyped setting, tasks that memory has seen, no such model."""
        folder = _job(tmp_path, worked, **changes)
        code, output = _finish(_start(folder))
        assert code == 2, output
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        assert reason in report["error"]
        assert _stages(_progress(folder))[-1] == "refused"
        assert Registry(folder / "adapters").list() == ()


class TestStopping:
    """SIGTERM is a wish, `kill -9` an accident; both can be followed by another run."""

    def test_a_stopped_job_says_so_and_goes_on_when_run_again(
        self, tmp_path: Path, worked: tuple[Path, Path]
    ) -> None:
        """Exit code 3, a checkpoint kept; after a kill the next run begins beyond it."""
        folder = _job(tmp_path, worked, train={"epochs": 60, "rank": 4, "batch_size": 4}, suites=[])
        process = _start(folder)
        _wait_for_training(folder, process)
        process.send_signal(signal.SIGTERM)
        code, output = _finish(process)
        assert code == 3, output
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        assert report["cancelled"] is True
        lines = _progress(folder)
        assert lines[-1]["stage"] == "cancelled"
        last = max(int(str(line["done"])) for line in lines if line["stage"] == "train")
        (folder / "progress.jsonl").unlink()
        code, output = _finish(_start(folder))
        assert code == 0, output
        steps = [line for line in _progress(folder) if line["stage"] == "train" and line["metrics"]]
        assert int(str(steps[0]["done"])) == last + 1
        assert int(str(steps[-1]["done"])) == 180
