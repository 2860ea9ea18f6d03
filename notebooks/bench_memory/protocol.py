"""The parent's end: one contender in a process of its own, spoken to in lines of JSON."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
OURS = ROOT / ".venv" / "bin" / "python"
PEERS = ROOT / "data" / "bench-venv" / "bin" / "python"
NO_TELEMETRY = {
    "ANONYMIZED_TELEMETRY": "False",
    "MEM0_TELEMETRY": "False",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "OPENAI_API_KEY": "none",
}


class ContenderFailed(Exception):
    """It said so, died, or did not answer in time."""


MODULES = {
    "ours": "ours",
    "chroma": "chroma",
    "lancedb": "lance",
    "sqlite-vec": "vec",
    "mem0-faiss": "mem_zero",
    "mem0-qdrant": "mem_zero",
    "mem0-faiss-unlocked": "mem_zero",
    "mem0-qdrant-unlocked": "mem_zero",
}
"""File in `contenders/` by contender; all others are `bare`."""


@dataclass(frozen=True)
class Seat:
    """Who is to be measured on what."""

    name: str
    folder: Path
    material: Path
    n_spaces: int

    @property
    def result(self) -> Path:
        """How its loading went; lies there once it is done."""
        return self.folder.with_suffix(".loaded.json")

    @property
    def module(self) -> str:
        return MODULES.get(self.name, "bare")

    @property
    def python(self) -> Path:
        return OURS if self.module in {"ours", "bare"} and OURS.exists() else PEERS


class Child:
    """A started contender. Use as a context manager: leaving it kills what still runs."""

    def __init__(self, seat: Seat, wrapper: Sequence[str] = ()) -> None:
        self.seat = seat
        self.begun = time.perf_counter()
        arguments = (seat.name, seat.module, seat.folder, seat.material, seat.n_spaces)
        seat.folder.mkdir(parents=True, exist_ok=True)
        with (seat.folder.parent / f"{seat.folder.name}.stderr").open("ab") as errors:
            self._process = subprocess.Popen(
                [*wrapper, str(seat.python), "-u", str(HERE / "child.py"), *map(str, arguments)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **NO_TELEMETRY, "MEM0_DIR": str(seat.folder / "mem0-home")},
                cwd=ROOT,
                start_new_session=True,
            )
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def call(self, do: str, *, within_s: float = 600.0, **arguments: Any) -> dict[str, Any]:
        """One command and its answer. Raises ContenderFailed."""
        self.send(do, **arguments)
        answer = self.line(within_s)
        if answer is None:
            raise ContenderFailed(f"{do!r}: {self._silence(within_s)}")
        if "error" in answer:
            raise ContenderFailed(answer["error"])
        return answer

    def send(self, do: str, **arguments: Any) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise ContenderFailed(f"{self.seat.name} is dead") from error

    def line(self, within_s: float) -> dict[str, Any] | None:
        """The next line it says; None when it is dead or silent for too long."""
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        until = time.monotonic() + within_s
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(max(0.0, until - time.monotonic())):
                    return None
                more = os.read(descriptor, 1 << 16)
                if not more:
                    return None
                self._buffer += more
        said, self._buffer = self._buffer.split(b"\n", 1)
        answer: dict[str, Any] = json.loads(said)
        return answer

    def close(self) -> None:
        """Let it close its files. Raises ContenderFailed."""
        self.call("close", within_s=120.0)
        self._process.wait(30)

    def _silence(self, waited_s: float) -> str:
        try:
            return f"it died, exit status {self._process.wait(2.0)}"
        except subprocess.TimeoutExpired:
            return f"no answer within {waited_s:.0f} s"

    def kill_after(self, seconds: float) -> None:
        """SIGKILL in `seconds`, while the caller goes on reading."""
        timer = threading.Timer(seconds, self.kill)
        timer.daemon = True
        timer.start()

    def kill(self) -> None:
        """SIGKILL, to it and what it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
