"""Chat completions of a service that speaks OpenAI's format, over HTTP with nothing in between.

For a self-hosted model litellm has nothing to translate, and takes ten times as long over a call.
"""

from __future__ import annotations

import asyncio
import json
import re
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass
from weakref import WeakKeyDictionary

import aiohttp

from agent.models.answers import refusal
from agent.models.retry import Transient
from memory.errors import ModelError

_PLAIN = ("hosted_vllm", "openai")
_OWN_RULES = re.compile(r"(.*/)?(o\d|gpt-[5-9])")
"""OpenAI's models that take other parameters than the rest: litellm knows which."""
_CONNECTIONS = 1000
_LONGEST_LINE = 4 * 2**20
"""Bytes of one piece of a stream: a call may come whole, with all its arguments."""


def speaks_plainly(name: str) -> bool:
    """Does this model take requests as they are?

    >>> speaks_plainly("hosted_vllm/llama"), speaks_plainly("openai/o3-mini"), speaks_plainly("anthropic/any")
    (True, False, False)
    """
    provider, _, model = name.partition("/")
    return provider in _PLAIN and not _OWN_RULES.match(model)


class Direct:
    """One service, its connections kept open."""

    def __init__(self, name: str, api_base: str, api_key: str, timeout_s: float) -> None:
        """`name` with its provider, as errors give it; `timeout_s` for connecting and between two pieces."""
        self._name, self._model = name, name.partition("/")[2]
        self._url = f"{api_base.rstrip('/')}/chat/completions"
        self._headers = {"Authorization": f"Bearer {api_key}"}
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=timeout_s, sock_read=timeout_s)
        self._timeout_s = timeout_s
        self._proxy = _proxy_for(api_base)
        self._sessions: WeakKeyDictionary[asyncio.AbstractEventLoop, aiohttp.ClientSession] = (
            WeakKeyDictionary()
        )
        """A loop's connections are its own: chats and jobs run in different ones."""

    async def complete(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """The response. Raises Transient, and what `refusal` gives."""
        with self._losses():
            async with asyncio.timeout(self._timeout_s):
                async with await self._post(arguments) as response:
                    return _an_object(await response.read(), self._name)

    async def stream(self, arguments: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any], None]:
        """The chunks, once the service has begun to answer. Raises as `complete` does, they do too."""
        with self._losses():
            return self._chunks(await self._post(arguments))

    def close(self) -> None:
        """Hang up."""
        for session in self._sessions.values():
            _hang_up(session.connector)
        self._sessions.clear()

    async def _post(self, arguments: Mapping[str, Any]) -> aiohttp.ClientResponse:
        body = {"model": self._model, **arguments}
        response = await self._session().post(self._url, json=body, headers=self._headers, proxy=self._proxy)
        if response.status == 200:
            return response
        async with response:
            said = (await response.read()).decode(errors="replace")
        raise refusal(self._name, response.status, said, response.headers)

    async def _chunks(self, response: aiohttp.ClientResponse) -> AsyncGenerator[Mapping[str, Any], None]:
        with self._losses():
            async with response:
                async for data in _events(response.content):
                    chunk = _an_object(data, self._name)
                    if "error" in chunk:
                        raise refusal(self._name, response.status, data.decode(errors="replace"), {})
                    yield chunk

    def _session(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        session = self._sessions.get(loop)
        if session is None or session.closed:
            connector = aiohttp.TCPConnector(limit=_CONNECTIONS)
            session = aiohttp.ClientSession(
                connector=connector,
                connector_owner=False,
                timeout=self._timeout,
                read_bufsize=_LONGEST_LINE,
            )
            weakref.finalize(self, _hang_up, connector)
            self._sessions[loop] = session
        return session

    @contextmanager
    def _losses(self) -> Iterator[None]:
        try:
            yield
        except (TimeoutError, aiohttp.ClientError) as error:
            what = f"no answer within {self._timeout_s:g} s" if isinstance(error, TimeoutError) else error
            words = f"{self._name!r} at {self._url}: {type(error).__name__}: {what}"
            raise Transient(ModelError(words)) from error


def _proxy_for(url: str) -> str | None:
    """As the environment says, once: aiohttp would look at every request, in a thread."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)


def _hang_up(connector: aiohttp.BaseConnector | None) -> None:
    if connector is not None:
        connector.close()


async def _events(lines: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """What server-sent events say, up to the last."""
    async for line in lines:
        name, _, data = line.rstrip(b"\r\n").partition(b":")
        if name == b"data":
            if data.strip() == b"[DONE]":
                return
            yield data


def _an_object(text: bytes, name: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Transient(ModelError(f"{name!r} answered what is no JSON object: {text[:200]!r}"))
    return found
