"""What the doctor looks at in a data folder, and what it can mend. Reads files alone: a server may have them.

Each finding says what was found and, where something is wrong, the remedy; some carry it with them.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from memory.encoder import open_encoder
from memory.errors import ApprenticeError, StoreLocked
from memory.index.snapshots import load
from memory.store.examined import Examined, examined, quick_check
from memory.store.lock import FileLock
from server.auth import Keys
from server.settings import Settings

Mark = Literal["ok", "note", "bad"]
LOW_DISK_BYTES = 500 * 1024 * 1024
BAD_SQLITE = ((3, 7, 0), (3, 51, 2))
"""Versions with the WAL-reset bug; commits and checkpoints share one connection here, which avoids it."""
AHEAD_S = 300.0
"""Clocks of two machines may differ by so much."""
_LIBRARIES = ("apprentice", "torch", "transformers", "litellm", "dbos", "faiss-cpu", "fastapi", "pydantic")
_SECRETS = ("keys.json", "keys.used.json", "operator.key", "signing.key", "shelf.db")
_WRITTEN_ASIDE = re.compile(r"\.(?:.+[.-])(\d+)(?:-[0-9a-f]+)?")
_NOT_SETTINGS = frozenset({"APPRENTICE_URL", "APPRENTICE_API_KEY", "APPRENTICE_SECRETS_DIR"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    mark: Mark
    check: str
    told: str
    remedy: str = ""
    mend: Callable[[], str] | None = None
    """Does the remedy and says what it did."""


def look(settings: Settings, *, now: float | None = None) -> Iterator[Finding]:
    """Everything that can be seen without asking the server."""
    yield from machine(settings)
    yield from configured(os.environ)
    yield from keys(settings)
    yield from databases(settings, time.time() if now is None else now)
    yield from indexes(settings)
    yield from leftovers(settings)
    yield from adapters(settings)


def machine(settings: Settings) -> Iterator[Finding]:
    """Versions, disk, models."""
    folder = settings.data_dir if settings.data_dir.exists() else Path.cwd()
    free, found = shutil.disk_usage(folder).free, sqlite3.sqlite_version_info
    is_affected = BAD_SQLITE[0] <= found <= BAD_SQLITE[1]
    yield Finding("ok", "python", platform.python_version())
    yield Finding("ok", "versions", ", ".join(f"{name} {_version(name)}" for name in _LIBRARIES))
    if is_affected:
        told = f"{sqlite3.sqlite_version} has the WAL-reset bug, which is avoided here"
        yield Finding("note", "sqlite", told, "3.51.3 or later mends it")
    else:
        yield Finding("ok", "sqlite", sqlite3.sqlite_version)
    is_full = free < LOW_DISK_BYTES
    told = f"{free // 2**20} MiB free at {folder.resolve()}"
    remedy = "free some, or move the data folder; writes answer 507 when none is left" if is_full else ""
    yield Finding("bad" if is_full else "ok", "disk", told, remedy)
    models = sorted(path.parent.name for path in settings.models_dir.glob("*/config.json"))
    if models:
        yield Finding("ok", "models", ", ".join(models))
    else:
        yield Finding("bad", "models", f"none in {settings.models_dir}", "set APPRENTICE_MODELS_DIR")


def configured(environment: os._Environ[str] | dict[str, str]) -> Iterator[Finding]:
    """Variables that look like settings and are none."""
    known = {f"APPRENTICE_{name.upper()}" for name in Settings.model_fields} | _NOT_SETTINGS
    strange = sorted(name for name in environment if name.startswith("APPRENTICE_") and name not in known)
    if strange:
        yield Finding(
            "note", "config", f"{', '.join(strange)}: no such setting", "`apprentice settings` lists them"
        )
    else:
        yield Finding("ok", "config", f"{len(known)} settings are known, none is misspelt")


def keys(settings: Settings) -> Iterator[Finding]:
    """Can they be read, does one open anything, and can nobody else read them?"""
    try:
        valid = [key for key in Keys(settings.keys_path).all() if key.is_valid(time.time())]
    except ApprenticeError as error:
        yield Finding(
            "bad", "keys", str(error), "restore keys.json from a backup, or move it away and make keys"
        )
        return
    if valid:
        yield Finding("ok", "keys", f"{len(valid)} are valid")
    elif settings.keys_path.exists():
        yield Finding("bad", "keys", "none is valid", "`apprentice keys create --role operator`")
    else:
        yield Finding("note", "keys", "none yet", "the first start makes one")
    for name in _SECRETS:
        path = settings.data_dir / name
        if path.is_file() and path.stat().st_mode & 0o077:
            told = f"others on this machine may read {name}"
            yield Finding("bad", "keys", told, f"chmod 600 {path}", partial(_closed, path))


def databases(settings: Settings, now: float) -> Iterator[Finding]:
    """Pages, counts, the chain of the log, the schema, encoders, the clock."""
    for name, path in (("jobs", settings.jobs_path), ("shelf", settings.shelf_path)):
        if path.is_file():
            yield _checked(name, path)
    if settings.memory_url is not None:
        yield Finding("ok", "memory", "is in PostgreSQL: the server is asked below")
        return
    if not settings.memory_path.is_file():
        yield Finding("note", "memory", f"none yet in {settings.data_dir}", "the first start makes it")
        return
    try:
        found = examined(settings.memory_path)
    except ApprenticeError as error:
        yield Finding("bad", "memory", str(error), "stop the server and `apprentice restore` a backup")
        return
    yield from _memory(found, settings, now)


def indexes(settings: Settings) -> Iterator[Finding]:
    """Snapshots of the index: torn ones are not used, and are made anew from the database."""
    folder = settings.data_dir / "index"
    torn = []
    pointers = list(folder.rglob("CURRENT")) if folder.is_dir() else []
    for pointer in pointers:
        found = load(pointer.parent, lambda _stamp: None)
        if found.note:
            torn.append((pointer.parent, found.note))
    for place, note in torn:
        told = f"{place.relative_to(settings.data_dir)}: {note}"
        mend = _unserved(settings, partial(_dropped, place))
        yield Finding("bad", "index", told, "delete it with the server stopped: it is made anew", mend)
    if not torn:
        yield Finding("ok", "index", f"{len(pointers)} snapshots, all whole")


def leftovers(settings: Settings) -> Iterator[Finding]:
    """What a process that was killed had written aside."""
    found = [] if not settings.data_dir.is_dir() else list(_left(settings.data_dir))
    for path in found:
        told = f"{path.relative_to(settings.data_dir)} was left by a process that is gone"
        yield Finding("note", "leftovers", told, "delete it", partial(_dropped, path))
    if not found:
        yield Finding("ok", "leftovers", "none")


def adapters(settings: Settings) -> Iterator[Finding]:
    """Files, base and fingerprint of each."""
    if not settings.adapters_dir.exists():
        yield Finding("ok", "adapters", "none yet")
        return
    from distill.registry import Registry  # imports torch

    registry = Registry(settings.adapters_dir)
    for manifest in registry.list():
        try:
            registry.verify(manifest.id, settings.models_dir / manifest.base)
            yield Finding("ok", "adapter", f"{manifest.id} is as it was trained, for {manifest.base}")
        except ApprenticeError as error:
            remedy = "restore its folder from a backup or distil again; the base model serves meanwhile"
            yield Finding("bad", "adapter", str(error), remedy)


def _memory(found: Examined, settings: Settings, now: float) -> Iterator[Finding]:
    if found.schema != found.newest_schema:
        yield Finding(
            "note", "memory", f"its schema is {found.schema}", "`apprentice migrate`, or just start"
        )
        return
    for problem in found.problems:
        yield Finding("bad", "memory", problem, "stop the server and `apprentice restore` a backup")
    if not found.problems:
        yield Finding(
            "ok", "memory", f"pages, counts, full text and the log's chain hold; schema {found.schema}"
        )
    yield _encoder(found, settings)
    ahead = (found.last_write_at or 0.0) - now
    if ahead > AHEAD_S:
        told = f"the newest write is {ahead:.0f} s in the future"
        yield Finding("bad", "clock", told, "set this machine's clock; expiry and decay go by it")
    else:
        yield Finding("ok", "clock", "nothing was written in the future")


def _encoder(found: Examined, settings: Settings) -> Finding:
    try:
        wanted = open_encoder(settings.encoder).generation
    except ApprenticeError as error:
        return Finding("bad", "encoder", str(error), "install it, or set APPRENTICE_ENCODER to another")
    if not found.encoders or wanted in found.encoders:
        return Finding("ok", "encoder", wanted)
    told = f"memory has vectors of {', '.join(found.encoders)}, none of {wanted}"
    remedy = "set APPRENTICE_PREVIOUS_ENCODER to the encoder it was written with, until all is re-encoded"
    return Finding("note" if settings.previous_encoder else "bad", "encoder", told, remedy)


def _checked(name: str, path: Path) -> Finding:
    try:
        wrong = quick_check(path)
    except ApprenticeError as error:
        wrong = (str(error),)
    if wrong:
        return Finding("bad", name, wrong[0], "stop the server and `apprentice restore` a backup")
    return Finding("ok", name, "all pages are whole")


def _left(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob(".*")):
        named = _WRITTEN_ASIDE.fullmatch(path.name)
        if named is not None and not _lives(int(named[1])):
            yield path


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _unserved(settings: Settings, mend: Callable[[], str]) -> Callable[[], str]:
    """Only where no server has the folder. Raises StoreLocked."""

    def alone() -> str:
        try:
            lock = FileLock.take(settings.memory_path)
        except StoreLocked as error:
            raise StoreLocked(f"not while a server runs: {error}") from error
        try:
            return mend()
        finally:
            lock.release()

    return alone


def _closed(path: Path) -> str:
    path.chmod(0o600)
    return f"{path.name} is its owner's alone now"


def _dropped(path: Path) -> str:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    return f"deleted {path}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "-"
