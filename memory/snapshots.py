"""Snapshots of the index on disk: a folder each, checked before use, switched by one rename.

index/CURRENT                      name of the newest good snapshot
index/snapshot-00000012/manifest.json   generation, log positions, counts, checksums; its own checksum last
index/snapshot-00000012/0.faiss, 0.json  vectors and text digests of one namespace
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from memory.codec import canonical, from_json, to_json
from memory.entry import Vector
from memory.errors import BadInput, IndexCorrupt
from memory.index.shelf import read_vectors, write_vectors

FORMAT = 1
KEEP = 2
"""Snapshots kept: the newest and the one before."""
Origin = Literal["none", "snapshot", "previous", "rebuilt"]


@dataclass(frozen=True, slots=True)
class Part:
    """The vectors of one namespace."""

    namespace: str
    name: str
    """Of its files, without suffix."""
    count: int
    seq: int
    """Log position it was applied to."""
    vectors_sha256: str
    digests_sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a snapshot folder must hold."""

    format: int
    encoder: str
    dim: int
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Content:
    """Vectors of one namespace to be written: digests and (n, d) float32, in the same order."""

    namespace: str
    seq: int
    digests: Sequence[str]
    matrix: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What could be read back, by namespace and text digest, and how that went."""

    vectors: Mapping[str, Mapping[str, Vector]]
    origin: Origin
    note: str


def write(folder: Path, encoder: str, dim: int, contents: Sequence[Content]) -> Path:
    """Write a snapshot and make it the current one; the one before is kept, older ones go."""
    folder.mkdir(parents=True, exist_ok=True)
    number = max((_number(path) for path in _snapshots(folder)), default=0) + 1
    target = folder / f"snapshot-{number:08d}"
    building = folder / f".building-{number:08d}-{os.getpid()}"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    parts = tuple(_write_part(building, str(place), content) for place, content in enumerate(contents))
    manifest = canonical(to_json(Manifest(FORMAT, encoder, dim, parts)))
    _write_bytes(
        building / "manifest.json", f"{manifest}\n{sha256(manifest.encode()).hexdigest()}\n".encode()
    )
    _sync(building)
    building.rename(target)
    pointer = folder / ".CURRENT"
    _write_bytes(pointer, target.name.encode())
    pointer.rename(folder / "CURRENT")
    _sync(folder)
    for old in sorted(_snapshots(folder), key=_number)[:-KEEP]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def load(folder: Path, encoder: str) -> Loaded:
    """The newest snapshot that is whole and of this encoder; says so when that is not the newest."""
    pointer = folder / "CURRENT"
    if not pointer.is_file():
        return Loaded({}, "none", "")
    current = folder / pointer.read_text(encoding="utf-8", errors="replace").strip()
    older = sorted((path for path in _snapshots(folder) if path != current), key=_number, reverse=True)
    problems: list[str] = []
    for path in (current, *older):
        try:
            vectors = _read(path, encoder)
        except IndexCorrupt as error:
            problems.append(str(error))
            continue
        return Loaded(vectors, "previous" if problems else "snapshot", "; ".join(problems))
    return Loaded({}, "rebuilt", "; ".join(problems))


def _read(path: Path, encoder: str) -> dict[str, dict[str, Vector]]:
    manifest = _manifest(path)
    if manifest.encoder != encoder:
        raise IndexCorrupt(f"{path.name} was made by encoder {manifest.encoder!r}, not {encoder!r}")
    return {part.namespace: _read_part(path, part) for part in manifest.parts}


def _manifest(path: Path) -> Manifest:
    try:
        text, checksum = (path / "manifest.json").read_text(encoding="utf-8").split("\n")[:2]
        if sha256(text.encode()).hexdigest() != checksum:
            raise IndexCorrupt(f"the manifest of {path.name} does not match its checksum")
        manifest = from_json(Manifest, json.loads(text))
    except (OSError, ValueError, BadInput) as error:
        raise IndexCorrupt(f"the manifest of {path.name} cannot be read: {error}") from error
    if manifest.format != FORMAT:
        raise IndexCorrupt(f"{path.name} has format {manifest.format}, not {FORMAT}")
    return manifest


def _read_part(path: Path, part: Part) -> dict[str, Vector]:
    vectors, digests = path / f"{part.name}.faiss", path / f"{part.name}.json"
    try:
        for file, checksum in ((vectors, part.vectors_sha256), (digests, part.digests_sha256)):
            if sha256(file.read_bytes()).hexdigest() != checksum:
                raise IndexCorrupt(f"{path.name}/{file.name} does not match its checksum")
        matrix = read_vectors(vectors)  # (n, d)
        names = json.loads(digests.read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError) as error:
        raise IndexCorrupt(f"{path.name}/{part.name} cannot be read: {error}") from error
    if len(matrix) != part.count or len(names) != part.count:
        raise IndexCorrupt(f"{path.name}/{part.name} has {len(matrix)} rows, its manifest says {part.count}")
    return dict(zip(names, matrix, strict=True))


def _write_part(folder: Path, name: str, content: Content) -> Part:
    vectors, digests = folder / f"{name}.faiss", folder / f"{name}.json"
    write_vectors(vectors, content.matrix)
    _sync(vectors)
    _write_bytes(digests, json.dumps(list(content.digests)).encode())
    checksums = [sha256(file.read_bytes()).hexdigest() for file in (vectors, digests)]
    return Part(content.namespace, name, len(content.digests), content.seq, *checksums)


def _snapshots(folder: Path) -> list[Path]:
    return [path for path in folder.glob("snapshot-*") if path.is_dir() and path.name[9:].isdigit()]


def _number(path: Path) -> int:
    return int(path.name.removeprefix("snapshot-"))


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
