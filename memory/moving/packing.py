"""A bundle being written: page by page, whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np

from memory.codec import canonical, dumps, to_json
from memory.entry import Vector, digest_of
from memory.errors import Conflict
from memory.moving.bundle import (
    CREDITS,
    EPISODES,
    FILES,
    ITEMS,
    MANIFEST,
    VECTORS,
    Given,
    Manifest,
    hash_of,
    own_hash,
    signed_text,
)
from memory.moving.signing import SigningKey
from memory.types import Episode, Item


class Packing:
    """A bundle being written, page by page; nothing is kept in memory."""

    def __init__(self, folder: Path, dim: int | None) -> None:
        self._folder = folder
        self._lines = {name: (folder / name).open("wb") for name in (ITEMS, EPISODES, CREDITS)}
        self._vectors = None if dim is None else (folder / VECTORS).open("wb")
        self._dim = dim or 0
        self._n = {ITEMS: 0, EPISODES: 0}
        self._write_header()

    def add_items(self, items: Sequence[Item], vectors: Mapping[str, Vector]) -> None:
        """Items in order, with their vectors by text digest."""
        self._add(ITEMS, items)
        self._n[ITEMS] += len(items)
        if self._vectors is not None:
            matrix = np.zeros((len(items), self._dim), dtype="<f4")
            for row, item in zip(matrix, items, strict=True):
                row[:] = vectors.get(digest_of(item.text), 0.0)
            self._vectors.write(matrix.tobytes())

    def add_episodes(self, episodes: Sequence[Episode]) -> None:
        """Episodes in order."""
        self._add(EPISODES, episodes)
        self._n[EPISODES] += len(episodes)

    def add_credits(self, credits_: Iterable[Given]) -> None:
        """What episodes gave to items."""
        self._add(CREDITS, credits_)

    def seal(self, manifest: Manifest, key: SigningKey | None) -> None:
        """Write the manifest with counts, hashes and signature filled in; everything is on disk after it."""
        self._write_header()
        self.close()
        hashes = {name: hash_of(self._folder / name) for name in FILES if (self._folder / name).exists()}
        manifest = replace(manifest, items=self._n[ITEMS], episodes=self._n[EPISODES], files=hashes, hash="")
        manifest = replace(manifest, signer=key.public if key else "", signature="")
        manifest = replace(manifest, hash=own_hash(to_json(manifest)))
        if key is not None:
            manifest = replace(manifest, signature=key.sign(signed_text(to_json(manifest))))
        with (self._folder / MANIFEST).open("wb") as file:
            file.write(canonical(to_json(manifest)).encode() + b"\n")
            _sync(file)

    def close(self) -> None:
        """Close the files; safe to call twice."""
        for file in (*self._lines.values(), *([self._vectors] if self._vectors is not None else [])):
            if not file.closed:
                _sync(file)
                file.close()

    def _add(self, name: str, values: Iterable[object]) -> None:
        for value in values:
            self._lines[name].write(dumps(value).encode() + b"\n")

    def _write_header(self) -> None:
        # numpy leaves room for the number of rows to grow: the header has one length, before and after.
        if self._vectors is not None:
            self._vectors.seek(0)
            header = {"descr": "<f4", "fortran_order": False, "shape": (self._n[ITEMS], self._dim)}
            np.lib.format.write_array_header_1_0(self._vectors, header)
            self._vectors.seek(0, os.SEEK_END)


@contextmanager
def packing(folder: Path, dim: int | None) -> Iterator[Packing]:
    """Write a bundle into a folder, which appears whole after `seal` or not at all; `dim` None: no vectors.

    Raises Conflict when the folder exists and is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Conflict(f"{str(folder)!r} exists and is not empty: export into a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = folder.with_name(f".{folder.name}-{os.getpid()}")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    pack = Packing(building, dim)
    try:
        yield pack
        if folder.exists():
            folder.rmdir()
        building.rename(folder)
    finally:
        pack.close()
        shutil.rmtree(building, ignore_errors=True)


def write(
    folder: Path,
    manifest: Manifest,
    items: Sequence[Item],
    episodes: Sequence[Episode],
    vectors: Mapping[str, Vector],
    key: SigningKey | None = None,
) -> Path:
    """Write what is in memory as a bundle; `vectors` are by text digest. Raises Conflict."""
    with packing(folder, manifest.dim) as pack:
        pack.add_items(items, vectors)
        pack.add_episodes(episodes)
        pack.seal(manifest, key)
    return folder


def _sync(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())
