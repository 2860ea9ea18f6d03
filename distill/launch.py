"""Training in several processes: this one starts them and follows; `python -m distill.launch FOLDER` is one.

On GPUs `accelerate launch` starts them with `fsdp.yaml` beside this file: weights, gradients and the state of
the optimiser are sharded. On a CPU torch's own launcher does, every process has all weights (gloo), and the
gradient is the mean.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter

from agent.models.local.weights import load_model
from distill.progress import Cancelled
from distill.settings import TrainSettings
from distill.train import Fitted, Run, Trained, TrainProgress, fit, trained
from distill.trainers.making import Examples
from distill.trainers.models import refuse_device
from distill.types import Objective
from memory.errors import DistillError

_POLL_S = 0.2
_FSDP = Path(__file__).with_name("fsdp.yaml")


def launched(
    rows: Examples,
    base: Path,
    out: Path,
    settings: TrainSettings,
    *,
    seed: int,
    objective: Objective = "nll",
    start: Path | None = None,
    on_progress: Callable[[TrainProgress], None] = lambda _: None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Trained:
    """`distill.train.train` in `settings.processes` processes; raises the same."""
    refuse_device(settings)
    run = Run(rows, base, out, settings, seed, objective, start)
    folder = out / "processes"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("stop", "result.json", "progress.jsonl"):
        (folder / name).unlink(missing_ok=True)
    (folder / "run.json").write_bytes(TypeAdapter(Run).dump_json(run))
    with (folder / "log.txt").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            command(folder, settings),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        # Its end of this pipe closes when this process dies, however it does.
        with process:
            _follow(process, folder, on_progress, is_cancelled)
    fitted = _result(folder, process.returncode)
    adapter = out / "adapter"
    return trained(run, fitted, load_model(base, adapter))


def command(folder: Path, settings: TrainSettings) -> list[str]:
    """What starts the processes."""
    n_processes, worker = str(settings.processes), ["-m", "distill.launch", str(folder)]
    if settings.device == "cpu":
        launcher = ["torch.distributed.run", "--standalone", "--nproc_per_node", n_processes]
    else:
        launcher = ["accelerate.commands.launch", "--config_file", str(_FSDP), "--num_processes", n_processes]
    return [sys.executable, "-m", *launcher, *worker]


def _follow(
    process: subprocess.Popen[bytes],
    folder: Path,
    on_progress: Callable[[TrainProgress], None],
    is_cancelled: Callable[[], bool],
) -> None:
    told = 0
    while True:
        is_over = process.poll() is not None
        path = folder / "progress.jsonl"
        lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
        for line in lines[told:]:
            on_progress(TrainProgress(**json.loads(line)))
        told = len(lines)
        if is_over:
            return
        if is_cancelled():
            (folder / "stop").touch()
        time.sleep(_POLL_S)


def _result(folder: Path, code: int) -> Fitted:
    try:
        found = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        log = (folder / "log.txt").read_text(encoding="utf-8", errors="replace")
        raise DistillError(f"the training processes ended with {code}: {log[-500:]}") from None
    if "cancelled" in found:
        raise Cancelled(found["cancelled"])
    if "error" in found:
        raise DistillError(found["error"])
    return Fitted(**found)


def worker(folder: Path) -> None:
    """One of the processes. Its standard input ends when whoever started it dies."""
    threading.Thread(target=_die_with_parent, daemon=True).start()
    run = TypeAdapter(Run).validate_json((folder / "run.json").read_bytes())
    is_first = os.environ.get("RANK", "0") == "0"

    def tell(step: TrainProgress) -> None:
        if is_first:
            with (folder / "progress.jsonl").open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(asdict(step)) + "\n")

    try:
        fitted, _ = fit(run, tell, lambda: _agreed((folder / "stop").exists()))
        result = asdict(fitted)
    except Cancelled as error:
        result = {"cancelled": str(error)}
    except DistillError as error:
        result = {"error": str(error)}
    if is_first:
        (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


def _agreed(wish: bool) -> bool:
    """Whether any of the processes wishes it: all of them must stop after the same update."""
    import torch
    from accelerate import PartialState

    flag = torch.tensor([int(wish)], device=PartialState().device)
    torch.distributed.all_reduce(flag)
    return bool(flag.item())


def _die_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    worker(Path(sys.argv[1]))
