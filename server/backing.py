"""A data folder as one consistent copy, taken while the server runs or not, and put back.

Databases are copied by SQLite, the jobs before memory: what a job says is done is then in the memory beside
it, and what it does again after a restore memory has already. The index is left out: it is derived.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hashlib import file_digest
from pathlib import Path

from memory.codec import from_json
from memory.errors import BadInput, Conflict, StoreError
from memory.store.examined import copied, quick_check
from server.settings import Settings

MANIFEST = "backup.json"
FORMAT = 1
_DATABASES = ("jobs.db", "shelf.db", "memory.db")
"""In this order."""
_FOLDERS = ("adapters",)


@dataclass(frozen=True, slots=True)
class Kept:
    """One file of a backup."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds."""

    format: int
    at: float
    """When it was begun: what was acknowledged before is in it."""
    files: tuple[Kept, ...]
    left_out: tuple[str, ...]
    """What lives elsewhere, such as a database of PostgreSQL."""


def back_up(settings: Settings, folder: Path, *, with_distillations: bool = False) -> Backup:
    """Copy the data folder into a new one. Raises Conflict on one in use, BadInput, StoreError."""
    source = settings.data_dir
    if not source.is_dir():
        raise BadInput(f"there is no data folder {str(source)!r}: name it with --data")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Conflict(f"{str(folder)!r} exists and is not empty: back up into a new folder")
    at = time.time()
    building = folder.with_name(f".{folder.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True, mode=0o700)
    try:
        for name in _DATABASES:
            if (source / name).is_file():
                copied(source / name, building / name)
        _copy_rest(source, building, with_distillations=with_distillations)
        left = tuple(_elsewhere(settings))
        backup = Backup(FORMAT, at, tuple(_kept(building)), left)
        (building / MANIFEST).write_text(json.dumps(asdict(backup), indent=1), "utf-8")
        if folder.exists():
            folder.rmdir()
        building.rename(folder)
    except OSError as error:
        raise StoreError(f"the backup cannot be written: {error}") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return backup


def put_back(folder: Path, target: Path) -> Backup:
    """Check a backup and copy it into an empty data folder. Raises BadInput, Conflict, StoreError."""
    backup = checked(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Conflict(
            f"{str(target)!r} is not empty: restore into a new data folder, then point --data there"
        )
    building = target.with_name(f".{target.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    try:
        building.mkdir(parents=True, mode=0o700)
        for kept in backup.files:
            place = building / kept.name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(folder / kept.name, place)
        if target.exists():
            target.rmdir()
        building.rename(target)
    except OSError as error:
        raise StoreError(f"the backup cannot be put back: {error}") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return backup


def checked(folder: Path) -> Backup:
    """What a backup says it holds, once all of it was found to be so. Raises BadInput."""
    try:
        backup = from_json(Backup, json.loads((folder / MANIFEST).read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise BadInput(f"{str(folder)!r} is no backup: {error}") from error
    if backup.format != FORMAT:
        raise BadInput(f"the backup has format {backup.format}, this release reads {FORMAT}: use another one")
    root = folder.resolve()
    for kept in backup.files:
        path = folder / kept.name
        if not path.resolve().is_relative_to(root):
            raise BadInput(f"the backup names {kept.name!r}, which is outside of it")
        if not path.is_file() or _kept_as(path, kept.name) != kept:
            raise BadInput(
                f"{kept.name} is missing or was changed since the backup was made: take another one"
            )
        if kept.name in _DATABASES and (wrong := quick_check(path)):
            raise BadInput(f"{kept.name} is damaged: {wrong[0]}")
    return backup


def _copy_rest(source: Path, building: Path, *, with_distillations: bool) -> None:
    """Small files, each written by a rename, and folders that do not change once they are there."""
    for path in sorted(source.iterdir()):
        is_database = path.name.startswith(_DATABASES)
        if path.is_file() and not is_database and not path.name.startswith(".") and path.suffix != ".lock":
            shutil.copy2(path, building / path.name)
    for name in (*_FOLDERS, *(("distillations",) if with_distillations else ())):
        if (source / name).is_dir():
            shutil.copytree(source / name, building / name)


def _elsewhere(settings: Settings) -> Iterator[str]:
    if settings.memory_url is not None:
        yield "memory is in PostgreSQL: back it up by pg_dump"
    if settings.jobs_url is not None:
        yield "jobs are in PostgreSQL: back them up by pg_dump, before memory"


def _kept(folder: Path) -> Iterator[Kept]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield _kept_as(path, path.relative_to(folder).as_posix())


def _kept_as(path: Path, name: str) -> Kept:
    with path.open("rb") as file:
        return Kept(name, path.stat().st_size, file_digest(file, "sha256").hexdigest())
