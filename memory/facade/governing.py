"""What governs a namespace's agents: its principles reviewed, frozen, compared, brought back, sent out."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from memory.constitution.court import CourtSettings, Decision, Judge
from memory.constitution.select import line_of, select
from memory.constitution.versions import ConstitutionVersion, PrincipleChange, compared, seq_of
from memory.errors import NotFound
from memory.facade.revision import Revision
from memory.moving.bundle import FORMAT, Manifest
from memory.moving.packing import packing
from memory.types import GLOBAL, Constitution, Item
from memory.value.lift import verdict
from memory.writing import governing, restoring
from memory.writing.restoring import Restored

UNBOUNDED = 2**31


class Governing(Revision):
    """The part of `Memory` that deals with the constitution as a whole."""

    def review(
        self,
        namespace: str,
        *,
        principal: str = "memory",
        settings: CourtSettings | None = None,
        judge: Judge = verdict,
    ) -> tuple[Decision, ...]:
        """Promote and demote principles by their lift and by who vouches for them, in one transaction.

        Costs one read when nothing is due. See `memory.constitution.court` for who may do what.
        """
        author = self._author(namespace, principal, "operator" if namespace == GLOBAL else "reflection")
        settings = settings or CourtSettings()
        with self._store.read() as reader:
            if not governing.decisions(reader, namespace, judge, settings):
                return ()
        return self._store.write(lambda writer: governing.review(writer, author, judge, settings))

    def constitution_versions(self, namespace: str, *, limit: int = 100) -> tuple[ConstitutionVersion, ...]:
        """The newest versions of the namespace's constitution, newest first, frozen ones among them."""
        with self._store.read() as reader:
            return governing.versions(reader, namespace)[::-1][:limit]

    def compare(self, namespace: str, before: str, after: str) -> tuple[PrincipleChange, ...]:
        """What two versions of the constitution have differently. Raises NotFound, BadInput."""
        with self._store.read() as reader:
            old, new = (governing.held_by(reader, namespace, one) for one in (before, after))
        return compared(old, new)

    def roll_back(self, namespace: str, version: str, *, principal: str) -> Restored:
        """Every principle as it stood at a version, as new versions; restoring to `undo_seq` takes it back.

        Of a frozen version: as all stood when it was frozen. Other items stay as they are. Raises NotFound,
        BadInput, OverQuota.
        """
        author = self._author(namespace, principal, "operator")
        with self._store.read() as reader:
            governing.held_by(reader, namespace, version)
            seq = seq_of(version)
            pairs = restoring.stale(reader, namespace, seq, "principle")
        texts = list(dict.fromkeys(wanted.text for item, wanted in pairs if item.text != wanted.text))
        vectors = dict(zip(texts, self._encoder.items(texts), strict=True))
        return self._write(
            namespace,
            texts,
            lambda writer: restoring.restore(writer, author, seq, vectors, "principle"),
        )

    def freeze(
        self,
        namespace: str,
        family: str | None = None,
        *,
        principal: str,
        only: Collection[str] | None = None,
    ) -> ConstitutionVersion:
        """Keep the constitution as it is now, the whole or what holds for one family, to be served by its id.

        Only the namespace's own principles, and of these `only` those of the ids, where they are given. What
        is learned later changes nothing of it; what is forgotten, revoked or found harmful later is not shown
        any more. Raises Conflict when nothing is in force, NotFound on an id that is not.
        """
        author = self._author(namespace, principal, "user")
        with self._store.read() as reader:
            own = reader.principles(namespace)
        if only is not None:
            if missing := set(only) - {item.id for item in own}:
                raise NotFound(f"principle {min(missing)!r} is not in force in this namespace")
            own = tuple(item for item in own if item.id in only)
        constitution = self._chosen(namespace, family, own)
        return self._store.write(lambda writer: governing.freeze(writer, author, constitution))

    def frozen(
        self, namespace: str, version: str, *, token_budget: int, count_tokens: Callable[[str], int]
    ) -> Constitution:
        """A frozen version as an agent is shown it, whatever family it works in: in order, within a budget.

        Raises NotFound, BadInput, Conflict on a version that is not frozen.
        """
        budget = governing.Budget(token_budget, lambda item: count_tokens(line_of(item)))
        with self._store.read() as reader:
            return governing.served(reader, namespace, version, budget)

    def export_constitution(self, namespace: str, folder: Path, *, family: str | None = None) -> Path:
        """Write the principles in force as a signed bundle, as `export` does everything; no vectors, no log.

        Taken in elsewhere by `import_`: as it was from a signer who is trusted, else on trial. Raises
        Conflict on a folder in use, NotFound when nothing is in force.
        """
        inner, at = self._encoder.inner, self._clock()
        with self._store.read() as reader:
            principles = self._chosen(namespace, family, reader.principles(namespace)).principles
            seq = reader.head(namespace)
        if not principles:
            raise NotFound("there is no principle in force to export")
        with packing(folder, None) as pack:
            pack.add_items(principles, {})
            manifest = Manifest(FORMAT, namespace, inner.generation, inner.dim, 0, 0, seq, at, {})
            pack.seal(manifest, self._signers.own())
        return folder

    def _chosen(self, namespace: str, family: str | None, own: tuple[Item, ...]) -> Constitution:
        return select(
            own,
            namespace=namespace,
            family=family,
            at=self._clock(),
            token_budget=UNBOUNDED,
            count_tokens=len,
            every_family=family is None,
        )
