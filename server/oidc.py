"""Bearer tokens of an OpenID Connect issuer: verified by its published keys, namespace and role from claims.

Only asymmetric signatures are taken: neither `none`, nor HS256 with a public key for its secret. Keys are
kept, and asked for again when they are old or a token names one that is not among them, but never more often
than every `REFRESH_S`: strangers' tokens must not make us call the issuer. While it is down the keys that
were read last go on to hold.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from memory.errors import BadInput
from memory.types import GLOBAL
from server.auth import Identity, check_caller
from server.errors import IssuerDown, Unauthenticated, Unreachable
from server.outbound import Limits, Outbound

if TYPE_CHECKING:  # takes a tenth of a second to import, and most servers have no issuer
    import jwt

log = logging.getLogger("apprentice.server")

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
REFRESH_S = 30.0
KEPT_S = 3600.0
MOST_BYTES = 512 * 1024
MOST_LETTERS = 16_384
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Claims:
    """Where a token says who calls."""

    issuer: str
    audience: tuple[str, ...]
    namespace: str = "namespace"
    role: str = "role"
    default_role: str = ""
    """Of tokens without the claim; empty refuses them."""
    leeway_s: float = 30.0
    """How far the issuer's clock may be from ours."""


class Issuer:
    """One issuer and its keys."""

    def __init__(self, claims: Claims, outbound: Outbound, clock: Callable[[], float]) -> None:
        if not claims.audience:
            raise BadInput(
                "oidc_issuer without oidc_audience would take tokens that were made for others: name it"
            )
        outbound.check(claims.issuer)
        self._claims = claims
        self._outbound = outbound
        self._clock = clock
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._read_at: float | None = None
        """When keys were read last."""
        self._tried_at: float | None = None
        self._trouble = ""
        self._reading = asyncio.Lock()

    async def identify(self, token: str) -> Identity:
        """Who calls. Raises Unauthenticated with the reason, IssuerDown when no key could be read yet."""
        import jwt

        if len(token) > MOST_LETTERS:
            raise Unauthenticated("this token is too long")
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in ALGORITHMS:
                raise Unauthenticated(f"tokens signed by {header.get('alg')!r} are not taken")
            key = await self._key(str(header.get("kid", "")))
            claims = jwt.decode(
                token,
                key,
                # The key's own: a token must not choose.
                algorithms=[key.algorithm_name],
                audience=list(self._claims.audience),
                issuer=self._claims.issuer,
                leeway=self._claims.leeway_s,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError as error:
            raise Unauthenticated(f"this token is refused: {error}") from None
        return self._identity(claims)

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        namespace = claims.get(self._claims.namespace)
        role = claims.get(self._claims.role, self._claims.default_role)
        if not isinstance(namespace, str) or not isinstance(role, str) or not role:
            raise Unauthenticated(
                f"this token must say its namespace by the claim {self._claims.namespace!r} and its role by"
                f" {self._claims.role!r}"
            )
        subject = str(claims["sub"])
        if not subject or len(subject) > _LONGEST_NAME or not subject.isprintable():
            raise Unauthenticated(f"the subject of a token must be 1 to {_LONGEST_NAME} printable letters")
        if namespace == GLOBAL:
            raise Unauthenticated(f"what every namespace reads ({GLOBAL!r}) is opened by keys alone")
        try:
            return Identity(namespace, f"oidc:{subject}", check_caller(namespace, role))
        except BadInput as error:
            raise Unauthenticated(f"this token is refused: {error}") from None

    async def _key(self, kid: str) -> jwt.PyJWK:
        is_coming = self._reading.locked() and kid not in self._keys
        if is_coming or self._is_due(kid):
            async with self._reading:
                # Whoever waited finds them read.
                if self._is_due(kid):
                    await self._read()
        if not self._keys:
            raise IssuerDown(f"the keys of {self._claims.issuer} could not be read: {self._trouble}")
        found = self._keys.get(kid)
        if found is None and not kid and len(self._keys) == 1:
            (found,) = self._keys.values()
        if found is None:
            raise Unauthenticated(f"this token is signed with a key {kid!r} that its issuer does not publish")
        return found

    def _is_due(self, kid: str) -> bool:
        now = self._clock()
        if self._tried_at is not None and now < self._tried_at + REFRESH_S:
            return False
        is_old = self._read_at is None or now >= self._read_at + KEPT_S
        return is_old or (bool(kid) and kid not in self._keys)

    async def _read(self) -> None:
        self._tried_at = self._clock()
        try:
            keys = _keys_of(await self._asked(await self._jwks_url()))
        except (Unreachable, BadInput, ValueError) as error:
            self._trouble = str(error)
            log.warning("the keys of the issuer %s could not be read: %s", self._claims.issuer, error)
            if not self._keys:
                # Nobody can be told anything yet: the next request may try again a little sooner.
                self._tried_at = self._clock() - REFRESH_S + 1.0
            return
        self._keys, self._read_at = keys, self._clock()

    async def _jwks_url(self) -> str:
        where = f"{self._claims.issuer.rstrip('/')}/.well-known/openid-configuration"
        told = await self._asked(where)
        if told.get("issuer") != self._claims.issuer:
            raise ValueError(f"it calls itself {told.get('issuer')!r}")
        return str(told.get("jwks_uri", ""))

    async def _asked(self, url: str) -> dict[str, Any]:
        answer = await self._outbound.send("GET", url, limits=Limits(seconds=5.0, max_bytes=MOST_BYTES))
        if answer.status != 200:
            raise ValueError(f"{url} answered {answer.status}")
        told = json.loads(answer.body)
        if not isinstance(told, dict):
            raise ValueError(f"{url} answered no JSON object")  # noqa: TRY004 - it came so
        return told


def _keys_of(told: Mapping[str, Any]) -> Mapping[str, jwt.PyJWK]:
    """Signing keys by id; those of a kind we do not know are passed over. Raises ValueError without any."""
    import jwt

    found: dict[str, jwt.PyJWK] = {}
    for data in told.get("keys", ()):
        if not isinstance(data, dict) or data.get("use", "sig") != "sig" or data.get("kty") == "oct":
            continue
        try:
            key = jwt.PyJWK(data)
        except jwt.PyJWTError:
            continue
        if key.algorithm_name in ALGORITHMS:
            found[str(key.key_id or "")] = key
    if not found:
        raise ValueError("it publishes no key that signs")
    return found
