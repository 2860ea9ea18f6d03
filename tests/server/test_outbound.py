"""Requests to addresses of callers: to public ones alone, checked once, bounded in time and size."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from memory.errors import BadInput
from server.errors import Unreachable
from server.outbound import Limits, Outbound, is_public

INSIDE = """127.0.0.1 10.1.2.3 172.16.0.1 192.168.1.1 169.254.169.254 100.100.100.200 168.63.129.16 0.0.0.0
224.0.0.1 255.255.255.255 198.18.0.1 ::1 :: fe80::1 fc00::1 fd00:ec2::254 fec0::1 ff02::1 ::ffff:127.0.0.1
::ffff:10.0.0.1 ::127.0.0.1 64:ff9b::7f00:1 64:ff9b:1::1 2002:7f00:1::
2001:0:1::1 ::ffff:0:7f00:1 fe80::1%eth0"""
LITERALS = "127.0.0.1 127.1 2130706433 0x7f000001 [::1] [::ffff:169.254.169.254] 169.254.169.254 0"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: 2\r\n\r\n{}"

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def naming(*addresses: str) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return addresses

    return resolve


@asynccontextmanager
async def listening(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


def answering(answer: bytes, heard: list[bytes]) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await writer.drain()
        writer.close()

    return talk


@pytest.mark.parametrize("address", INSIDE.split())
def test_what_is_inside_is_not_public(address: str) -> None:
    """Own machine, own network, link, metadata, groups, and what carries one of them."""
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8", "172.32.0.1"]
)
def test_what_is_outside_is(address: str) -> None:
    """Also through a translator to IPv4."""
    assert is_public(ip_address(address))


@pytest.mark.parametrize("host", LITERALS.split())
def test_a_private_address_is_refused_however_it_is_written(host: str) -> None:
    """Before anything is resolved, with the remedy."""
    with pytest.raises(BadInput, match="APPRENTICE_OUTBOUND_ALLOW"):
        Outbound().check(f"https://{host}/hook")


@pytest.mark.parametrize(
    "url",
    ["http://example.com/", "ftp://example.com/", "https://", "example.com", "https://a:b@example.com/"],
)
def test_only_https_without_a_password_is_a_url(url: str) -> None:
    """Anything else is told at once."""
    with pytest.raises(BadInput):
        Outbound().check(url)


@pytest.mark.parametrize("addresses", [("10.0.0.1",), ("8.8.8.8", "10.0.0.1"), ("::1",)])
async def test_a_name_with_any_private_address_is_refused(addresses: tuple[str, ...]) -> None:
    """And the address is not told to whoever asks."""
    with pytest.raises(BadInput, match="not a public address") as told:
        await Outbound(resolve=naming(*addresses)).send("POST", "https://inside.test/")
    assert addresses[-1] not in str(told.value)


async def test_the_name_is_resolved_once_and_the_checked_address_called() -> None:
    """A second answer of the resolver is never asked for; the server hears the name."""
    asked: list[str] = []
    heard: list[bytes] = []

    async def resolve(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["192.0.2.1"]

    async with listening(answering(OK, heard)) as port:
        outbound = Outbound(("127.0.0.0/8",), resolve=resolve)
        answer = await outbound.send(
            "POST", f"http://Hook.test:{port}/a?b=c", content=b"x", headers={"host": "y"}
        )
    assert (answer.status, answer.media_type, answer.body) == (200, "application/json", b"{}")
    assert asked == ["hook.test"]
    assert heard[0].startswith(b"POST /a?b=c HTTP/1.1\r\n")
    assert heard[0].lower().count(b"host:") == 1
    assert f"hook.test:{port}".encode() in heard[0].lower()


async def test_a_listed_name_may_be_private_and_plain() -> None:
    """By its name or by its network; another name on that address is not listed by the first."""
    heard: list[bytes] = []
    async with listening(answering(OK, heard)) as port:
        for allow in (("hook.test",), ("127.0.0.1",), ("10.0.0.0/8", "127.0.0.0/8")):
            outbound = Outbound(allow, resolve=naming("127.0.0.1"))
            assert (await outbound.send("GET", f"http://hook.test:{port}/")).status == 200
        with pytest.raises(BadInput):
            await Outbound(("hook.test",), resolve=naming("127.0.0.1")).send(
                "GET", f"https://other.test:{port}/"
            )
        with pytest.raises(BadInput, match="must be https"):
            await Outbound(("10.0.0.0/8",), resolve=naming("8.8.8.8")).send("GET", "http://out.test/")


async def test_redirects_are_answers() -> None:
    """A listed host cannot send us on to one that is not."""
    heard: list[bytes] = []
    away = b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"
    async with listening(answering(away, heard)) as port:
        answer = await Outbound(("127.0.0.1",)).send("GET", f"http://127.0.0.1:{port}/")
    assert (answer.status, len(heard)) == (302, 1)


async def test_an_answer_is_bounded_in_size_and_time() -> None:
    """An endless body and a silent server both end as Unreachable."""

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" + b"x" * 5000)
        await reader.read()
        writer.close()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    outbound = Outbound(("127.0.0.1",))
    async with listening(endless) as port:
        with pytest.raises(Unreachable, match="more than 1000 bytes"):
            await outbound.send("GET", f"http://127.0.0.1:{port}/", limits=Limits(max_bytes=1000))
    async with listening(silent) as port:
        with pytest.raises(Unreachable, match="did not answer within"):
            await outbound.send("GET", f"http://127.0.0.1:{port}/", limits=Limits(seconds=0.2))


async def test_an_address_that_is_down_gives_way_to_the_next() -> None:
    """And when none is up that is told."""
    heard: list[bytes] = []
    async with listening(answering(OK, heard)) as port:
        outbound = Outbound(("hook.test",), resolve=naming("127.9.9.9", "127.0.0.1"))
        assert (await outbound.send("GET", f"http://hook.test:{port}/")).status == 200
    with pytest.raises(Unreachable, match="cannot be reached"):
        await outbound.send("GET", f"http://hook.test:{port}/")


async def test_the_certificate_must_be_the_names(tmp_path: Path) -> None:
    """Though the connection goes to an address."""
    serving, trusted = certificates(tmp_path, "hook.test")
    heard: list[bytes] = []
    async with listening(answering(OK, heard), serving) as port:
        outbound = Outbound(("127.0.0.1",), naming("127.0.0.1"), lambda: trusted)
        assert (await outbound.send("GET", f"https://hook.test:{port}/")).status == 200
        with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
            await outbound.send("GET", f"https://other.test:{port}/")


def certificates(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate for the name, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    builder = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
    )
    builder = builder.serial_number(1).not_valid_before(start).not_valid_after(start.replace(year=2120))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    made = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    (folder / "cert.pem").write_bytes(made)
    kept = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(*kept))
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return serving, ssl.create_default_context(cafile=str(folder / "cert.pem"))
