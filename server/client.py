"""The client of the command line and the demo: plain HTTP, as any other."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

import httpx

from memory.errors import ApprenticeError

USER_KEY = Path("~/.config/apprentice/key")


class ApiError(ApprenticeError):
    """The server refused, or could not be reached."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One server-sent event."""

    name: str
    data: Any
    id: str | None = None


def find_key(data_dir: Path) -> str | None:
    """The key to use: `APPRENTICE_API_KEY`, the user's key file, or the operator key of a data folder."""
    if key := os.environ.get("APPRENTICE_API_KEY"):
        return key
    for path in (USER_KEY.expanduser(), data_dir / "operator.key"):
        if path.is_file():
            return path.read_text("utf-8").strip()
    return None


class Client:
    """A connection to one server with one key."""

    def __init__(self, base_url: str, key: str | None, *, timeout_s: float = 700.0) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        # Not through a proxy of the environment: the server is ours, and mostly on this machine.
        self._http = httpx.Client(
            base_url=base_url, headers=headers, timeout=httpx.Timeout(timeout_s, connect=5.0), trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, **params: object) -> Any:
        """The JSON answer. Raises ApiError."""
        return self._json("GET", path, params=_present(params))

    def text(self, path: str, **params: object) -> str:
        """The text answer. Raises ApiError."""
        return self._send("GET", path, params=_present(params)).text

    def post(self, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Any:
        """Send JSON, get JSON. Raises ApiError."""
        return self._json("POST", path, json=body, headers=dict(headers or {}))

    def download(self, path: str, target: IO[bytes], told: Callable[[int], None], **params: object) -> None:
        """Write the answer's bytes; `told` hears how many each part has. Raises ApiError."""
        try:
            with self._http.stream("GET", path, params=_present(params)) as response:
                if response.is_error:
                    response.read()
                    raise _refusal(response)
                for chunk in response.iter_bytes():
                    target.write(chunk)
                    told(len(chunk))
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def upload(self, path: str, content: IO[bytes] | bytes, media_type: str, **params: object) -> Any:
        """Send bytes, get JSON. Raises ApiError."""
        headers = {"Content-Type": media_type}
        return self._json("POST", path, content=content, headers=headers, params=_present(params))

    def patch(self, path: str, body: object) -> Any:
        """Change something. Raises ApiError."""
        return self._json("PATCH", path, json=body)

    def put(self, path: str, body: object) -> Any:
        """Put something in the place of what was there. Raises ApiError."""
        return self._json("PUT", path, json=body)

    def delete(self, path: str) -> Any:
        """Remove something. Raises ApiError."""
        return self._json("DELETE", path)

    def ask(self, method: str, path: str, content: bytes | None, params: Mapping[str, str]) -> Iterator[str]:
        """Lines of whatever is answered, as they come; JSON is laid out. Raises ApiError."""
        headers = {} if content is None else {"Content-Type": "application/json"}
        try:
            with self._http.stream(method, path, content=content, params=params, headers=headers) as response:
                if response.is_error:
                    response.read()
                    raise _refusal(response)
                # JSON lines begin with the same name, and are no JSON.
                if response.headers.get("Content-Type", "").partition(";")[0] == "application/json":
                    response.read()
                    yield json.dumps(response.json(), indent=2, ensure_ascii=False)
                else:
                    yield from response.iter_lines()
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def events(self, path: str) -> Iterator[ServerEvent]:
        """Server-sent events until the server ends the stream. Raises ApiError."""
        try:
            with self._http.stream("GET", path) as response:
                if response.is_error:
                    response.read()
                    raise _refusal(response)
                yield from _parse(response.iter_lines())
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def _json(self, method: str, path: str, **options: Any) -> Any:
        return self._send(method, path, **options).json()

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        if response.is_error:
            raise _refusal(response)
        return response

    def _unreachable(self, error: httpx.HTTPError) -> ApiError:
        return ApiError(
            f"no answer from {self._http.base_url}: {error}. Is the server running? `apprentice serve`"
        )


def _present(params: Mapping[str, object]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}


def _refusal(response: httpx.Response) -> ApiError:
    try:
        message = str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        message = response.text[:300]
    return ApiError(f"{response.status_code}: {message}", response.status_code)


def _parse(lines: Iterator[str]) -> Iterator[ServerEvent]:
    name, data, event_id = "message", "", None
    for line in lines:
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            data += value
        elif field == "id":
            event_id = value
        elif not line and data:
            yield ServerEvent(name, json.loads(data), event_id)
            name, data, event_id = "message", "", None
