"""Segments of one namespace on disk: a folder each, checked before use, switched by one rename.

CURRENT                          name of the newest good segment
segment-00000012/manifest.json   generation, log position, counts, checksums; its own checksum last
segment-00000012/…               the files of `memory.index.segment`

A folder is written aside, synced and renamed; then the pointer is. The one before is kept.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Literal

from memory.codec import canonical, from_json, to_json
from memory.errors import BadInput, IndexCorrupt

FORMAT = 3
KEEP = 2
"""Segments kept: the newest and the one before."""
POINTER, MANIFEST = "CURRENT", "manifest.json"
Origin = Literal["none", "snapshot", "previous", "rebuilt"]


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a segment was made from, and what its files do not say."""

    encoder: str
    count: int
    """Rows."""
    seq: int
    """Log position it stands at."""
    mark: str
    """Hash of the log row there: a database that went back to a backup has another past."""
    n_probe: int
    n_trained: int


@dataclass(frozen=True, slots=True)
class File:
    """What a file must be."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a folder must hold."""

    format: int
    stamp: Stamp
    files: tuple[File, ...]


@dataclass(frozen=True, slots=True)
class Loaded:
    """The segment to use, if any, and how that went."""

    path: Path | None
    stamp: Stamp | None
    origin: Origin
    note: str = ""


class Unwanted(Exception):
    """What was being written is not wanted any more; nothing of it is left."""


def write(
    folder: Path, fill: Callable[[Path], None], stamp: Stamp, is_wanted: Callable[[], bool] = lambda: True
) -> Path:
    """Write a segment by `fill(folder)` and make it the current one; returns its folder.

    Raises Unwanted when `is_wanted` says no at the end, OSError when the disk fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(".building-*"):
        shutil.rmtree(left, ignore_errors=True)
    number = max((_number(path) for path in _segments(folder)), default=0) + 1
    target, building = folder / f"segment-{number:08d}", folder / f".building-{number:08d}-{os.getpid()}"
    try:
        building.mkdir()
        fill(building)
        _write_manifest(building, stamp)
        _rename(building, target, is_wanted)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    _sync(folder)
    _write_bytes(folder / f".{POINTER}", target.name.encode())
    (folder / f".{POINTER}").rename(folder / POINTER)
    _sync(folder)
    for old in sorted(_segments(folder), key=_number)[:-KEEP]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def positions(folder: Path) -> list[int]:
    """Log positions that the segments of a folder stand at; 0 for one that does not say."""
    found = []
    for path in _segments(folder):
        try:
            found.append(_manifest(path).stamp.seq)
        except IndexCorrupt:
            found.append(0)
    return found


def load(folder: Path, objection: Callable[[Stamp], str | None]) -> Loaded:
    """The newest segment that is whole and has no `objection` to it; says so when that is not the newest."""
    pointer = folder / POINTER
    if not pointer.is_file():
        return Loaded(None, None, "none")
    current = folder / pointer.read_text(encoding="utf-8", errors="replace").strip()
    older = sorted((path for path in _segments(folder) if path != current), key=_number, reverse=True)
    problems: list[str] = []
    for path in (current, *older):
        try:
            stamp = _checked(path, objection)
        except IndexCorrupt as error:
            problems.append(str(error))
            continue
        return Loaded(path, stamp, "previous" if problems else "snapshot", "; ".join(problems))
    return Loaded(None, None, "rebuilt", "; ".join(problems))


def _rename(building: Path, target: Path, is_wanted: Callable[[], bool]) -> None:
    if not is_wanted():
        raise Unwanted
    building.rename(target)


def _checked(path: Path, objection: Callable[[Stamp], str | None]) -> Stamp:
    manifest = _manifest(path)
    if (problem := objection(manifest.stamp)) is not None:
        raise IndexCorrupt(f"{path.name} {problem}")
    for file in manifest.files:
        try:
            is_whole = (path / file.name).stat().st_size == file.size and _hash(
                path / file.name
            ) == file.sha256
        except OSError as error:
            raise IndexCorrupt(f"{path.name}/{file.name} cannot be read: {error.strerror}") from error
        if not is_whole:
            raise IndexCorrupt(f"{path.name}/{file.name} does not match its checksum")
    return manifest.stamp


def _manifest(path: Path) -> Manifest:
    try:
        text, checksum = (path / MANIFEST).read_text(encoding="utf-8").split("\n")[:2]
        if sha256(text.encode()).hexdigest() != checksum:
            raise IndexCorrupt(f"the manifest of {path.name} does not match its checksum")
        values = json.loads(text)
        if values["format"] != FORMAT:
            raise IndexCorrupt(f"{path.name} has format {values['format']}, not {FORMAT}")
        return from_json(Manifest, values)
    except (OSError, ValueError, KeyError, TypeError, BadInput) as error:
        raise IndexCorrupt(f"the manifest of {path.name} cannot be read: {error}") from error


def _write_manifest(folder: Path, stamp: Stamp) -> None:
    files = []
    for path in sorted(folder.iterdir()):
        _sync(path)
        files.append(File(path.name, path.stat().st_size, _hash(path)))
    text = canonical(to_json(Manifest(FORMAT, stamp, tuple(files))))
    _write_bytes(folder / MANIFEST, f"{text}\n{sha256(text.encode()).hexdigest()}\n".encode())
    _sync(folder)


def _segments(folder: Path) -> list[Path]:
    return [path for path in folder.glob("segment-*") if path.is_dir() and path.name[8:].isdigit()]


def _number(path: Path) -> int:
    return int(path.name.removeprefix("segment-"))


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _write_bytes(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
