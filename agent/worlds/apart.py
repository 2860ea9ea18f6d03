"""Somebody else's engine in a process of its own: what it leaks and what it starts ends with it.

The two speak lines of JSON, `[verb, argument…]` one way and `{"told": …}` or `{"fault": …}` back. The line
doubles as a leash: an engine whose line is cut goes by itself, so nothing is left even where the holder was
killed; a holder that lives kills the whole group.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from memory.errors import BadInput, WorldError
from memory.types import Json

ROOT = Path(__file__).resolve().parents[2]
ANSWER_S = 180.0
"""What one answer may take, on a machine that has much to do; the slowest known takes 16 seconds."""
_CHUNK = 1 << 16


def need(package: str, world: str) -> None:
    """Raises BadInput that names the command where the package of a world is not installed."""
    if find_spec(package) is None:
        raise BadInput(
            f"the world {world!r} needs the package {package!r}: run `pip install {package}`,"
            " or install apprentice with its extra `worlds`"
        )


class Apart:
    """One engine: a module that calls `serve`. Started when it is first asked; one question at a time."""

    def __init__(self, module: str, *, answer_s: float = ANSWER_S) -> None:
        """`module` by its dotted name, as in `python -m`."""
        self._module, self._answer_s = module, answer_s
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._end: Callable[[], object] = lambda: None

    @property
    def pid(self) -> int | None:
        """Of the process, which leads a group of its own; None while there is none."""
        return None if self._process is None else self._process.pid

    def ask(self, verb: str, *arguments: Json) -> Json:
        """What the engine answers.

        Raises BadInput when it refuses the arguments, WorldError when it failed, died or took too long; it
        is then ended, and the next question starts another.
        """
        with self._lock:
            process = self._started()
            try:
                answer = json.loads(self._exchange(process, [verb, *arguments]))
            except (OSError, EOFError, ValueError) as error:
                raise WorldError(
                    f"the engine {self._module!r} broke at {verb!r}: {self._why(error)}"
                ) from error
        if "refused" in answer:
            raise BadInput(str(answer["refused"]))
        if "fault" in answer:
            raise WorldError(f"the engine {self._module!r} failed at {verb!r}: {answer['fault']}")
        told: Json = answer["told"]
        return told

    def close(self) -> None:
        """End it with all it started; it may be asked again."""
        with self._lock:
            self._over()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._over()
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", self._module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            # Sets must be walked in the same order each time: some engines draw from them.
            env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "0"},
            start_new_session=True,
        )
        self._process, self._errors = process, errors
        self._end = weakref.finalize(self, _end, process, errors)
        return process

    def _exchange(self, process: subprocess.Popen[bytes], question: list[Json]) -> bytes:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(question).encode() + b"\n")
        process.stdin.flush()
        line = b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([process.stdout], [], [], self._answer_s)
            if not ready:
                raise TimeoutError(f"it did not answer for {self._answer_s:g} seconds")
            piece = os.read(process.stdout.fileno(), _CHUNK)
            if not piece:
                raise EOFError("it ended")
            line += piece
        return line

    def _why(self, error: Exception) -> str:
        """The error, and the last that the engine wrote; ends it."""
        said = ""
        process, errors = self._process, self._errors
        if process is not None and errors is not None:
            _kill(process)
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip().rpartition("\n")[2]
        self._over()
        return f"{error}; its last words: {said}" if said else str(error)

    def _over(self) -> None:
        self._end()
        self._process = self._errors = None


def _end(process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
    _kill(process)
    for stream in (process.stdin, process.stdout, errors):
        if stream is not None:
            with contextlib.suppress(OSError):  # a line that was cut half-way
                stream.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):  # all of the group is gone
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def serve(verbs: Mapping[str, Callable[..., Json]]) -> None:
    """The engine's side: answer until the line is cut. What is printed meanwhile goes to standard error."""
    line = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for question in sys.stdin:
        verb, *arguments = json.loads(question)
        line.write(json.dumps(_answer(verbs[verb], arguments)) + "\n")
        line.flush()


def _answer(do: Callable[..., Json], arguments: list[Json]) -> dict[str, Json]:
    try:
        return {"told": do(*arguments)}
    except BadInput as error:
        return {"refused": str(error)}
    except Exception as error:  # noqa: BLE001 - the engine is foreign code; whoever asked is told
        return {"fault": f"{type(error).__name__}: {error}"}
