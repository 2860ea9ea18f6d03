"""Python of the agent's in a process that can reach nothing: refused where the machine cannot hold it.

One process for one job, with an empty environment and an empty folder of its own that goes when it ends. It
shuts itself in before it reads a line of the code (`confine`) and may ask, over one line, for tools to be
called; whoever runs it decides about each. What it holds on disk and what it prints is watched from here.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.deliberate.running import Ran
from agent.forge.child import SHUT
from agent.forge.confine import lacking
from agent.forge.holding import held
from memory.errors import ApprenticeError, Denied, WorldError
from memory.types import Json

ROOT = Path(__file__).resolve().parents[2]
"""Where the child finds its own two files."""
_BOOT = """
import sys
sys.path.append(sys.argv.pop(1))
from agent.forge.child import main
sys.path.pop()
main()
"""
_LINE = 1 << 20
"""Longest question of a child, in bytes."""
_GLANCE_S = 0.05
_START_S = 30.0
"""What Python may take to start, on a machine that has much to do."""
AT_ONCE = 4
"""Jobs that run at the same time; more wait."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one job may use."""

    seconds: float = 20.0
    """Of the clock; waiting for tools does not count."""
    cpu_s: int = 10
    memory: int = 512 << 20
    """Bytes of address space."""
    disk: int = 32 << 20
    """Bytes in its folder and in files it removed but keeps open; looked at 20 times a second."""
    files: int = 64
    """Open at once."""
    entries: int = 1000
    """Files in its folder."""
    output: int = 1 << 20
    """Bytes printed."""
    calls: int = 1000
    """Of tools."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A function that the code may call by its name."""

    name: str
    code: str
    requires: tuple[str, ...] = ()
    """Names of pieces before it that it calls."""


@dataclass(frozen=True, slots=True)
class Told:
    """What is answered to a call from inside."""

    text: str
    ok: bool | None


Answer = Callable[[str, Mapping[str, Json]], Awaitable[Told]]


async def nobody(name: str, arguments: Mapping[str, Json]) -> Told:  # noqa: ARG001 - an Answer
    """Answers code that has no tools."""
    return Told(f"there is no tool {name!r} to call from here", ok=False)


def refuse_unless_isolated() -> None:
    """Raises Denied where code cannot be isolated, naming what is missing and the remedy."""
    if missing := lacking():
        raise Denied(
            f"generated code cannot be isolated on this machine, so none is run: {'; '.join(missing)}. "
            "Or leave the forge off"
        )


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Runs jobs, a few at a time; also an `agent.deliberate.running.Execute`."""

    limits: Limits = field(default_factory=Limits)
    _free: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(AT_ONCE), repr=False, compare=False
    )

    async def __call__(self, program: str) -> Ran:
        """Run a program that calls nothing."""
        return await self.run(program)

    async def run(self, code: str, tools: Sequence[Piece] = (), answer: Answer = nobody) -> Ran:
        """Run code that may call `tools` by name, and through `answer` whatever that lets it.

        Raises Denied where the machine cannot isolate it or a layer turned out not to hold, WorldError when
        no process can be started.
        """
        refuse_unless_isolated()
        async with self._free:
            folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="forge-"))
            try:
                return await self._in(folder, code, tools, answer)
            finally:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _in(self, folder: Path, code: str, tools: Sequence[Piece], answer: Answer) -> Ran:
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                child = await _started(folder, theirs.fileno())
            job = _job(code, tools, folder, self.limits)
            reader, writer = await asyncio.open_connection(sock=ours, limit=_LINE)
        except OSError as error:
            ours.close()
            raise WorldError(f"no process can be started for generated code: {error}") from error
        try:
            return await _Watch(child, folder, self.limits, answer, reader, writer).until_over(job)
        finally:
            writer.close()


async def _started(folder: Path, line: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", "-B", "-X", "utf8", "-c", _BOOT, str(ROOT), str(line)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        pass_fds=(line,),
        cwd=folder,
        env={},
        start_new_session=True,
    )


def _job(code: str, tools: Sequence[Piece], folder: Path, limits: Limits) -> bytes:
    cell = {"workspace": str(folder), "cpu_s": limits.cpu_s, "memory": limits.memory}
    cell |= {"file_size": limits.disk, "files": limits.files}
    pieces = [{"name": one.name, "code": one.code, "requires": one.requires} for one in tools]
    return json.dumps({"code": code, "tools": pieces, "cell": cell}).encode()


@dataclass(slots=True)
class _Watch:
    """One child from its start to its end."""

    child: asyncio.subprocess.Process
    folder: Path
    limits: Limits
    answer: Answer
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    out: bytearray = field(default_factory=bytearray)
    over: str | None = None
    shut_at: float | None = None
    """When it said that it is shut in; from then on its words, and its time, are those of the code."""
    said: dict[str, Json] = field(default_factory=dict)
    broke: ApprenticeError | None = None
    """What a call of its broke with."""
    calls: int = 0
    waited_s: float = 0.0
    asked_at: float | None = None

    async def until_over(self, job: bytes) -> Ran:
        """What came of it."""
        try:
            async with asyncio.TaskGroup() as group:
                glances, talk = group.create_task(self._look()), group.create_task(self._talk())
                group.create_task(self._feed(job))
                await self._listen()
                await self.child.wait()
                await talk
                glances.cancel()
        finally:
            self._kill()
            await asyncio.shield(self.child.wait())
        if self.broke is not None:
            raise self.broke
        return self._ran()

    async def _feed(self, job: bytes) -> None:
        stdin = self.child.stdin
        assert stdin is not None
        with suppress(ConnectionError):
            stdin.write(job)
            await stdin.drain()
        stdin.close()

    async def _listen(self) -> None:
        """Take what it prints until nothing can come any more; what is too much ends it."""
        stdout = self.child.stdout
        assert stdout is not None
        while more := await stdout.read(1 << 16):
            if len(self.out) + len(more) > self.limits.output:
                self._end(f"it printed more than {self.limits.output} bytes")
            self.out += more[: self.limits.output - len(self.out)]

    async def _talk(self) -> None:
        """Answer its calls, one after the other, until its last word or its end."""
        try:
            while line := await self.reader.readline():
                said = _read(line)
                if said == SHUT:
                    self.shut_at = self.shut_at or asyncio.get_running_loop().time()
                elif "call" not in said:
                    self.said = said
                    return
                elif self.child.returncode is None:
                    await self._answer(str(said["call"]), dict(said["arguments"]))
        except ApprenticeError as error:
            self.broke = error
            self._kill()
        except (ValueError, TypeError, KeyError, RecursionError, ConnectionError):
            self._end("what it said to its tools cannot be read")

    async def _answer(self, tool: str, arguments: dict[str, Json]) -> None:
        self.calls += 1
        loop = asyncio.get_running_loop()
        self.asked_at = loop.time()
        told = await self.answer(tool, arguments)
        self.waited_s += loop.time() - self.asked_at
        self.asked_at = None
        self.writer.write(json.dumps({"text": told.text, "ok": told.ok}).encode() + b"\n")
        await self.writer.drain()

    async def _look(self) -> None:
        """End it when it takes too long or holds too much."""
        loop, limits = asyncio.get_running_loop(), self.limits
        begun = loop.time()
        while True:
            await asyncio.sleep(_GLANCE_S)
            found = held(self.folder, self.child.pid, limits.entries)
            since = begun + _START_S if self.shut_at is None else self.shut_at + self.waited_s
            lasted = 0.0 if self.asked_at is not None else loop.time() - since
            over = {
                f"it took more than {limits.seconds:g} seconds": lasted > limits.seconds,
                f"it held more than {limits.disk} bytes on disk": found.disk > limits.disk,
                f"it made more than {limits.entries} files": found.files > limits.entries,
                f"it called tools more than {limits.calls} times": self.calls > limits.calls,
                "it mapped files that nobody can tell the size of: removed ones, or too many": found.hidden,
            }
            for why in (why for why, holds in over.items() if holds):
                self._end(why)

    def _end(self, why: str) -> None:
        self.over = self.over or why
        self._kill()

    def _kill(self) -> None:
        if self.child.returncode is None:
            with suppress(ProcessLookupError):
                self.child.kill()

    def _ran(self) -> Ran:
        out = self.out.decode(errors="replace")
        if "leak" in self.said and self.shut_at is None:
            raise Denied(f"generated code was not run, a layer of its isolation {self.said['leak']}")
        if self.over is not None:
            return Ran(False, out, f"ended: {self.over}")
        if "error" in self.said:
            error = self.said["error"]
            return Ran(error is None, out, "" if error is None else str(error))
        return Ran(False, out, f"ended: {_reason(self.child.returncode, self.limits)}")


def _read(line: bytes) -> dict[str, Any]:
    """One object. Raises ValueError on infinite numbers and halves of characters too, RecursionError."""
    said: dict[str, Any] = dict(json.loads(line))
    json.dumps(said, ensure_ascii=False, allow_nan=False).encode()
    return said


def _reason(status: int | None, limits: Limits) -> str:
    if status in {-signal.SIGKILL, -signal.SIGXCPU}:
        return f"it used more than {limits.cpu_s} seconds of the processor, or the machine had no memory left"
    return f"it came to no end of its own, status {status}"
