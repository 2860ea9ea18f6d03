"""A namespace as a folder: what it remembers, its episodes, its vectors, and hashes of all of it, signed.

items.jsonl     one item a line, in order of creation
episodes.jsonl  one episode a line, in order
credits.jsonl   one line for each item that an episode gave credit to
vectors.npy     (n items, dim) float32 in the order of items.jsonl, zeros where there is none; may be left out
manifest.json   namespace, encoder, counts, SHA-256 of each file and of itself, public key and signature

Format 2; format 1, which had no credits and no signature, is read as well. The log stays at home: its
positions and its chain of hashes belong to one database, which `Memory.backup` copies whole. So the history
of an item starts anew with the operation `import`, at the version it had.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from memory.codec import canonical, from_json, loads
from memory.errors import BadInput
from memory.moving.signing import check_signature
from memory.types import Episode, Item, Json

FORMAT = 2
READABLE = (1, FORMAT)
ITEMS, EPISODES, CREDITS, VECTORS = "items.jsonl", "episodes.jsonl", "credits.jsonl", "vectors.npy"
FILES = (ITEMS, EPISODES, CREDITS, VECTORS)
OPTIONAL = frozenset({CREDITS, VECTORS})
"""Files that a bundle may lack; it then has none of what they hold."""
MANIFEST = "manifest.json"
ROW_DTYPE = np.dtype("<f4")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a bundle holds, who made it, and how to tell that nobody changed it."""

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
    """SHA-256 of the rest of the manifest, all but the signature."""
    signer: str = ""
    """Ed25519 public key in base64; empty in a bundle that nobody signed."""
    signature: str = ""
    """Of the manifest's canonical text without this field."""


@dataclass(frozen=True, slots=True)
class Given:
    """What an episode added to an item's utility; the last three are of releases from 0.3 on."""

    episode: str
    item: str
    shown: bool
    place: int
    reward: float
    propensity: float = 1.0
    centre: float = 0.5
    test: int = 0


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle in memory; `vectors` is (n items, dim) float32, zeros when they were left out."""

    manifest: Manifest
    items: tuple[Item, ...]
    episodes: tuple[Episode, ...]
    vectors: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Opened:
    """A bundle on disk whose hashes and signature are right."""

    folder: Path
    manifest: Manifest

    def lines(self, name: str) -> Iterator[tuple[int, str]]:
        """(number from 1, text) of the lines of a file; of none when the bundle lacks the file.

        Raises BadInput on what is not UTF-8.
        """
        if name in self.manifest.files:
            with (self.folder / name).open("rb") as file:
                # Only "\n" ends a line of a binary file: texts may hold other separators.
                for number, line in enumerate(file, 1):
                    yield number, _decoded(line, name)

    def vectors(self, first: int, count: int) -> NDArray[np.float32] | None:
        """(count, dim) float32 of the items from line `first` on; None when vectors were left out.

        Raises BadInput on a file that does not hold one row of float32 an item.
        """
        if VECTORS not in self.manifest.files:
            return None
        with (self.folder / VECTORS).open("rb") as file:
            self._check_header(file)
            file.seek((first - 1) * self.manifest.dim * ROW_DTYPE.itemsize, os.SEEK_CUR)
            data = file.read(count * self.manifest.dim * ROW_DTYPE.itemsize)
        try:
            matrix = np.frombuffer(data, ROW_DTYPE).reshape(count, self.manifest.dim)
        except ValueError as error:
            raise BadInput(f"{VECTORS} of the bundle {str(self.folder)!r} is cut off: {error}") from error
        return matrix.astype(np.float32)

    def _check_header(self, file: IO[bytes]) -> None:
        expected = ((self.manifest.items, self.manifest.dim), False, ROW_DTYPE)
        try:
            np.lib.format.read_magic(file)
            found = np.lib.format.read_array_header_1_0(file)
        except ValueError as error:
            raise BadInput(f"{VECTORS} of the bundle {str(self.folder)!r} cannot be read: {error}") from error
        if found != expected:
            raise BadInput(f"the bundle needs vectors of (shape, order, type) {expected} and has {found}")


def open_bundle(folder: Path) -> Opened:
    """A bundle, checked. Raises BadInput naming the file that is missing or changed, or the signer."""
    manifest = read_manifest(folder)
    for name in FILES:
        if name not in manifest.files and name in OPTIONAL:
            continue
        if not (folder / name).is_file():
            raise BadInput(f"the bundle {str(folder)!r} has no {name}")
        if hash_of(folder / name) != manifest.files.get(name):
            raise BadInput(f"{name} of the bundle {str(folder)!r} was changed after the export: refused")
    return Opened(folder, manifest)


def read(folder: Path) -> Bundle:
    """A whole bundle in memory, checked. Raises BadInput as `open_bundle` does, or on an unreadable line."""
    opened = open_bundle(folder)
    items = tuple(loads(Item, line) for _, line in opened.lines(ITEMS))
    episodes = tuple(loads(Episode, line) for _, line in opened.lines(EPISODES))
    vectors = opened.vectors(1, len(items))
    if vectors is None:
        vectors = np.zeros((len(items), opened.manifest.dim), dtype=np.float32)
    return Bundle(opened.manifest, items, episodes, vectors)


def read_manifest(folder: Path) -> Manifest:
    """The manifest alone, its hash and signature checked; the files are not. Raises BadInput."""
    try:
        data = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        manifest = from_json(Manifest, data)
    except (OSError, ValueError, BadInput) as error:
        raise BadInput(f"{str(folder)!r} is no bundle: its {MANIFEST} cannot be read ({error})") from error
    if manifest.format not in READABLE:
        raise BadInput(f"the bundle has format {manifest.format}, this version reads {READABLE}")
    if manifest.hash != own_hash(data):
        raise BadInput(f"{MANIFEST} of the bundle {str(folder)!r} was changed after the export: refused")
    if manifest.signer or manifest.signature:
        check_signature(signed_text(data), manifest.signer, manifest.signature)
    return manifest


def own_hash(data: Json) -> str:
    """What the manifest's `hash` must be."""
    assert isinstance(data, dict)
    rest = {name: value for name, value in data.items() if name != "signature"}
    return sha256(canonical(rest | {"hash": ""}).encode()).hexdigest()


def signed_text(data: Json) -> str:
    """What the signer of a manifest signs."""
    assert isinstance(data, dict)
    return canonical({name: value for name, value in data.items() if name != "signature"})


def hash_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        digest = sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _decoded(line: bytes, name: str) -> str:
    try:
        return line.rstrip(b"\n").decode()
    except UnicodeDecodeError as error:
        raise BadInput(f"{name} is not UTF-8: {error}") from error
