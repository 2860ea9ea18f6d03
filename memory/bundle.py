"""A namespace as a folder: what it remembers, its episodes, its vectors, and hashes of all of it.

items.jsonl     one item a line, in order of creation
episodes.jsonl  one episode a line
vectors.npy     (n items, dim) float32 in the order of items.jsonl; a row of zeros where there is none
manifest.json   namespace, encoder, counts, SHA-256 of each file and of itself
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from memory.codec import canonical, dumps, from_json, loads, to_json
from memory.entry import Vector, digest_of
from memory.errors import BadInput, Conflict
from memory.types import Episode, Item

FORMAT = 1
FILES = ("items.jsonl", "episodes.jsonl", "vectors.npy")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a bundle holds and how to tell that nobody changed it."""

    format: int
    namespace: str
    encoder: str
    dim: int
    items: int
    episodes: int
    log_seq: int
    created_at: float
    files: dict[str, str]
    """SHA-256 by file name."""
    hash: str = ""
    """SHA-256 of the rest of the manifest."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle in memory; `vectors` is (n items, dim) float32."""

    manifest: Manifest
    items: tuple[Item, ...]
    episodes: tuple[Episode, ...]
    vectors: NDArray[np.float32]


def write(
    folder: Path,
    manifest: Manifest,
    items: Sequence[Item],
    episodes: Sequence[Episode],
    vectors: Mapping[str, Vector],
) -> Path:
    """Write a bundle; the folder appears whole or not at all. Counts, files and hash are filled in here.

    `vectors` are by text digest. Raises Conflict when the folder exists and is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Conflict(f"{str(folder)!r} exists and is not empty: export into a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = folder.with_name(f".{folder.name}-{os.getpid()}")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    _write_lines(building / "items.jsonl", items)
    _write_lines(building / "episodes.jsonl", episodes)
    matrix = np.zeros((len(items), manifest.dim), dtype=np.float32)
    for row, item in zip(matrix, items, strict=True):
        row[:] = vectors.get(digest_of(item.text), 0.0)
    np.save(building / "vectors.npy", matrix, allow_pickle=False)
    hashes = {name: _hash(building / name) for name in FILES}
    manifest = replace(manifest, items=len(items), episodes=len(episodes), files=hashes, hash="")
    manifest = replace(manifest, hash=_own_hash(manifest))
    (building / "manifest.json").write_text(canonical(to_json(manifest)) + "\n", encoding="utf-8")
    if folder.exists():
        folder.rmdir()
    building.rename(folder)
    return folder


def read(folder: Path) -> Bundle:
    """A bundle, checked. Raises BadInput naming the file that is missing, changed or unreadable."""
    manifest = _read_manifest(folder)
    for name in FILES:
        if not (folder / name).is_file():
            raise BadInput(f"the bundle {str(folder)!r} has no {name}")
        if _hash(folder / name) != manifest.files.get(name):
            raise BadInput(f"{name} of the bundle {str(folder)!r} was changed after the export: refused")
    items = tuple(loads(Item, line) for line in _lines(folder / "items.jsonl"))
    episodes = tuple(loads(Episode, line) for line in _lines(folder / "episodes.jsonl"))
    try:
        matrix = np.load(folder / "vectors.npy", allow_pickle=False)
    except ValueError as error:
        raise BadInput(f"vectors.npy of the bundle {str(folder)!r} cannot be read: {error}") from error
    if matrix.shape != (len(items), manifest.dim):
        raise BadInput(f"the bundle has {len(items)} items and vectors of shape {matrix.shape}")
    return Bundle(manifest, items, episodes, matrix.astype(np.float32))


def _read_manifest(folder: Path) -> Manifest:
    path = folder / "manifest.json"
    try:
        manifest = from_json(Manifest, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise BadInput(f"{str(folder)!r} is no bundle: its manifest.json cannot be read ({error})") from error
    if manifest.format != FORMAT:
        raise BadInput(f"the bundle has format {manifest.format}, this version reads {FORMAT}")
    if manifest.hash != _own_hash(manifest):
        raise BadInput(f"manifest.json of the bundle {str(folder)!r} was changed after the export: refused")
    return manifest


def _own_hash(manifest: Manifest) -> str:
    return sha256(canonical(to_json(replace(manifest, hash=""))).encode()).hexdigest()


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        digest = sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _write_lines(path: Path, values: Sequence[object]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for value in values:
            file.write(dumps(value) + "\n")


def _lines(path: Path) -> list[str]:
    # Only "\n" ends a line: texts may hold other separators.
    return [line for line in path.read_text(encoding="utf-8").split("\n") if line]
