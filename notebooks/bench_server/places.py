"""The contenders as processes: the bare upstream, LiteLLM's proxy before it, our server before it."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from notebooks.bench_server.plan import MODES, PROXY, UPSTREAM, Plan
from server.auth import Keys
from server.settings import Settings

MODEL = "hosted_vllm/bench"
NAMESPACE = "bench"
_START_WITHIN_S = 120.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where chats are sent."""

    name: str
    url: str
    model: str
    headers: Mapping[str, str] = field(default_factory=dict)
    pid: int = 0


@contextmanager
def upstream(plan: Plan) -> Iterator[Place]:
    """The model alone."""
    port = _free_port()
    words = ["-m", "notebooks.bench_server.upstream", str(port), str(plan.think_s)]
    with _process([sys.executable, *words], plan.folder / "upstream.log", f"http://127.0.0.1:{port}/") as pid:
        yield Place(UPSTREAM, f"http://127.0.0.1:{port}/v1", "bench", pid=pid)


@contextmanager
def proxy(plan: Plan, behind: Place) -> Iterator[Place]:
    """LiteLLM's proxy as its manual starts it, one worker, no database."""
    port = _free_port()
    route = {"model": "openai/bench", "api_base": behind.url, "api_key": "none"}
    config = plan.folder / "litellm.yaml"
    # JSON is YAML.
    config.write_text(json.dumps({"model_list": [{"model_name": "bench", "litellm_params": route}]}))
    command = [str(plan.proxy), "--config", str(config), "--port", str(port), "--host", "127.0.0.1"]
    ready = f"http://127.0.0.1:{port}/health/liveliness"
    key = f"sk-{secrets.token_hex(32)}"
    with _process(command, plan.folder / "litellm.log", ready, {"LITELLM_MASTER_KEY": key}) as pid:
        yield Place(PROXY, f"http://127.0.0.1:{port}/v1", "bench", {"Authorization": f"Bearer {key}"}, pid)


@contextmanager
def ours(plan: Plan, behind: Place, settings: Mapping[str, str] | None = None) -> Iterator[tuple[Place, ...]]:
    """Our server as shipped, with a place for each mode of its memory, all of one namespace."""
    port, data = _free_port(), plan.folder / "data"
    extra = {
        "APPRENTICE_ENDPOINTS": json.dumps({MODEL: behind.url}),
        "APPRENTICE_DATA_DIR": str(data),
        "APPRENTICE_CANARY_CRON": "",
        **(settings or {}),
    }
    command = [sys.executable, "-m", "server", "serve", "--port", str(port), "--log-level", "warning"]
    ready, log = f"http://127.0.0.1:{port}/health/ready", plan.folder / "server.log"
    with _process(command, log, ready, extra) as pid:
        key = Keys(Settings(data_dir=data).keys_path).create(NAMESPACE, "operator", label="bench")[1]
        bearer = {"Authorization": f"Bearer {key}"}
        yield tuple(
            Place(name, f"http://127.0.0.1:{port}/v1", MODEL, {**bearer, "X-Apprentice-Memory": mode}, pid)
            for name, mode in MODES.items()
        )


@contextmanager
def everybody(plan: Plan) -> Iterator[tuple[Place, ...]]:
    """All of them at once: whoever is not asked is idle."""
    with ExitStack() as held:
        behind = held.enter_context(upstream(plan))
        places = [behind]
        if plan.proxy.exists():
            places.append(held.enter_context(proxy(plan, behind)))
        yield (*places, *held.enter_context(ours(plan, behind)))


@contextmanager
def _process(
    command: Sequence[str], log: Path, ready: str, extra: Mapping[str, str] | None = None
) -> Iterator[int]:
    with log.open("wb") as stream:
        running = subprocess.Popen(
            command, stdout=stream, stderr=subprocess.STDOUT, env={**os.environ, **(extra or {})}
        )
    try:
        _await(ready, running, log)
        yield running.pid
    finally:
        running.terminate()
        try:
            running.wait(10)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def _await(url: str, running: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _START_WITHIN_S
    while time.monotonic() < end and running.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(
        f"{running.args!r} did not start:\n{log.read_text(errors='replace', encoding='utf-8')[-2000:]}"
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
