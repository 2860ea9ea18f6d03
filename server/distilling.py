"""Distillation as a job: export the memory, run `python -m distill` beside the server, follow its progress.

The process is its own: gradients never enter the server. It leaves its id in the job folder; a server that
comes back after a crash follows the process that still runs instead of starting a second one.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from memory.codec import from_json
from memory.core import Memory
from memory.errors import DistillError
from memory.types import Json
from server.jobs import JobRun
from server.settings import Settings

DISTILL = "distill"
LOOK_EVERY_S = 0.25
STOP_WITHIN_S = 15.0


@dataclass(frozen=True, slots=True)
class DistillOrder:
    """A distillation as it is stored with its job."""

    recipe: str
    base: str
    """Folder name of the base model."""
    suites: tuple[dict[str, Json], ...]
    seed: int
    seeds: tuple[int, ...]
    train: dict[str, Json]
    promote: bool
    proposer: str = ""
    """Who asked for it, and cannot let its adapter serve by hand."""
    dry_run: bool = False
    """Nothing is trained; the report says what would be."""
    rebuilds: str | None = None
    """The adapter in whose place it is made."""


class Distilling:
    """The handler of distillations."""

    def __init__(self, memory: Memory, settings: Settings) -> None:
        self._memory = memory
        self._settings = settings

    async def run(self, run: JobRun, arguments: Mapping[str, Json]) -> dict[str, Json]:
        """Export, train and judge in a process of its own; returns the report. Raises DistillError.

        Nothing but the export is a recorded step: the state of the rest is the job folder. Every line of
        `progress.jsonl` becomes one event, in order, so a replay publishes none twice.
        """
        order = from_json(DistillOrder, dict(arguments))
        folder = (self._settings.distillations_dir / run.address.id).resolve()

        async def export() -> Json:
            bundle = await asyncio.to_thread(self._memory.export, run.address.namespace, folder / "bundle")
            return str(bundle)

        bundle = Path(str(await run.step("export", export)))
        job = self._job(order, run.address.namespace, bundle)
        process = await asyncio.to_thread(Process.follow_or_start, folder, job)
        try:
            await _publish(process, folder / "progress.jsonl", run)
        except asyncio.CancelledError:
            await asyncio.shield(asyncio.to_thread(process.stop))
            raise
        report = _report(folder)
        if blocked := await asyncio.to_thread(self._block_if_forgotten, run.address.namespace, report):
            report["blocked"] = blocked
        return report

    def _block_if_forgotten(self, namespace: str, report: Mapping[str, Json]) -> str | None:
        """Keep the adapter from serving if an episode was forgotten after the export."""
        adapter = report.get("adapter")
        if not isinstance(adapter, str):
            return None
        from distill.registry import Registry  # imports torch

        registry = Registry(self._settings.adapters_dir)
        for episode in registry.get(adapter).episodes:
            reason = self._memory.episode(namespace, episode).forgotten
            if reason is not None:
                registry.block(adapter, reason)
                return reason
        return None

    def _job(self, order: DistillOrder, namespace: str, bundle: Path) -> dict[str, Json]:
        return {
            "recipe": order.recipe,
            "base": str((self._settings.models_dir / order.base).resolve()),
            "bundle": str(bundle),
            "namespace": namespace,
            "train": order.train,
            "seed": order.seed,
            "suites": list(order.suites),
            "seeds": list(order.seeds),
            "encoder": self._settings.encoder,
            "promote": order.promote,
            "proposer": order.proposer,
            "dry_run": order.dry_run,
            "out": str(self._settings.adapters_dir.resolve()),
            "general": None if (path := self._settings.general) is None else str(path.resolve()),
        }


class Process:
    """A distillation's process: our child, or one that outlived the server that started it."""

    def __init__(self, pid: int, marker: str, child: subprocess.Popen[bytes] | None) -> None:
        self._pid = pid
        self._marker = marker
        self._child = child

    @classmethod
    def follow_or_start(cls, folder: Path, job: Mapping[str, Json]) -> Process:
        """The process of this job folder; started if there is none and no report yet."""
        pid_file = folder / "pid"
        pid = int(pid_file.read_text("utf-8")) if pid_file.exists() else 0
        running = cls(pid, str(folder), None)
        if pid and (running.is_alive() or _is_finished(folder)):
            return running
        (folder / "report.json").unlink(missing_ok=True)
        (folder / "job.json").write_text(json.dumps(job, indent=1), "utf-8")
        with (folder / "log.txt").open("ab") as log_file:
            child = subprocess.Popen(
                [sys.executable, "-m", "distill", str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=subprocess.STDOUT,
                env={"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", **os.environ},
                start_new_session=True,
            )
        pid_file.write_text(str(child.pid), "utf-8")
        return cls(child.pid, str(folder), child)

    def is_alive(self) -> bool:
        """Is it still at work? An id that has passed to another program does not count."""
        if self._child is not None:
            return self._child.poll() is None
        try:
            os.kill(self._pid, 0)
            command = Path(f"/proc/{self._pid}/cmdline")
            return not command.exists() or self._marker in command.read_text("utf-8", "replace")
        except (OSError, ValueError):
            return False

    def stop(self) -> None:
        """Ask it to end, then make it; returns when it has."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not self.is_alive():
                return
            os.kill(self._pid, number)
            deadline = time.monotonic() + STOP_WITHIN_S
            while self.is_alive() and time.monotonic() < deadline:
                time.sleep(0.05)


async def _publish(process: Process, path: Path, run: JobRun) -> None:
    """Every line as an event, until the process has ended and nothing is left to read."""
    seen = 0
    while True:
        alive = process.is_alive()
        lines = path.read_text("utf-8").splitlines(keepends=True)[seen:] if path.exists() else []
        for line in lines:
            if not line.endswith("\n"):
                break  # still being written
            await run.event("progress", json.loads(line))
            seen += 1
        if not alive:
            return
        await asyncio.sleep(LOOK_EVERY_S)


def _is_finished(folder: Path) -> bool:
    # A report that says `cancelled` is of a run that may go on.
    path = folder / "report.json"
    return path.exists() and not json.loads(path.read_text("utf-8")).get("cancelled")


def _report(folder: Path) -> dict[str, Json]:
    path = folder / "report.json"
    if not path.exists():
        log = (folder / "log.txt").read_text("utf-8", "replace") if (folder / "log.txt").exists() else ""
        raise DistillError(f"the distillation ended without a report; its log ends: {log[-600:].strip()!r}")
    report = json.loads(path.read_text("utf-8"))
    if not isinstance(report, dict) or report.get("error"):
        raise DistillError(
            str(report.get("error") if isinstance(report, dict) else "the report is no object")
        )
    return report
