"""Requests to addresses that callers name: only to public ones, unless the operator listed them.

A name is resolved once, every address it has is checked, and the connection goes to a checked one: a name
that changes its mind between the look and the call gains nothing. Nothing is redirected, no proxy of the
environment is used, and both time and size of an answer are bounded.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

from memory.errors import BadInput
from server.errors import Unreachable

if TYPE_CHECKING:  # imported with the first request
    import httpx

Address = IPv4Address | IPv6Address
_NAT64 = IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_PUBLIC_BUT_INSIDE = frozenset({ip_address("168.63.129.16")})
"""Looks public, and is the metadata service of every machine of one cloud."""
_LOW_32 = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whole."""

    status: int
    media_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one request, from the first look at the name to the last byte."""

    seconds: float = 10.0
    max_bytes: int = 64 * 1024


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that may be asked, as far as can be known without resolving its name."""

    url: httpx.URL
    host: str
    """In lower case, without the brackets of IPv6."""
    port: int
    is_listed: bool
    """The operator listed the host: any address will do, and plain HTTP."""


async def _resolve(host: str, port: int) -> Sequence[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[4][0]) for place in found))


@cache
def _trusting() -> ssl.SSLContext:
    """Reading all authorities takes tens of milliseconds: once a process. SSL_CERT_FILE names others."""
    import httpx

    return httpx.create_ssl_context()


@dataclass(frozen=True, slots=True)
class Outbound:
    """Sends to checked addresses. `allow`: host names, addresses or networks (CIDR) that may be private."""

    allow: tuple[str, ...] = ()
    resolve: Callable[[str, int], Awaitable[Sequence[str]]] = field(default=_resolve)
    tls: Callable[[], ssl.SSLContext] = field(default=_trusting)

    def check(self, url: str) -> Target:
        """What can be said of a URL before it is used, e.g. when it is registered. Raises BadInput."""
        import httpx

        try:
            parsed = httpx.URL(url)
        except (httpx.InvalidURL, ValueError) as error:
            raise BadInput(f"{url!r} is no URL: {error}") from None
        host = parsed.host.lower().rstrip(".")
        if parsed.scheme not in {"http", "https"} or not host:
            raise BadInput(f"the URL {url!r} must begin with https:// and name a host")
        if parsed.userinfo:
            raise BadInput("a URL must hold no user name or password")
        literal = _literal(host)
        is_listed = host in self._names() if literal is None else self._lists(literal)
        if literal is not None and not is_listed:
            self._admit(host, literal)
        if parsed.scheme == "http" and not is_listed and (literal is not None or not self._networks()):
            raise BadInput(f"{url!r} must be https: {_remedy(host)}")
        default = 443 if parsed.scheme == "https" else 80
        return Target(parsed, host, parsed.port or default, is_listed)

    async def send(
        self,
        method: str,
        url: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        limits: Limits = Limits(),
    ) -> Answer:
        """One request, whatever its status. Raises BadInput for a URL that may not be asked, Unreachable."""
        import httpx

        target = self.check(url)
        try:
            async with asyncio.timeout(limits.seconds):
                addresses = await self._addresses(target)
                client = httpx.AsyncClient(verify=self.tls(), trust_env=False, timeout=limits.seconds)
                async with client:
                    requests = [_request(client, method, target, a, content, headers) for a in addresses]
                    return await _first(client, requests, target.host, limits.max_bytes)
        except TimeoutError:
            raise Unreachable(f"{target.host} did not answer within {limits.seconds:g} s") from None

    async def _addresses(self, target: Target) -> Sequence[str]:
        literal = _literal(target.host)
        if literal is not None:
            return [str(literal)]
        try:
            found = await self.resolve(target.host, target.port)
        except OSError as error:
            raise Unreachable(f"the name {target.host!r} cannot be resolved: {error}") from None
        if not target.is_listed:
            for address in map(ip_address, found):
                if not self._lists(address):
                    self._admit(target.host, address)
                    if target.url.scheme == "http":
                        raise BadInput(f"'{target.url}' must be https: {_remedy(target.host)}")
        return found

    def _admit(self, host: str, address: Address) -> None:
        if not is_public(address):
            # The address stays untold: a name must not be a way to read the network behind us.
            raise BadInput(f"{host!r} is not a public address: {_remedy(host)}")

    def _names(self) -> frozenset[str]:
        return frozenset(entry.lower() for entry in self.allow if not _is_network(entry))

    def _networks(self) -> list[str]:
        return [entry for entry in self.allow if _is_network(entry)]

    def _lists(self, address: Address) -> bool:
        return any(address in ip_network(entry, strict=False) for entry in self._networks())


def is_public(address: Address) -> bool:
    """May anybody's request go there? An address that carries one of IPv4 is as good as that one."""
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast and address not in _PUBLIC_BUT_INSIDE
    inner = IPv4Address(int(address) & _LOW_32) if address in _NAT64 else address.ipv4_mapped
    if inner is not None:
        return is_public(inner)
    # Tunnels (6to4, Teredo) could end anywhere.
    return address in _GLOBAL_UNICAST and address.is_global and not (address.sixtofour or address.teredo)


def _request(
    client: httpx.AsyncClient,
    method: str,
    target: Target,
    address: str,
    content: bytes | None,
    headers: Mapping[str, str] | None,
) -> httpx.Request:
    # The certificate must be the name's, though the connection goes to the address.
    url = target.url.copy_with(host=address)
    request = client.build_request(
        method, url, content=content, headers=headers, extensions={"sni_hostname": target.host}
    )
    request.headers["Host"] = target.url.netloc.decode("ascii")
    # Identity alone: a small answer must not unpack into a large one.
    request.headers["Accept-Encoding"] = "identity"
    return request


async def _first(
    client: httpx.AsyncClient, requests: Sequence[httpx.Request], host: str, max_bytes: int
) -> Answer:
    """The answer of the first address that can be connected to."""
    import httpx

    said: Exception | None = None
    for request in requests:
        try:
            return await _sent(client, request, host, max_bytes)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            said = error
        except httpx.HTTPError as error:
            raise Unreachable(f"{host} broke off: {error or type(error).__name__}") from None
    raise Unreachable(f"{host} cannot be reached: {said or 'its name has no address'}")


async def _sent(client: httpx.AsyncClient, request: httpx.Request, host: str, max_bytes: int) -> Answer:
    response = await client.send(request, stream=True)
    try:
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > max_bytes:
                raise Unreachable(f"{host} answered more than {max_bytes} bytes")
        media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        return Answer(response.status_code, media_type, bytes(body))
    finally:
        await response.aclose()


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        pass
    try:
        # What the resolver would take for an address too: 127.1, 0x7f000001, 2130706433.
        return IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def _is_network(entry: str) -> bool:
    try:
        ip_network(entry, strict=False)
    except ValueError:
        return False
    return True


def _remedy(host: str) -> str:
    return f"an operator can list {host!r} in APPRENTICE_OUTBOUND_ALLOW"
