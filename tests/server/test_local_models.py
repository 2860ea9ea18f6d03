"""Local models and adapters behind the API; nothing that serves can learn by gradient."""

from __future__ import annotations

import gc
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import httpx
import pytest
import torch
from torch.optim import Optimizer

from server.settings import Settings
from tests.distill.tiny import make_folder
from tests.server import scripted_server
from tests.server.served import Served, serve

BASE = "local:small"
T = TypeVar("T")


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("models")
    make_folder(folder / "small", context=4096)
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("data"),
        models_dir=folder,
        model=BASE,
        encoder="hash",
        job_poll_s=0.02,
    )
    with serve(scripted_server.make(settings, {}), {}) as served:
        yield served


@pytest.fixture(scope="module")
def client(local: Served) -> Iterator[httpx.Client]:
    with local.client("gradient") as client:
        yield client


def alive(kind: type[T]) -> list[T]:
    """Every object of a kind in this process; by type, because some objects warn when asked."""
    gc.unfreeze()  # what a start has made is not listed while it is frozen
    return [thing for thing in gc.get_objects() if issubclass(type(thing), kind)]


def weights() -> dict[int, str]:
    """A hash of every parameter alive in this process."""
    parameters = alive(torch.nn.Parameter)
    return {id(p): hashlib.sha256(p.detach().cpu().numpy().tobytes()).hexdigest() for p in parameters}


def test_serving_changes_no_parameter_and_holds_no_optimizer(client: httpx.Client) -> None:
    """Before and after tasks that are learned from, and a chat, every weight is the same number."""
    chat = {"messages": [{"role": "user", "content": "where is the mug ?"}]}
    assert client.post("/v1/chat/completions", json=chat).status_code == 200
    before = weights()
    assert before
    body = {"world": "household", "site": "maple 27", "wait": "learned", "budget": {"max_steps": 3}}
    for seed in range(2):
        assert client.post("/v1/tasks", json={**body, "seed": seed}).json()["state"] == "done"
    assert client.post("/v1/chat/completions", json=chat).status_code == 200
    after = weights()
    assert {key: after[key] for key in before} == before
    assert alive(Optimizer) == []
    assert not any(p.requires_grad or p.grad is not None for p in alive(torch.nn.Parameter))


def test_the_default_model_is_listed_and_loaded(client: httpx.Client) -> None:
    """It was loaded in the background after the start."""
    models = {model["id"]: model for model in client.get("/v1/models").json()["data"]}
    assert models[BASE]["default"] is True
    assert models[BASE]["loaded"] is True


def test_a_prompt_that_does_not_fit_is_told(client: httpx.Client) -> None:
    """400 with the numbers, not a cut prompt."""
    chat = {"messages": [{"role": "user", "content": "mug " * 5000}]}
    answer = client.post("/v1/chat/completions", json=chat, headers={"X-Apprentice-Memory": "off"})
    assert answer.status_code == 400
    assert "4096" in answer.json()["error"]["message"]


def test_promoted_means_the_base_while_nothing_is_promoted(client: httpx.Client) -> None:
    """The alias always answers."""
    chat = {"model": f"{BASE}+promoted", "messages": [{"role": "user", "content": "go"}]}
    answer = client.post("/v1/chat/completions", json=chat)
    assert answer.status_code == 200
    assert answer.json()["model"] == BASE


def test_a_distillation_without_experience_is_refused_with_the_reason(local: Served) -> None:
    """A real process of its own starts, refuses and is told about; there is no adapter after it."""
    with local.client("empty") as client:
        task = {"world": "household", "site": "maple 27", "budget": {"max_steps": 1}, "wait": "learned"}
        client.post("/v1/tasks", json=task)
        order = {"recipe": "step", "suites": [{"name": "a", "site": "maple 27", "n": 1}]}
        job = client.post("/v1/distillations", json=order).json()
        with client.stream("GET", f"/v1/distillations/{job['id']}/events", timeout=120.0) as stream:
            names = [line.removeprefix("event: ") for line in stream.iter_lines() if line.startswith("event")]
        done = client.get(f"/v1/distillations/{job['id']}").json()
        assert names[-1] == "done"
        assert "progress" in names
        assert done["state"] == "failed"
        assert done["progress"]["stage"] == "refused"
        assert done["error"]
        assert [d["id"] for d in client.get("/v1/distillations").json()["data"]] == [job["id"]]
        assert client.get("/v1/adapters").json()["data"] == []


def test_a_cancelled_distillation_leaves_no_process(local: Served) -> None:
    """It is told to stop and is gone when the answer comes."""
    with local.client("empty") as client:
        order = {"recipe": "step", "suites": [{"name": "a", "site": "maple 27", "n": 1}]}
        job = client.post("/v1/distillations", json=order).json()
        folder = local.services.settings.distillations_dir / job["id"]
        while not (folder / "pid").exists() or not (folder / "pid").read_text("utf-8"):
            assert client.get(f"/v1/distillations/{job['id']}").json()["state"] in {"queued", "running"}
        pid = int((folder / "pid").read_text("utf-8"))
        assert client.post(f"/v1/distillations/{job['id']}/cancel").json()["state"] == "cancelled"
        command = Path(f"/proc/{pid}/cmdline")
        while command.exists() and str(folder) in command.read_text("utf-8"):
            pass
        assert client.get("/v1/adapters").json()["data"] == []
    shutil.rmtree(folder)
