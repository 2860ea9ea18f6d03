"""Tokens of an issuer: verified by its keys, namespace and role from its claims alone."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt import algorithms

from memory.errors import BadInput
from server.auth import Identity
from server.errors import IssuerDown, Unauthenticated
from server.oidc import KEPT_S, REFRESH_S, Claims, Issuer
from server.outbound import Outbound
from server.settings import Settings
from server.wiring import build
from tests.server.served import Served

NOW = 1_800_000_000.0
RSA, OTHER, EC, ED = (
    rsa.generate_private_key(65537, 2048),
    rsa.generate_private_key(65537, 2048),
    ec.generate_private_key(ec.SECP256R1()),
    ed25519.Ed25519PrivateKey.generate(),
)
Serving = Callable[[Settings], AbstractContextManager[Served]]


def jwk(key: Any, kid: str, **more: str) -> dict[str, Any]:
    made: Any = {RSA: algorithms.RSAAlgorithm, OTHER: algorithms.RSAAlgorithm, EC: algorithms.ECAlgorithm}
    told: dict[str, Any] = made.get(key, algorithms.OKPAlgorithm).to_jwk(key.public_key(), as_dict=True)
    return {**told, "kid": kid, **more}


class Published(ThreadingHTTPServer):
    """An issuer on this machine that says how often it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.keys: list[dict[str, Any]] = [jwk(RSA, "one")]
        self.asked: list[str] = []
        self.is_down = False
        self.issuer = f"http://127.0.0.1:{self.server_address[1]}/realms/home"
        self.calls_itself = self.issuer
        Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def token(self, key: Any = RSA, kid: str | None = "one", algorithm: str = "RS256", **claims: Any) -> str:
        told = {"iss": self.issuer, "aud": "apprentice", "sub": "ann", "exp": 4e9}
        said = {**told, "namespace": "home", "role": "user", **claims}
        said = {name: value for name, value in said.items() if value is not None}
        return jwt.encode(said, key, algorithm, headers={"kid": kid} if kid else None)


class _Answers(BaseHTTPRequestHandler):
    server: Published

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        told: dict[str, Any] = {"keys": self.server.keys}
        if self.path.endswith("/openid-configuration"):
            told = {"issuer": self.server.calls_itself, "jwks_uri": f"{self.server.issuer}/certs"}
        body = json.dumps(told).encode()
        self.send_response(500 if self.server.is_down else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def published() -> Iterator[Published]:
    with Published() as published:
        yield published
        published.shutdown()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def issuer(published: Published, clock: Clock) -> Issuer:
    return issuer_of(published, clock)


def issuer_of(published: Published, clock: Clock, **more: Any) -> Issuer:
    claims = Claims(published.issuer, ("apprentice", "other"), **more)
    return Issuer(claims, Outbound(("127.0.0.1",)), clock)


@pytest.mark.parametrize(
    ("key", "algorithm"), [(RSA, "RS256"), (EC, "ES256"), (ED, "EdDSA")], ids=["rsa", "ec", "ed"]
)
async def test_a_good_token_says_who_calls(
    published: Published, issuer: Issuer, key: Any, algorithm: str
) -> None:
    """By any of its keys; its keys are read once for all tokens."""
    published.keys = [jwk(OTHER, "other"), jwk(key, "one")]
    token = published.token(key, algorithm=algorithm)
    for _ in range(3):
        assert await issuer.identify(token) == Identity("home", "oidc:ann", "user")
    assert len(published.asked) == 2


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"key": OTHER}, "ignature"),
    ({"algorithm": "RS512"}, "alg value is not allowed"),
    ({"kid": "two"}, "'two' that its issuer does not publish"),
    ({"exp": 1.0}, "expired"),
    ({"nbf": 4e9}, "not yet valid"),
    ({"exp": None}, "exp"),
    ({"iss": "https://evil.test"}, "issuer"),
    ({"aud": "somebody"}, "udience"),
    ({"aud": None}, "aud"),
    ({"sub": None}, "sub"),
    ({"sub": "x" * 201}, "subject"),
    ({"sub": "a\nb"}, "subject"),
    ({"namespace": None}, "claim 'namespace'"),
    ({"namespace": ["home"]}, "claim 'namespace'"),
    ({"namespace": "*", "role": "operator"}, "keys alone"),
    ({"namespace": "system"}, "none of"),
    ({"namespace": "../x"}, "must be 1 to 64"),
    ({"role": None}, "its role by 'role'"),
    ({"role": "root"}, "must be one of"),
]


@pytest.mark.parametrize(("said", "why"), REFUSED, ids=[str(said)[:30] for said, _ in REFUSED])
async def test_a_bad_token_opens_nothing(
    published: Published, issuer: Issuer, said: dict[str, Any], why: str
) -> None:
    """And is told why, so that whoever set the issuer up can mend it."""
    with pytest.raises(Unauthenticated, match=why):
        await issuer.identify(published.token(**said))


async def test_a_forged_token_opens_nothing(published: Published, issuer: Issuer) -> None:
    """None without a signature, none that takes the public key for a secret, none that was changed."""
    head, body, signature = published.token().split(".")
    pem = RSA.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    confused = f"{coded({'alg': 'HS256', 'typ': 'JWT', 'kid': 'one'})}.{body}"
    mac = hmac.new(pem, confused.encode(), hashlib.sha256).digest()
    forged = {
        f"{coded({'alg': 'none', 'kid': 'one'})}.{body}.": "'none' are not taken",
        f"{confused}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}": "'HS256' are not taken",
        f"{head}.{coded({'namespace': 'elsewhere'})}.{signature}": "ignature",
        "a.b.c": "refused",
        "a." * 20_000: "too long",
    }
    for token, why in forged.items():
        with pytest.raises(Unauthenticated, match=why):
            await issuer.identify(token)


def coded(said: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(said).encode()).rstrip(b"=").decode()


async def test_claims_have_the_names_that_are_set(published: Published, clock: Clock) -> None:
    """Also a role for tokens that name none, and a clock that goes ahead a little."""
    issuer = issuer_of(published, clock, namespace="org", role="grp", default_role="read-only", leeway_s=1e9)
    token = published.token(org="acme", exp=1_700_000_000.0)
    assert await issuer.identify(token) == Identity("acme", "oidc:ann", "read-only")
    token = published.token(org="acme", grp="agent", aud=["x", "other"])
    assert (await issuer.identify(token)).role == "agent"


async def test_a_new_key_is_found_but_strangers_do_not_make_us_ask(
    published: Published, issuer: Issuer, clock: Clock
) -> None:
    """An unknown key makes it read again, once in a while, however many tokens come, also at once."""
    await issuer.identify(published.token())
    published.keys = [jwk(EC, "two")]
    fresh = published.token(EC, "two", "ES256")
    with pytest.raises(Unauthenticated):
        await issuer.identify(fresh)
    assert len(published.asked) == 2
    clock.now += REFRESH_S
    found = await asyncio.gather(*(issuer.identify(fresh) for _ in range(20)))
    assert {one.principal for one in found} == {"oidc:ann"}
    assert len(published.asked) == 4
    with pytest.raises(Unauthenticated):
        await issuer.identify(published.token())
    for n in range(50):
        with pytest.raises(Unauthenticated):
            await issuer.identify(published.token(kid=f"guess {n}"))
    assert len(published.asked) == 4


async def test_an_issuer_that_is_down_is_told_and_its_old_keys_hold(
    published: Published, issuer: Issuer, clock: Clock
) -> None:
    """Nothing opens before the first reading; afterwards those who were known stay known."""
    published.is_down = True
    with pytest.raises(IssuerDown, match="answered 500"):
        await issuer.identify(published.token())
    with pytest.raises(IssuerDown):
        await issuer.identify(published.token())
    assert len(published.asked) == 1
    published.is_down = False
    clock.now += 1.0
    await issuer.identify(published.token())
    published.is_down = True
    clock.now += KEPT_S
    assert (await issuer.identify(published.token())).namespace == "home"
    assert len(published.asked) == 4


async def test_what_an_issuer_says_of_itself_must_be_its_name(published: Published, issuer: Issuer) -> None:
    """Else anybody who can answer for an address could be the issuer; and secrets are no keys."""
    published.calls_itself = "https://evil.test"
    with pytest.raises(IssuerDown, match="calls itself"):
        await issuer.identify(published.token())


async def test_symmetric_keys_are_passed_over(published: Published, issuer: Issuer) -> None:
    """Also those for encryption."""
    secret = base64.urlsafe_b64encode(b"x" * 32).decode()
    published.keys = [{"kty": "oct", "kid": "one", "k": secret, "alg": "HS256"}, jwk(RSA, "one", use="enc")]
    with pytest.raises(IssuerDown, match="no key that signs"):
        await issuer.identify(published.token())


@pytest.mark.parametrize(
    "given",
    [{}, {"oidc_audience": "x", "oidc_issuer": "http://127.0.0.1:1"}, {"oidc_issuer": "https://x.test"}],
)
def test_an_issuer_that_cannot_be_trusted_is_refused_at_start(given: dict[str, Any], tmp_path: Path) -> None:
    """One without an audience, or in the clear, or inside without being listed."""
    if not given:
        build(Settings(data_dir=tmp_path))
        return
    with pytest.raises(BadInput, match=r"oidc_audience|OUTBOUND_ALLOW"):
        build(Settings(data_dir=tmp_path, **given))


def test_a_server_takes_tokens_beside_keys(serving: Serving, published: Published, tmp_path: Path) -> None:
    """Over HTTP: who one is, what the role allows, 401 with the reason, 503 while the issuer is down."""
    settings = Settings(
        data_dir=tmp_path,
        encoder="hash",
        model="looker",
        oidc_issuer=published.issuer,
        oidc_audience="apprentice",
        outbound_allow="127.0.0.1",
    )
    with serving(settings) as served, httpx.Client(base_url=served.url, trust_env=False) as client:

        def get(path: str, token: str) -> httpx.Response:
            return client.get(path, headers={"Authorization": f"Bearer {token}"})

        published.is_down = True
        down = get("/v1/me", published.token())
        assert (down.status_code, down.json()["error"]["code"]) == (503, "issuer_unreachable")
        assert get("/v1/me", served.key("home", "user")).status_code == 200
        published.is_down = False
        assert until_up(get, published) == {
            "object": "caller",
            "namespace": "home",
            "principal": "oidc:ann",
            "role": "user",
            "scopes": None,
        }
        assert get("/v1/memory", published.token()).status_code == 200
        assert get("/v1/audit", published.token()).status_code == 403
        assert get("/v1/audit", published.token(role="operator")).status_code == 200
        late = get("/v1/me", published.token(exp=1.0))
        assert (late.status_code, "expired" in late.text) == (401, True)


def until_up(get: Callable[[str, str], httpx.Response], published: Published) -> Any:
    """What is answered once the server asks again, a second later."""
    while (answer := get("/v1/me", published.token())).status_code == 503:
        time.sleep(0.1)
    return answer.json()
