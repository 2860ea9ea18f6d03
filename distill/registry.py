"""Adapters on disk: verified before use, promoted and rolled back by an atomic pointer of each namespace."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from agent.models.local.identity import identify
from distill import manifest as manifests
from distill import pointer as pointers
from distill.manifest import MANIFEST, AdapterManifest, Lineage, Override, checksums
from distill.pointer import Canary, Pointer
from distill.retention import Learned, Score
from memory.errors import AdapterRefused, BadInput, Conflict, NotFound
from memory.store.lock import turn
from memory.types import Json

if TYPE_CHECKING:
    from agent.models.local.model import LocalModel

__all__ = ["AdapterManifest", "Canary", "Pointer", "Registry", "checksums"]


class Registry:
    """A folder of adapters. Any number of processes may read and write it."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock
        self._known: dict[Path, tuple[tuple[int, int], AdapterManifest]] = {}
        """Manifests as they were read, with time and inode of the file."""

    def path(self, adapter_id: str) -> Path:
        """The folder of one adapter. Raises NotFound."""
        path = self._folder / adapter_id
        if path.parent != self._folder or not (path / MANIFEST).is_file():
            raise NotFound(f"there is no adapter {adapter_id!r}")
        return path

    def list(self) -> tuple[AdapterManifest, ...]:
        """All adapters with a readable manifest, oldest first."""
        found: list[AdapterManifest] = []
        for path in sorted(self._folder.glob(f"*/{MANIFEST}")):
            try:
                found.append(self._read(path))
            except AdapterRefused:
                continue  # `verify` says what is wrong with it; one bad folder must not hide the others
        return tuple(sorted(found, key=lambda manifest: (manifest.created_at, manifest.id)))

    def get(self, adapter_id: str) -> AdapterManifest:
        """One manifest. Raises NotFound, AdapterRefused when it cannot be read."""
        return self._read(self.path(adapter_id) / MANIFEST)

    def lineage(self, adapter_id: str) -> tuple[Lineage, ...]:
        """Where every row of it came from. Raises NotFound, AdapterRefused when it cannot be read."""
        return manifests.read_lineage(self.path(adapter_id))

    def add(
        self, weights: Path, manifest: AdapterManifest, lineage: Sequence[Lineage] = ()
    ) -> AdapterManifest:
        """Copy an adapter's files in under an id made of their hashes; adding it again changes nothing.

        Of the namespace, too: two that learned the same do not share one that falls with either.
        """
        files = checksums(weights)
        named = json.dumps({"namespace": manifest.namespace, "files": files}, sort_keys=True)
        digest = hashlib.sha256(named.encode()).hexdigest()
        complete = replace(manifest, id=f"{manifest.recipe}-{digest[:12]}", files=files)
        target = self._folder / complete.id
        self._folder.mkdir(parents=True, exist_ok=True)
        # Of two that add the same, the second would take the first one's half-made folder away.
        with self._locked():
            if not (target / MANIFEST).exists():
                shutil.rmtree(target, ignore_errors=True)
                shutil.copytree(weights, target)
                manifests.write_lineage(target, lineage)
                manifests.write(target / MANIFEST, complete)
        return complete

    def record_gate(
        self, adapter_id: str, gate: dict[str, Json], scores: tuple[Score, ...] = ()
    ) -> AdapterManifest:
        """Keep the gate's report with the adapter."""
        with self._locked():
            return self._change(replace(self.get(adapter_id), gate=gate, scores=scores))

    def record_override(self, adapter_id: str, by: str, reason: str) -> AdapterManifest:
        """Keep who lets an adapter serve against the gate, and why."""
        with self._locked():
            manifest = self.get(adapter_id)
            one = Override(by, reason, self._clock())
            return self._change(replace(manifest, overrides=(*manifest.overrides, one)))

    def served(self, namespace: str, base: str, *, without: str = "") -> tuple[Learned, ...]:
        """What this namespace's adapters of a base (hash of its weights) could do that served, oldest first.

        What is blocked counts no more: what it could do rested on what was taken back.
        """
        found = [
            one
            for one in self.list()
            if one.namespace == namespace and one.identity.weights == base and one.id != without
            if one.served_at is not None and one.blocked is None
        ]
        found.sort(key=lambda one: (one.served_at or 0.0, one.id))
        return tuple(Learned(one.id, len(one.episodes), one.scores) for one in found)

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
        with self._locked():
            manifest = self.get(adapter_id)
            if manifest.blocked is None:
                manifest = self._change(replace(manifest, blocked=reason))
            pointer = self.pointer(manifest.namespace)
            if pointer != (changed := pointer.without(adapter_id)):
                self._point(manifest.namespace, changed)
            return manifest

    def check(self, adapter_id: str) -> Callable[[], None]:
        """What to call before every answer: raises AdapterRefused once it may serve no more, NotFound."""

        def refuse_blocked() -> None:
            self._servable(adapter_id)

        return refuse_blocked

    def verify(self, adapter_id: str, base: Path) -> AdapterManifest:
        """Check files and base. Raises AdapterRefused with the reason, NotFound."""
        manifest = self._servable(adapter_id)
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
        """The base with a verified adapter, serving as it did when trained. Raises AdapterRefused.

        Its prompt prefix is not in the prompts yet, see `agent.models.adapted`.
        """
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

    def current(self, namespace: str) -> str | None:
        """Id of a namespace's promoted adapter."""
        return self.pointer(namespace).current

    def promote(self, adapter_id: str) -> Pointer:
        """Let an adapter serve its namespace; of a canary it makes the one in service.

        Raises NotFound, AdapterRefused.
        """
        with self._locked():
            manifest = self._servable(adapter_id)
            pointer = self.pointer(manifest.namespace)
            canary = pointer.canary
            if canary is not None and canary.adapter == adapter_id:
                canary = None
            if pointer.current == adapter_id and canary == pointer.canary:
                return pointer
            if pointer.current == adapter_id:
                return self._point(manifest.namespace, replace(pointer, canary=canary))
            if manifest.served_at is None:
                self._change(replace(manifest, served_at=self._clock()))
            history = (*pointer.history, pointer.current)
            return self._point(manifest.namespace, Pointer(adapter_id, history, canary))

    def rollback(self, namespace: str) -> Pointer:
        """Back to what served before; a canary ends too. Raises Conflict when nothing did."""
        with self._locked():
            pointer = self.pointer(namespace)
            if not pointer.history:
                raise Conflict("no adapter served before this one; there is nothing to roll back to")
            return self._point(namespace, Pointer(pointer.history[-1], pointer.history[:-1]))

    def try_out(self, adapter_id: str, share: float) -> Pointer:
        """Let an adapter answer a share of its namespace's episodes beside the one in service; 0 ends that.

        Raises NotFound, AdapterRefused, BadInput on a share outside of 0..1.
        """
        if not 0.0 <= share <= 1.0:
            raise BadInput(f"the share {share} of a canary must lie between 0 and 1")
        with self._locked():
            namespace = self._servable(adapter_id).namespace
            canary = Canary(adapter_id, share) if share else None
            return self._point(namespace, replace(self.pointer(namespace), canary=canary))

    def pointer(self, namespace: str) -> Pointer:
        """Who serves a namespace now. Raises AdapterRefused when that cannot be read."""
        pointer, is_everybodys = pointers.read(self._folder, namespace)
        if not is_everybodys:
            return pointer
        return pointer.among({one.id for one in self.list() if one.namespace == namespace})

    def _read(self, path: Path) -> AdapterManifest:
        """Again only where it has changed: every request for an adapter asks."""
        try:
            stat = path.stat()
        except OSError as error:
            raise AdapterRefused(f"the manifest {str(path)!r} cannot be read: {error}") from error
        stamp = (stat.st_mtime_ns, stat.st_ino)
        known = self._known.get(path)
        if known is None or known[0] != stamp:
            known = self._known[path] = (stamp, manifests.read(path))
        return known[1]

    def _servable(self, adapter_id: str) -> AdapterManifest:
        manifest = self.get(adapter_id)
        if manifest.blocked is not None:
            raise AdapterRefused(f"adapter {adapter_id!r} is blocked ({manifest.blocked}); distil again")
        return manifest

    def _change(self, manifest: AdapterManifest) -> AdapterManifest:
        manifests.write(self.path(manifest.id) / MANIFEST, manifest)
        return manifest

    def _point(self, namespace: str, pointer: Pointer) -> Pointer:
        pointers.write(self._folder, namespace, pointer)
        return pointer

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time, whatever its process; where there is no adapter, nothing is written."""
        if not self._folder.exists():
            yield
            return
        with turn(self._folder / ".lock"):
            yield
