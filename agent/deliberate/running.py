"""Programs in a process of their own: the seam for a sandbox, and limits for where there is none."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from memory.errors import WorldError

LONGEST_ERROR = 600
"""Characters of an error that are kept, its end."""
_FENCE = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)```", re.DOTALL)
_DRIVER = """
import resource, sys
memory, seconds, written, path = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
resource.setrlimit(resource.RLIMIT_FSIZE, (written, written))
with open(path, encoding="utf-8") as file:
    text = file.read()
exec(compile(text, "program", "exec"), {"__name__": "program"})
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a program."""

    ok: bool
    """It came to its end without an error."""
    out: str = ""
    """What it printed."""
    error: str = ""
    """Why not, in the words of Python or of the limit."""


Execute = Callable[[str], Awaitable[Ran]]
"""Runs the text of a program."""


@dataclass(frozen=True, slots=True)
class Limited:
    """Runs programs with limits on time, memory and output, and an empty environment; an `Execute`.

    These are limits, not walls: files and the network are within reach. Programs of a model that nobody
    supervises belong into a sandbox, which is given in this one's place.
    """

    seconds: float = 30.0
    """Of the clock."""
    cpu_s: int = 5
    """Of the processor: what busy machines do not stretch."""
    memory_bytes: int = 1 << 30
    written_bytes: int = 1 << 24
    packages: bool = False
    """Can it import what is installed here?"""

    async def __call__(self, program: str) -> Ran:
        """Raises WorldError when no process can be started."""
        with tempfile.TemporaryDirectory(prefix="program-") as folder:
            return await self._run(program, Path(folder))

    async def _run(self, program: str, folder: Path) -> Ran:
        source, out, err = folder / "program.py", folder / "out", folder / "err"
        source.write_text(program, encoding="utf-8", errors="replace")
        numbers = [str(self.memory_bytes), str(self.cpu_s), str(self.written_bytes)]
        flags = ["-I"] if self.packages else ["-I", "-S"]
        home = {"HOME": os.environ.get("HOME", str(folder))} if self.packages else {}
        with out.open("wb") as out_file, err.open("wb") as err_file:
            try:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    *flags,
                    "-c",
                    _DRIVER,
                    *numbers,
                    str(source),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=out_file,
                    stderr=err_file,
                    cwd=folder,
                    env={"OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg", **home},
                    start_new_session=True,
                )
            except OSError as error:
                raise WorldError(f"no process can be started for a program: {error}") from error
            status = await self._ended(process)
        printed = out.read_text(encoding="utf-8", errors="replace")
        if status == 0:
            return Ran(True, printed)
        said = err.read_text(encoding="utf-8", errors="replace").strip()[-LONGEST_ERROR:]
        return Ran(False, printed, said or f"ended by {_reason(status, self.seconds)}")

    async def _ended(self, process: asyncio.subprocess.Process) -> int | None:
        """Its exit status; None after the time limit. Whatever it started goes with it."""
        try:
            async with asyncio.timeout(self.seconds):
                return await process.wait()
        except TimeoutError:
            return None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def is_program(text: str) -> bool:
    """Does an answer hold a code block?"""
    return _FENCE.search(text) is not None


def code_of(text: str) -> str:
    """The program in an answer: its first code block, or all of it."""
    block = _FENCE.search(text)
    return block[1] if block else text


def _reason(status: int | None, seconds: float) -> str:
    return f"the limit of {seconds:g} s" if status is None else f"status {status}"
