"""What runs in the sandbox's process: it shuts itself in, then runs the job it was given.

Standard library and `confine` alone. The job comes by standard input as JSON; answers of tools come and
questions go, one JSON object a line, by the descriptor named on the command line.
"""

from __future__ import annotations

import builtins
import json
import linecache
import os
import sys
import sysconfig
import traceback
from collections.abc import Callable
from io import FileIO
from typing import Any

from agent.forge.confine import Cell, Leak, confine

_SHARED = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/etc/ld.so.cache",
    "/usr/share/zoneinfo",
    "/dev/urandom",
)
"""What Python's own modules load when they are imported."""
_CODE = "<code>"
SHUT = {"shut": True}
"""What is told once the walls stand and before any of the code runs."""


class ToolError(RuntimeError):
    """A tool that was called from here did not do it."""


class Line:
    """The line to whoever runs the tools."""

    def __init__(self, descriptor: int) -> None:
        self._file = FileIO(descriptor, "r+")
        self._rest = b""

    def tell(self, said: dict[str, Any]) -> None:
        """One object. Raises ValueError on infinite numbers and halves of characters: none can be kept."""
        text = json.dumps(said, ensure_ascii=False, allow_nan=False)
        left = memoryview(text.encode() + b"\n")
        while left:
            left = left[self._file.write(left) or 0 :]

    def hear(self) -> dict[str, Any]:
        """The next object. Raises ToolError when nobody is there any more."""
        while b"\n" not in self._rest:
            more = self._file.read(1 << 16)
            if not more:
                raise ToolError("nobody answers")
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        heard: dict[str, Any] = json.loads(line)
        return heard

    def call_tool(self, name: str, /, **arguments: object) -> str:
        """What a tool of the agent answers. Raises ToolError when it was refused or failed."""
        self.tell({"call": name, "arguments": arguments})
        answer = self.hear()
        if answer["ok"] is False:
            raise ToolError(answer["text"])
        return str(answer["text"])


def main() -> None:
    """Run one job; the last line told says how it went."""
    line, job = Line(int(sys.argv.pop())), json.loads(sys.stdin.buffer.read())
    try:
        reads = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), *_SHARED})
        confine(Cell(reads=reads, **job["cell"]))
    except (Leak, OSError) as error:
        line.tell({"leak": f"{type(error).__name__}: {error}"})
        return
    line.tell(SHUT)
    line.tell({"error": _run(job, line)})
    # Nothing that the code has left behind is to run now.
    os._exit(0)


def _run(job: dict[str, Any], line: Line) -> str | None:
    """What went wrong, as Python tells it; None when nothing did."""
    try:
        tools: dict[str, Any] = {}
        for tool in job["tools"]:
            space = _space(line.call_tool, {name: tools[name] for name in tool["requires"]})
            _execute(tool["code"], f"<{tool['name']}>", space)
            tools[tool["name"]] = space[tool["name"]]
        _execute(job["code"], _CODE, _space(line.call_tool, tools))
    except SystemExit as end:
        return None if end.code in {None, 0} else f"SystemExit: {end.code}"
    except BaseException as error:  # noqa: BLE001 - foreign code; whatever it raises is the agent's to read
        return _told(error)
    finally:
        sys.stdout.flush()
    return None


def _space(call_tool: Callable[..., str], tools: dict[str, Any]) -> dict[str, Any]:
    """What a piece of code can name."""
    own = {"__name__": "__main__", "__builtins__": builtins, "call_tool": call_tool, "ToolError": ToolError}
    return {**own, **tools}


def _execute(code: str, name: str, space: dict[str, Any]) -> None:
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    exec(compile(code, name, "exec"), space)


def _told(error: BaseException) -> str:
    """The traceback from the code itself on."""
    first = error.__traceback__
    while first is not None and first.tb_frame.f_code.co_filename == __file__:
        first = first.tb_next
    try:
        told = "".join(traceback.format_exception(type(error), error, first)).strip()
        return told.encode(errors="backslashreplace").decode()
    except BaseException:  # noqa: BLE001 - an exception of foreign code may break when it is told
        return f"{type(error).__name__}"
