"""Who is calling: API keys bound to a namespace, a role and scopes. Only their SHA-256 is kept.

A key is 256 random bits, so a plain hash is enough; passwords would need a slow one. The file is written
whole and renamed into place, so that `apprentice keys` can change it while a server reads it.

A key that is rotated keeps its id: what its holder wrote stays the holder's.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from memory.codec import from_json
from memory.errors import BadInput, Conflict, DiskFull, NotFound, StoreError
from memory.store.lock import turn
from memory.types import GLOBAL, Channel

AccessRole = Literal["operator", "user", "agent", "read-only"]
AccessScope = Literal["chat", "tasks", "memory:read", "memory:write", "distill", "admin"]
OUR_OWN = ("canary", "system")
"""Namespaces of the server itself."""
_NAMESPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
SECRET_PREFIX = "apk_"
_NO_SPACE = 28


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller, as known from the key alone."""

    namespace: str
    principal: str
    """Names the key in logs and audit, e.g. `key:3f2a…`."""
    role: AccessRole
    scopes: frozenset[AccessScope] | None = None
    """What it may use of what its role allows; None is all of it."""

    @property
    def channel(self) -> Channel:
        """The trust channel of what this caller writes."""
        return "operator" if self.role == "operator" else "user"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is kept of a key."""

    id: str
    hash: str
    namespace: str
    role: AccessRole
    label: str
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None
    scopes: tuple[AccessScope, ...] | None = None
    """None: all that the role allows."""
    made_by: str = ""
    """The principal that made it over HTTP; empty when it was made in the data folder."""
    rotated_at: float | None = None
    previous_hash: str | None = None
    previous_until: float | None = None
    """Until then the secret before the last rotation opens too."""

    def is_valid(self, now: float) -> bool:
        """Neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def opens(self, hashed: str, now: float) -> bool:
        """Does a secret with this hash open anything now?"""
        is_known = hashed == self.hash or (
            hashed == self.previous_hash and self.previous_until is not None and now < self.previous_until
        )
        return is_known and self.is_valid(now)

    @property
    def principal(self) -> str:
        """Its name in logs and audit."""
        return f"key:{self.id}"

    @property
    def identity(self) -> Identity:
        """Who calls with it."""
        scopes = None if self.scopes is None else frozenset(self.scopes)
        return Identity(self.namespace, self.principal, self.role, scopes)


class Keys:
    """The key file of one data folder; several processes may use it at once."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._stamp: tuple[int, int, int] | None = None
        self._keys: tuple[ApiKey, ...] = ()
        self._by_hash: dict[str, ApiKey] = {}

    def create(
        self,
        namespace: str,
        role: AccessRole,
        *,
        label: str = "",
        ttl_s: float | None = None,
        scopes: Sequence[str] | None = None,
        made_by: str = "",
    ) -> tuple[ApiKey, str]:
        """A new key and its secret, which is shown this once. Raises BadInput, DiskFull."""
        key, secret = self._new(namespace, role, label, ttl_s, scopes, made_by)
        with self._locked() as keys:
            self._write([*keys, key])
        return key, secret

    def first(self, namespace: str, role: AccessRole, *, label: str = "") -> tuple[ApiKey, str] | None:
        """The same, where there is no key yet: of servers that start together in one folder one makes it."""
        key, secret = self._new(namespace, role, label)
        with self._locked() as keys:
            if keys:
                return None
            self._write([key])
        return key, secret

    def rotate(
        self, key_id: str, *, overlap_s: float = 0.0, namespace: str | None = None
    ) -> tuple[ApiKey, str]:
        """A new secret for a key; the one before opens for `overlap_s` more. Raises NotFound, Conflict.

        A key that expires gets as long again as it had. Within a namespace, where one is given.
        """
        secret, now = _secret(), self._clock()

        def turned(key: ApiKey) -> ApiKey:
            if not key.is_valid(now):
                raise Conflict(f"the key {key_id!r} is revoked or expired: make another")
            span = None if key.expires_at is None else key.expires_at - (key.rotated_at or key.created_at)
            return replace(
                key,
                hash=_hash(secret),
                previous_hash=key.hash,
                previous_until=now + overlap_s,
                rotated_at=now,
                expires_at=None if span is None else now + span,
            )

        return self._change(key_id, namespace, turned), secret

    @property
    def now(self) -> float:
        """Seconds since 1970, by the clock that keys expire by."""
        return self._clock()

    def all(self) -> tuple[ApiKey, ...]:
        """All keys, oldest first, revoked ones too."""
        self._refresh()
        return self._keys

    def revoke(self, key_id: str, *, namespace: str | None = None) -> ApiKey:
        """From now on the key opens nothing. Raises NotFound."""
        now = self._clock()
        return self._change(key_id, namespace, lambda key: replace(key, revoked_at=key.revoked_at or now))

    def identify(self, secret: str) -> Identity | None:
        """Whose key this is; None when it opens nothing."""
        self._refresh()
        hashed = _hash(secret)
        key = self._by_hash.get(hashed)
        return key.identity if key is not None and key.opens(hashed, self._clock()) else None

    def _new(
        self,
        namespace: str,
        role: AccessRole,
        label: str,
        ttl_s: float | None = None,
        scopes: Sequence[str] | None = None,
        made_by: str = "",
    ) -> tuple[ApiKey, str]:
        secret, now = _secret(), self._clock()
        check_caller(namespace, role)
        key = ApiKey(
            id=secrets.token_hex(6),
            hash=_hash(secret),
            namespace=namespace,
            role=role,
            label=label,
            created_at=now,
            expires_at=None if ttl_s is None else now + ttl_s,
            scopes=None if scopes is None else check_scopes(scopes),
            made_by=made_by,
        )
        return key, secret

    def _change(self, key_id: str, namespace: str | None, turn: Callable[[ApiKey], ApiKey]) -> ApiKey:
        with self._locked() as keys:
            found = next((key for key in keys if key.id == key_id), None)
            if found is None or namespace not in {None, found.namespace}:
                raise NotFound(f"there is no key {key_id!r}; see `apprentice keys list`")
            changed = turn(found)
            self._write([changed if key.id == key_id else key for key in keys])
        return changed

    def _refresh(self) -> None:
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            self._stamp, self._keys, self._by_hash = None, (), {}
            return
        stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if stamp != self._stamp:
            self._keys = tuple(self._read())
            self._by_hash = {key.previous_hash: key for key in self._keys if key.previous_hash}
            self._by_hash |= {key.hash: key for key in self._keys}
            self._stamp = stamp

    def _read(self) -> list[ApiKey]:
        try:
            rows = json.loads(self._path.read_text("utf-8"))
            return [from_json(ApiKey, row) for row in rows]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, BadInput) as error:
            raise StoreError(f"the key file {str(self._path)!r} cannot be read: {error}") from error

    @contextmanager
    def _locked(self) -> Iterator[list[ApiKey]]:
        with turn(self._path.with_suffix(".lock")):
            yield self._read()

    def _write(self, keys: list[ApiKey]) -> None:
        text = json.dumps([asdict(key) for key in keys], indent=1)
        try:
            write_private(self._path, text)
        except OSError as error:
            kind = DiskFull if error.errno == _NO_SPACE else StoreError
            raise kind(f"the key file {str(self._path)!r} cannot be written: {error}") from error


def check_caller(namespace: str, role: str) -> AccessRole:
    """The role, if callers of this namespace may have it. Raises BadInput."""
    if namespace == GLOBAL and role != "operator":
        raise BadInput(f"a key for {GLOBAL!r}, which every namespace reads, needs the role operator")
    if namespace != GLOBAL and (not _NAMESPACE.fullmatch(namespace) or namespace in OUR_OWN):
        raise BadInput(
            f"namespace {namespace!r} must be 1 to 64 letters, digits, '.', '_' or '-', and none of "
            f"{', '.join(OUR_OWN)}"
        )
    for known in get_args(AccessRole):
        if role == known:
            return known  # type: ignore[no-any-return]
    raise BadInput(f"role {role!r} must be one of {', '.join(get_args(AccessRole))}")


def check_scopes(scopes: Sequence[str]) -> tuple[AccessScope, ...]:
    """The scopes in order, each once. Raises BadInput on unknown ones and none at all."""
    known = tuple(scope for scope in get_args(AccessScope) if scope in scopes)
    if not known or len(known) < len(set(scopes)):
        raise BadInput(f"scopes {list(scopes)} must be some of {', '.join(get_args(AccessScope))}")
    return known


def write_private(path: Path, text: str) -> None:
    """Replace a file in one move; nobody else can read it."""
    # Servers in containers that share a folder have the same process id.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _secret() -> str:
    return SECRET_PREFIX + secrets.token_urlsafe(32)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
