"""Keys, callers and the audit trail, as seen over HTTP."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from memory.types import LogEntry
from server.auth import AccessRole, AccessScope, ApiKey

LONGEST_DAYS = 3650.0
KeyState = Literal["valid", "expired", "revoked"]


class CallerOut(BaseModel):
    """Who a credential says you are."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    object: Literal["caller"] = "caller"
    namespace: str
    principal: str
    """`key:<id>`, or `oidc:<subject>`: the name by which the log knows you."""
    role: AccessRole
    scopes: list[AccessScope] | None
    """What the credential may use of what its role allows; null is all of it."""


class KeyIn(BaseModel):
    """A key to make in your own namespace."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    role: AccessRole = "user"
    """`user` and `agent` chat and set tasks, but an `agent` lists nothing and writes no memory."""
    scopes: Annotated[list[AccessScope], Field(min_length=1)] | None = None
    """What it may use of what its role allows, no more than you may; null is all of it."""
    label: Annotated[str, Field(max_length=200)] = ""
    """A note for the list."""
    days: Annotated[float, Field(gt=0, le=LONGEST_DAYS)] | None = None
    """Days until it expires; null is never."""


class RotateIn(BaseModel):
    """How to change over."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    overlap_s: Annotated[float, Field(ge=0, le=LONGEST_DAYS * 86_400)] = 0.0
    """Seconds for which the old secret opens too."""


class KeyOut(BaseModel):
    """A key, without its secret."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    object: Literal["key"] = "key"
    id: str
    namespace: str
    role: AccessRole
    scopes: list[AccessScope] | None
    label: str
    state: KeyState
    made_by: str
    """The principal that made it; empty when it was made in the data folder."""
    created_at: float
    rotated_at: float | None
    previous_until: float | None
    """Until then the secret before the last rotation opens too."""
    expires_at: float | None
    revoked_at: float | None
    last_used_at: float | None
    """To the minute; of servers of this data folder."""

    @classmethod
    def of(cls, key: ApiKey, now: float, last_used_at: float | None) -> Self:
        """A key as it stands."""
        return cls(
            id=key.id,
            namespace=key.namespace,
            role=key.role,
            scopes=None if key.scopes is None else list(key.scopes),
            label=key.label,
            state=state_of(key, now),
            made_by=key.made_by,
            created_at=key.created_at,
            rotated_at=key.rotated_at,
            previous_until=key.previous_until,
            expires_at=key.expires_at,
            revoked_at=key.revoked_at,
            last_used_at=last_used_at,
        )


class KeyMade(KeyOut):
    """A key with its secret, which is shown this once."""

    secret: str


class KeyList(BaseModel):
    """One page of keys, oldest first."""

    object: Literal["list"] = "list"
    data: list[KeyOut]
    next: str | None = None
    """Give it as `after` for the next page; null on the last."""


class AuditEntry(BaseModel):
    """One row of the log of memory."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    seq: int
    """Position in the log of the whole server, so that a namespace's own have gaps."""
    at: float
    principal: str
    """Who did it: `key:<id>`, `oidc:<subject>`, or a part of the server."""
    op: str
    """What was done to memory; `act` for what was done beside it, which `after` names."""
    item: str | None
    version: int | None
    before: JsonValue = None
    """Of items only where asked for by `full`."""
    after: JsonValue = None
    hash: str
    """SHA-256 over the row and the hash of the row before it."""

    @classmethod
    def of(cls, entry: LogEntry, *, full: bool) -> Self:
        """A row; what an item said is left out unless asked for."""
        is_told = full or entry.item is None
        return cls(
            seq=entry.seq,
            at=entry.at,
            principal=entry.principal,
            op=entry.op,
            item=entry.item,
            version=entry.version,
            before=entry.before if is_told else None,
            after=entry.after if is_told else None,
            hash=entry.hash,
        )


class AuditList(BaseModel):
    """One page of the log, oldest first."""

    object: Literal["list"] = "list"
    data: list[AuditEntry]
    next: str | None = None
    """Give it as `after` for the next page; null on the last."""


class ChainOut(BaseModel):
    """Does the log's chain of hashes hold?"""

    model_config = ConfigDict(use_attribute_docstrings=True)

    object: Literal["chain"] = "chain"
    holds: bool
    first_broken: int | None
    """Position of the first row that was changed, removed or slipped in."""


def state_of(key: ApiKey, now: float) -> KeyState:
    """In a word."""
    return "revoked" if key.revoked_at else "valid" if key.is_valid(now) else "expired"
