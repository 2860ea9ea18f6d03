"""A real server in a thread, and clients that speak HTTP to it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache

import httpx
import uvicorn
from fastapi import FastAPI
from starlette.routing import BaseRoute, Route

from agent.types import Model
from server.app import create_app
from server.auth import AccessRole
from server.services import Services


@dataclass
class Served:
    """A running server."""

    url: str
    app: FastAPI
    services: Services
    models: Mapping[str, Model]
    secrets: dict[tuple[str, AccessRole], str] = field(default_factory=dict)

    def key(self, namespace: str = "home", role: AccessRole = "operator") -> str:
        """A key of a namespace, made once."""
        if (namespace, role) not in self.secrets:
            self.secrets[namespace, role] = self.services.keys.create(namespace, role)[1]
        return self.secrets[namespace, role]

    def client(self, namespace: str = "home", role: AccessRole = "operator") -> httpx.Client:
        """A client with that key."""
        headers = {"Authorization": f"Bearer {self.key(namespace, role)}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30.0, trust_env=False)


@contextmanager
def serve(services: Services, models: Mapping[str, Model]) -> Iterator[Served]:
    """Run the services in a thread until the generator is closed."""
    app = _worked_out(create_app(services))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        config = uvicorn.Config(app, log_level="warning", lifespan="on")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        url = f"http://127.0.0.1:{port}"
        try:
            _wait_until_ready(url, thread)
            yield Served(url, app, services, models)
        finally:
            server.should_exit = True
            thread.join(timeout=20.0)


@cache
def _included() -> dict[tuple[int, int], BaseRoute]:
    return {}


def _worked_out(app: FastAPI) -> FastAPI:
    """The same app, its routes those of the first app of this process.

    They are one and the same for all apps, and to work out their schemas takes as long as all else that a
    server does to start.
    """
    known, routes = _included(), app.router.routes
    for place, route in enumerate(routes):
        # Those of one app's own, such as its document and MCP, are plain.
        if not isinstance(route, Route):
            routes[place] = known.setdefault((len(routes), place), route)
    return app


def _wait_until_ready(url: str, thread: threading.Thread) -> None:
    """Until it serves, or says why it cannot."""
    with httpx.Client(trust_env=False, timeout=10.0) as client:
        while thread.is_alive():
            try:
                if client.get(f"{url}/health/ready").json().get("error", {}).get("code") != "not_ready":
                    return
            except httpx.ConnectError:
                continue
    raise AssertionError("the server did not start")
