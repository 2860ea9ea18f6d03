"""Adapters on disk: verified before use, promoted and rolled back by one atomic pointer."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from agent.models.local.identity import Fingerprint, FolderIdentity, identify
from memory.errors import AdapterRefused, Conflict, NotFound
from memory.types import Json

if TYPE_CHECKING:
    from agent.models.local.model import LocalModel

_MANIFEST = "manifest.json"
_POINTER = "current.json"


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


@dataclass(frozen=True, slots=True)
class Pointer:
    """Which adapter serves, and which served before, newest last."""

    current: str | None = None
    history: tuple[str | None, ...] = ()


class Registry:
    """A folder of adapters. Readers may run while one writer promotes or rolls back."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, adapter_id: str) -> Path:
        """The folder of one adapter. Raises NotFound."""
        path = self._folder / adapter_id
        if path.parent != self._folder or not (path / _MANIFEST).is_file():
            raise NotFound(f"there is no adapter {adapter_id!r}")
        return path

    def list(self) -> tuple[AdapterManifest, ...]:
        """All adapters with a readable manifest, oldest first."""
        found: list[AdapterManifest] = []
        for path in sorted(self._folder.glob(f"*/{_MANIFEST}")):
            try:
                found.append(_read(path))
            except AdapterRefused:
                continue  # `verify` says what is wrong with it; one bad folder must not hide the others
        return tuple(sorted(found, key=lambda manifest: (manifest.created_at, manifest.id)))

    def get(self, adapter_id: str) -> AdapterManifest:
        """One manifest. Raises NotFound, AdapterRefused when it cannot be read."""
        return _read(self.path(adapter_id) / _MANIFEST)

    def add(self, weights: Path, manifest: AdapterManifest) -> AdapterManifest:
        """Copy an adapter's files in under an id made of their hashes; adding it again changes nothing."""
        files = checksums(weights)
        digest = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
        complete = replace(manifest, id=f"{manifest.recipe}-{digest[:12]}", files=files)
        target = self._folder / complete.id
        if not (target / _MANIFEST).exists():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(weights, target)
            _write(target / _MANIFEST, complete)
        return complete

    def record_gate(self, adapter_id: str, gate: dict[str, Json]) -> AdapterManifest:
        """Keep the gate's report with the adapter."""
        manifest = replace(self.get(adapter_id), gate=gate)
        _write(self.path(adapter_id) / _MANIFEST, manifest)
        return manifest

    def touched(self, namespace: str, episodes: Iterable[str], items: Iterable[str] = ()) -> tuple[str, ...]:
        """Ids of a namespace's adapters that were trained on any of the episodes, or with an item in view."""
        named, seen = frozenset(episodes), frozenset(items)
        return tuple(
            manifest.id
            for manifest in self.list()
            if manifest.namespace == namespace
            and not (named.isdisjoint(manifest.episodes) and seen.isdisjoint(manifest.items))
        )

    def block(self, adapter_id: str, reason: str) -> AdapterManifest:
        """Let an adapter serve never again; if it does, the one before takes over. Raises NotFound."""
        manifest = self.get(adapter_id)
        if manifest.blocked is None:
            manifest = replace(manifest, blocked=reason)
            _write(self.path(adapter_id) / _MANIFEST, manifest)
        pointer = self._pointer()
        history = tuple(one for one in pointer.history if one != adapter_id)
        if pointer.current == adapter_id:
            self._point(Pointer(history[-1] if history else None, history[:-1]))
        elif history != pointer.history:
            self._point(Pointer(pointer.current, history))
        return manifest

    def verify(self, adapter_id: str, base: Path) -> AdapterManifest:
        """Check files and base. Raises AdapterRefused with the reason, NotFound."""
        manifest = self.get(adapter_id)
        if manifest.blocked is not None:
            raise AdapterRefused(f"adapter {adapter_id!r} is blocked ({manifest.blocked}); distil again")
        actual = checksums(self.path(adapter_id))
        for name, expected in manifest.files.items():
            if name not in actual:
                raise AdapterRefused(f"adapter {adapter_id!r}: {name} is missing; build it again")
            if actual[name] != expected:
                raise AdapterRefused(f"adapter {adapter_id!r}: {name} is corrupt; build it again")
        identity = identify(base)
        if identity.weights != manifest.identity.weights:
            raise AdapterRefused(f"adapter {adapter_id!r} was trained on other weights than {base.name!r}")
        if identity.tokenizer != manifest.identity.tokenizer:
            raise AdapterRefused(
                f"adapter {adapter_id!r} was trained with another tokenizer, template or apprentice.json"
            )
        return manifest

    def load(self, adapter_id: str, base: Path, *, name: str, max_batch: int = 32) -> LocalModel:
        """The base with a verified adapter, serving as it did when trained. Raises AdapterRefused."""
        # Seconds to import, and listing adapters needs none of it.
        from agent.models.local.model import LocalModel

        manifest = self.verify(adapter_id, base)
        model = LocalModel.load(base, name=name, adapter=self.path(adapter_id), max_batch=max_batch)
        if not model.fingerprint().matches(manifest.fingerprint):
            model.close()
            raise AdapterRefused(
                f"adapter {adapter_id!r} does not answer as it did when trained; build it again"
            )
        return model

    def current(self) -> str | None:
        """Id of the promoted adapter."""
        return self._pointer().current

    def promote(self, adapter_id: str) -> Pointer:
        """Let an adapter serve. Raises NotFound, AdapterRefused when it is blocked."""
        manifest = self.get(adapter_id)
        if manifest.blocked is not None:
            raise AdapterRefused(f"adapter {adapter_id!r} is blocked ({manifest.blocked}); distil again")
        pointer = self._pointer()
        if pointer.current == adapter_id:
            return pointer
        return self._point(Pointer(adapter_id, (*pointer.history, pointer.current)))

    def rollback(self) -> Pointer:
        """Back to what served before. Raises Conflict when nothing did."""
        pointer = self._pointer()
        if not pointer.history:
            raise Conflict("no adapter served before this one; there is nothing to roll back to")
        return self._point(Pointer(pointer.history[-1], pointer.history[:-1]))

    def _pointer(self) -> Pointer:
        path = self._folder / _POINTER
        if not path.exists():
            return Pointer()
        try:
            return TypeAdapter(Pointer).validate_json(path.read_bytes())
        except ValidationError as error:
            raise AdapterRefused(f"{str(path)!r} is not a valid pointer: {error}") from error

    def _point(self, pointer: Pointer) -> Pointer:
        self._folder.mkdir(parents=True, exist_ok=True)
        _replace(self._folder / _POINTER, TypeAdapter(Pointer).dump_json(pointer))
        return pointer


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of an adapter but its manifest."""
    files: Sequence[Path] = sorted(p for p in folder.iterdir() if p.is_file() and p.name != _MANIFEST)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _read(path: Path) -> AdapterManifest:
    try:
        return TypeAdapter(AdapterManifest).validate_json(path.read_bytes())
    except (ValidationError, OSError) as error:
        raise AdapterRefused(f"the manifest {str(path)!r} cannot be read: {error}") from error


def _write(path: Path, manifest: AdapterManifest) -> None:
    _replace(path, TypeAdapter(AdapterManifest).dump_json(manifest, indent=1))


def _replace(path: Path, data: bytes) -> None:
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
