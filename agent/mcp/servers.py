"""Which MCP servers there are, how each is reached, what of it is let in: the operator's file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from memory.errors import BadInput
from memory.types import Channel

_VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class McpServer:
    """One server; either a command that speaks over its stdin and stdout, or the URL of a streamable one."""

    name: str
    """Goes before the names of its tools."""
    allow: tuple[str, ...]
    """Globs over its own tool names; what none matches does not exist here."""
    command: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    """For the command, beside PATH, HOME and the like; nothing else of ours is inherited."""
    folder: str | None = None
    """Where the command runs."""
    url: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    read_only: tuple[str, ...] = ()
    """Globs over tools that change nothing. What a server says of that itself is not believed."""
    namespaces: tuple[str, ...] = ("*",)
    """Globs over the namespaces whose tasks may use it."""
    channel: Channel = "external"
    """Where its answers count as coming from; strangers lower the trust of everything after them."""
    timeout_s: float = 30.0
    """For one call."""
    connect_s: float = 10.0
    """For connecting, and for one listing of its tools."""

    def allows(self, tool: str) -> bool:
        """May this tool be seen and called?"""
        return any(fnmatchcase(tool, glob) for glob in self.allow)

    def changes_nothing(self, tool: str) -> bool:
        """Does the operator say that it only reads?"""
        return any(fnmatchcase(tool, glob) for glob in self.read_only)

    def serves(self, namespace: str) -> bool:
        """May tasks of this namespace use it?"""
        return any(fnmatchcase(namespace, glob) for glob in self.namespaces)


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    allow: Annotated[tuple[str, ...], Field(min_length=1)]
    type: str | None = None
    command: str | None = None
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    cwd: str | None = None
    url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    headers: dict[str, str] = {}
    read_only: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ("*",)
    channel: Channel = "external"
    timeout_s: Annotated[float, Field(gt=0)] = 30.0
    connect_s: Annotated[float, Field(gt=0)] = 10.0

    @model_validator(mode="after")
    def _is_reached_one_way(self) -> _Entry:
        if (self.command is None) == (self.url is None):
            raise ValueError("give either a command or a url")
        return self


class _File(BaseModel):
    model_config = ConfigDict(extra="ignore")

    servers: Annotated[
        dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,24}$")], _Entry], Field(alias="mcpServers")
    ]


def read_servers(path: Path, environment: Mapping[str, str]) -> tuple[McpServer, ...]:
    """The servers of a file `{"mcpServers": {name: {…}}}`; `${NAME}` stands for a variable of `environment`.

    Raises BadInput when the file cannot be read or says something else, or a variable is not set.
    """
    try:
        raw = path.read_text("utf-8")
        entries = _File.model_validate(json.loads(raw)).servers
    except (OSError, ValueError) as error:
        raise BadInput(f"the MCP servers in {str(path)!r} cannot be read: {_why(error)}") from error
    return tuple(_server(name, entry, environment) for name, entry in entries.items())


def _server(name: str, entry: _Entry, environment: Mapping[str, str]) -> McpServer:
    def filled(text: str) -> str:
        missing = [one for one in _VARIABLE.findall(text) if one not in environment]
        if missing:
            raise BadInput(f"the MCP server {name!r} needs the environment variable {missing[0]!r}")
        return _VARIABLE.sub(lambda found: environment[found[1]], text)

    return McpServer(
        name,
        entry.allow,
        command=() if entry.command is None else (entry.command, *map(filled, entry.args)),
        environment=tuple((key, filled(value)) for key, value in entry.env.items()),
        folder=entry.cwd,
        url="" if entry.url is None else filled(entry.url),
        headers=tuple((key, filled(value)) for key, value in entry.headers.items()),
        read_only=entry.read_only,
        namespaces=entry.namespaces,
        channel=entry.channel,
        timeout_s=entry.timeout_s,
        connect_s=entry.connect_s,
    )


def _why(error: Exception) -> str:
    if isinstance(error, ValidationError):
        # Not the value: it may be a secret.
        first = error.errors(include_input=False, include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)
