"""What is known of an adapter: its manifest, on disk beside its weights."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from agent.models.local.identity import Fingerprint, FolderIdentity
from distill.retention import Score
from memory.errors import AdapterRefused
from memory.types import Json

MANIFEST = "manifest.json"
LINEAGE = "lineage.jsonl"


@dataclass(frozen=True, slots=True)
class Override:
    """Somebody let an adapter serve that the gate kept out."""

    by: str
    """The principal, and what its key is called."""
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class AdapterManifest:
    """What an adapter is, what it depends on and where every row of it came from."""

    id: str
    created_at: float
    base: str
    """Name of the base model folder."""
    identity: FolderIdentity
    """Hashes of the base's weights and of its tokenizer and template."""
    files: dict[str, str]
    """File name to SHA-256."""
    fingerprint: Fingerprint
    namespace: str
    recipe: str
    method: str
    """The recipe in full."""
    dataset: str
    """Hash of the dataset."""
    episodes: tuple[str, ...]
    """Whose messages trained it."""
    seed: int
    settings: dict[str, Json]
    """As in `TrainSettings`."""
    gate: dict[str, Json] = field(default_factory=dict)
    """The report that let it in or kept it out."""
    items: tuple[str, ...] = ()
    """Whose text was in the prompts of those episodes."""
    blocked: str | None = None
    """Why it may not serve any more: something it was trained on was forgotten."""
    proposer: str = ""
    """The principal that asked for it, and may not let it serve."""
    scores: tuple[Score, ...] = ()
    """By suite of the gate; later distillations are compared with them."""
    served_at: float | None = None
    """When it was first promoted."""
    overrides: tuple[Override, ...] = ()
    """Who let it serve against the gate, and why."""
    prompt_prefix: str | None = None
    """Serving puts it into every prompt."""

    @property
    def passed(self) -> bool:
        """Did the gate let it in?"""
        return self.gate.get("promoted") is True


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where one row of an adapter came from; it holds no text."""

    episode: str
    also: tuple[str, ...]
    """Further episodes that it was made of."""
    indices: tuple[int, ...]
    """Of its messages in the episode; -1 for what a shape wrote."""
    weights: tuple[float, ...]
    stream: str


# Made once: it takes longer than reading a file by it.
_MANIFESTS, _ROWS = TypeAdapter(AdapterManifest), TypeAdapter(Lineage)


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of an adapter but what is known of it."""
    own = {MANIFEST, LINEAGE}
    files: Sequence[Path] = sorted(p for p in folder.iterdir() if p.is_file() and p.name not in own)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def read(path: Path) -> AdapterManifest:
    """Raises AdapterRefused when it cannot be read."""
    try:
        return _MANIFESTS.validate_json(path.read_bytes())
    except (ValidationError, OSError) as error:
        raise AdapterRefused(f"the manifest {str(path)!r} cannot be read: {error}") from error


def write(path: Path, manifest: AdapterManifest) -> None:
    """In the place of what is there, at once."""
    put(path, _MANIFESTS.dump_json(manifest, indent=1))


def read_lineage(folder: Path) -> tuple[Lineage, ...]:
    """Of every row of an adapter; empty for one of a release that kept none.

    Raises AdapterRefused when it cannot be read.
    """
    path = folder / LINEAGE
    try:
        return tuple(_ROWS.validate_json(line) for line in path.read_bytes().splitlines())
    except FileNotFoundError:
        return ()
    except (ValidationError, OSError) as error:
        raise AdapterRefused(f"the lineage {str(path)!r} cannot be read: {error}") from error


def write_lineage(folder: Path, rows: Sequence[Lineage]) -> None:
    """One line for each row."""
    put(folder / LINEAGE, b"".join(_ROWS.dump_json(row) + b"\n" for row in rows))


def put(path: Path, data: bytes) -> None:
    """Write beside and rename: a reader sees the old bytes or the new ones, also after a crash."""
    beside = path.with_suffix(".new")
    with beside.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
