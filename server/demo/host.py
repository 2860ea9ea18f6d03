"""A server of the demo's own: fresh data, a free port, a log; gone at the end."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from memory.errors import ApprenticeError, BadInput
from server.auth import Keys
from server.client import ApiError, Client
from server.settings import Settings

START_WITHIN_S = 120.0
STOP_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class Host:
    """The running server, and keys to it."""

    url: str
    process: subprocess.Popen[bytes]
    keys: Keys
    log: Path
    ready_s: float
    """Seconds from the start of the process until it was ready."""

    @classmethod
    def start(cls, out: Path, *, model: str) -> Self:
        """Start on a data folder that is emptied first. Raises ApprenticeError with the end of its log."""
        data, log = out / "data", out / "server.log"
        _empty(data)
        port = _free_port()
        command = [sys.executable, "-m", "server", "serve", "--port", str(port), "--model", model]
        started = time.monotonic()
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [*command, "--data", str(data), "--log-level", "warning"],
                stdout=stream,
                stderr=subprocess.STDOUT,
                env={**os.environ, "APPRENTICE_HOST": "127.0.0.1"},
            )
        url = f"http://127.0.0.1:{port}"
        try:
            _await_ready(url, process, log)
        except BaseException:
            process.kill()
            raise
        return cls(url, process, Keys(Settings(data_dir=data).keys_path), log, time.monotonic() - started)

    def client(self, namespace: str) -> Client:
        """A client with a new operator key of a namespace."""
        return Client(self.url, self.key(namespace))

    def key(self, namespace: str) -> str:
        """A new operator key, as `apprentice keys create` makes it."""
        return self.keys.create(namespace, "operator", label="demo")[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _empty(data: Path) -> None:
    # Only a folder that a server has written is deleted.
    if data.exists() and any(data.iterdir()) and not (data / "keys.json").exists():
        raise BadInput(f"{str(data)!r} holds files that no server wrote; give another --out")
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    with Client(url, None, timeout_s=10.0) as client:
        while time.monotonic() < deadline and process.poll() is None:
            try:
                client.get("/health/ready")
            except ApiError:
                time.sleep(0.1)
            else:
                return
    tail = log.read_text("utf-8", "replace")[-1500:]
    raise ApprenticeError(f"the server did not become ready; its log ends:\n{tail}")
