"""Who is calling: API keys bound to a namespace and a role. Only their SHA-256 is kept.

A key is 256 random bits, so a plain hash is enough; passwords would need a slow one. The file is written
whole and renamed into place, so that `apprentice keys` can change it while a server reads it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from memory.codec import from_json
from memory.errors import BadInput, DiskFull, NotFound, StoreError
from memory.types import GLOBAL, Channel

AccessRole = Literal["operator", "user", "read-only"]
OUR_OWN = ("canary", "system")
"""Namespaces of the server itself."""
_NAMESPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NO_SPACE = 28


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller, as known from the key alone."""

    namespace: str
    principal: str
    """Names the key in logs and audit, e.g. `key:3f2a…`."""
    role: AccessRole

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

    def is_valid(self, now: float) -> bool:
        """Neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class Keys:
    """The key file of one data folder; several processes may use it at once."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._stamp: tuple[int, int, int] | None = None
        self._by_hash: dict[str, ApiKey] = {}

    def create(
        self, namespace: str, role: AccessRole, *, label: str = "", ttl_s: float | None = None
    ) -> tuple[ApiKey, str]:
        """A new key and its secret, which is shown this once. Raises BadInput, DiskFull."""
        if namespace == GLOBAL and role != "operator":
            raise BadInput(f"a key for {GLOBAL!r}, which every namespace reads, needs the role operator")
        if namespace != GLOBAL and (not _NAMESPACE.fullmatch(namespace) or namespace in OUR_OWN):
            raise BadInput(
                f"namespace {namespace!r} must be 1 to 64 letters, digits, '.', '_' or '-', and none of "
                f"{', '.join(OUR_OWN)}"
            )
        if role not in get_args(AccessRole):
            raise BadInput(f"role {role!r} must be one of {', '.join(get_args(AccessRole))}")
        secret = "apk_" + secrets.token_urlsafe(32)
        now = self._clock()
        expires_at = None if ttl_s is None else now + ttl_s
        key = ApiKey(secrets.token_hex(6), _hash(secret), namespace, role, label, now, expires_at)
        with self._locked() as keys:
            self._write([*keys, key])
        return key, secret

    def all(self) -> tuple[ApiKey, ...]:
        """All keys, oldest first, revoked ones too."""
        self._refresh()
        return tuple(self._by_hash.values())

    def revoke(self, key_id: str) -> ApiKey:
        """From now on the key opens nothing. Raises NotFound."""
        with self._locked() as keys:
            found = next((key for key in keys if key.id == key_id), None)
            if found is None:
                raise NotFound(f"there is no key {key_id!r}; see `apprentice keys list`")
            revoked = replace(found, revoked_at=found.revoked_at or self._clock())
            self._write([revoked if key.id == key_id else key for key in keys])
        return revoked

    def identify(self, secret: str) -> Identity | None:
        """Whose key this is; None when it opens nothing."""
        self._refresh()
        key = self._by_hash.get(_hash(secret))
        if key is None or not key.is_valid(self._clock()):
            return None
        return Identity(key.namespace, f"key:{key.id}", key.role)

    def _refresh(self) -> None:
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            self._stamp, self._by_hash = None, {}
            return
        stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if stamp != self._stamp:
            self._by_hash = {key.hash: key for key in self._read()}
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
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.with_suffix(".lock").open("w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self._read()

    def _write(self, keys: list[ApiKey]) -> None:
        text = json.dumps([asdict(key) for key in keys], indent=1)
        try:
            write_private(self._path, text)
        except OSError as error:
            kind = DiskFull if error.errno == _NO_SPACE else StoreError
            raise kind(f"the key file {str(self._path)!r} cannot be written: {error}") from error


def write_private(path: Path, text: str) -> None:
    """Replace a file in one move; nobody else can read it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
