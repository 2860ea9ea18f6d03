"""What the server logs, and how: lines to read, or JSON for machines. Neither keys nor what was said.

Whatever is logged while a request is answered or a job runs carries their ids: `about` says them.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import IO, Literal

from memory.errors import ApprenticeError
from memory.types import Json

LogFormat = Literal["text", "json"]
OURS = ("apprentice", "server", "memory", "agent", "distill", "uvicorn.error")
_ABOUT: ContextVar[Mapping[str, Json]] = ContextVar("about", default=MappingProxyType({}))
_SECRET = re.compile(r"\b(apk_|sk-|Bearer )[A-Za-z0-9._~+/=-]{6,}")
_MOST_FRAMES = 30


@contextmanager
def about(**fields: Json) -> Iterator[None]:
    """What is logged inside carries these fields too, also in threads and tasks begun inside."""
    token = _ABOUT.set({**_ABOUT.get(), **fields})
    try:
        yield
    finally:
        _ABOUT.reset(token)


def told(fields: Mapping[str, Json]) -> dict[str, Mapping[str, Json]]:
    """Fields of one line alone, as its `extra`."""
    return {"fields": fields}


def install(form: LogFormat, level: str, stream: IO[str] | None = None) -> logging.Handler:
    """Send what is logged to a stream, standard error where none is given; returns what does it.

    Of libraries only warnings are taken: what they say of their work may hold what was said.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in OURS:
        logging.getLogger(name).setLevel(level.upper())
    return handler


class TextLines(logging.Formatter):
    """Lines for people."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """One line, and where there was an exception its traceback."""
        fields = {**_ABOUT.get(), **getattr(record, "fields", {})}
        tail = "".join(f" {name}={value}" for name, value in fields.items() if value is not None)
        head, newline, rest = super().format(record).partition("\n")
        return _SECRET.sub(r"\1…", head + tail + newline + rest)


class JsonLines(logging.Formatter):
    """One JSON object a line: `at`, `level`, `logger`, `message`, ids, `error` and `frames`."""

    def format(self, record: logging.LogRecord) -> str:
        """Of a foreign exception its name and way alone: its words may be a caller's."""
        line: dict[str, Json] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_ABOUT.get(),
            **getattr(record, "fields", {}),
        }
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            said = f": {error}" if isinstance(error, ApprenticeError) else ""
            frames = traceback.extract_tb(error.__traceback__)[-_MOST_FRAMES:]
            line["error"] = f"{type(error).__name__}{said}"
            line["frames"] = [f"{one.filename}:{one.lineno} {one.name}" for one in frames]
        return _SECRET.sub(r"\1…", json.dumps(line, ensure_ascii=False, default=str))
