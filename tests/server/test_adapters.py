"""Adapters behind the API: who lets them serve, on what share, what they were made of, what stops them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from safetensors.torch import load_file, save_file

from agent.models.local.identity import identify
from agent.models.local.model import LocalModel
from distill.manifest import AdapterManifest, Lineage
from distill.registry import Registry
from distill.render import TokenRow
from distill.settings import TrainSettings
from distill.train import Trained, train
from memory.types import Message
from server.models import Models
from server.settings import Settings
from server.turns import lot_of
from tests.distill.tiny import make_folder
from tests.server import scripted_server
from tests.server.served import Served, serve

BASE = "local:small"
ASKED = {"model": f"{BASE}+promoted", "messages": [{"role": "user", "content": "go to cabinet 1"}]}
OFF = {"X-Apprentice-Memory": "off"}
Add = Callable[..., str]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    make_folder(folder / "small", context=4096)
    return folder


@pytest.fixture(scope="module")
def local(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("data"),
        models_dir=models,
        model=BASE,
        encoder="hash",
        job_poll_s=0.02,
    )
    with serve(scripted_server.make(settings, {}), {}) as served:
        yield served


@pytest.fixture(scope="module")
def trained(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    rows = [TokenRow((8, 9, 10, 11, 12 + n), (0.0, 1.0, 1.0, 1.0, 1.0)) for n in range(8)]
    settings = TrainSettings(epochs=1, min_updates=1, batch_size=4, rank=4, learning_rate=1e-2)
    return train(rows, models / "small", tmp_path_factory.mktemp("run"), settings, seed=0)


@pytest.fixture
def registry(local: Served) -> Iterator[Registry]:
    """The server's, with nothing in service before and after."""
    found = Registry(local.services.settings.adapters_dir)
    yield found
    for manifest in found.list():
        if manifest.blocked is None:
            found.block(manifest.id, "the test is over")


@pytest.fixture
def add(models: Path, trained: Trained, registry: Registry, tmp_path: Path) -> Add:
    """Another adapter with the same training and other numbers, of the namespace `home`."""

    def make(scale: float, *, proposer: str = "key:nobody", **changes: Any) -> str:
        folder = tmp_path / f"x{scale}"
        folder.mkdir()
        for path in trained.folder.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        weights = folder / "adapter_model.safetensors"
        save_file({name: tensor * scale + 0.01 for name, tensor in load_file(weights).items()}, weights)
        model = LocalModel.load(models / "small", name="x", adapter=folder)
        fingerprint = model.fingerprint()
        model.close()
        manifest = AdapterManifest(
            id="",
            created_at=scale,
            base="small",
            identity=identify(models / "small"),
            files={},
            fingerprint=fingerprint,
            namespace="home",
            recipe="step",
            method="Recipe(name='step')",
            dataset="0" * 64,
            episodes=("e1",),
            seed=0,
            settings={"epochs": 1, "min_updates": 1, "rank": 4},
            proposer=proposer,
        )
        row = Lineage("e1", (), (0, 1), (0.0, 1.0), "main")
        return registry.add(folder, replace(manifest, **changes), [row]).id

    return make


def asked(client: httpx.Client) -> str:
    """Which adapter answers; the empty string is the base."""
    answer = client.post("/v1/chat/completions", json=ASKED, headers=OFF)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["model"].partition("+")[2])


class TestApproval:
    """The gate decides; against it another operator, by name and with a reason."""

    def test_who_asked_for_it_cannot_let_it_serve(self, local: Served, add: Add) -> None:
        """Neither whole nor for a share, whatever the gate or a reason says; another operator can."""
        mine = local.services.keys.identify(local.key("home"))
        assert mine is not None
        made = add(2.0, proposer=mine.principal, gate={"promoted": True, "reason": "better"})
        other = local.services.keys.create("home", "operator", label="ann")[1]
        with local.client("home") as client:
            for path, body in (("promote", {"reason": "mine"}), ("canary", {"share": 0.5, "reason": "mine"})):
                refused = client.post(f"/v1/adapters/{made}/{path}", json=body)
                assert refused.status_code == 403
                assert "another operator's key" in refused.json()["error"]["message"]
            assert asked(client) == ""
            headers = {"Authorization": f"Bearer {other}"}
            done = client.post(f"/v1/adapters/{made}/promote", headers=headers).json()
            assert done["promoted"] is True
            assert done["manifest"]["overrides"] == []
            assert asked(client) == made

    def test_against_the_gate_it_takes_a_reason_that_is_kept_with_a_name(
        self, local: Served, add: Add, caplog: pytest.LogCaptureFixture
    ) -> None:
        """In the manifest and in the log; without one it is refused with the gate's."""
        made = add(3.0, gate={"promoted": False, "reason": "home: gain +0.010 is not surely above 0"})
        ann = local.services.keys.create("home", "operator", label="ann")[1]
        with local.client("home") as client:
            client.headers["Authorization"] = f"Bearer {ann}"
            refused = client.post(f"/v1/adapters/{made}/promote", json={})
            assert refused.status_code == 422
            assert "not surely above 0" in refused.json()["error"]["message"]
            reason = {"reason": "the suite is too small to see it"}
            assert client.post(f"/v1/adapters/{made}/promote", json=reason).status_code == 200
            (override,) = client.get(f"/v1/adapters/{made}").json()["manifest"]["overrides"]
            assert override["reason"] == reason["reason"]
            assert override["by"].startswith("key:")
            assert override["by"].endswith("(ann)")
        assert any("(ann)" in line and made in line for line in caplog.messages)


class TestTraffic:
    """A share for the candidate, an instant way back."""

    @pytest.mark.slow
    def test_a_canary_answers_its_share(self, local: Served, add: Add, registry: Registry) -> None:
        """Drawn by the episode's id: tasks and chats; counted by adapter; promoted it answers all."""
        old, new = add(4.0, gate={"promoted": True}), add(5.0, gate={"promoted": True})
        task: dict[str, Any] = {"world": "household", "site": "maple 27", "memory": "frozen"}
        task |= {"model": f"{BASE}+promoted"}
        task |= {"budget": {"max_steps": 1}, "wait": "finished"}
        with local.client("home") as client:
            client.post(f"/v1/adapters/{old}/promote")
            shown = client.post(f"/v1/adapters/{new}/canary", json={"share": 0.5}).json()
            assert (shown["share"], shown["promoted"]) == (0.5, False)
            assert client.get(f"/v1/adapters/{old}").json()["share"] == 0.5
            pointer = registry.pointer("home")
            for seed in range(4):
                done = client.post("/v1/tasks", json={**task, "seed": seed}).json()
                assert done["model"] == f"{BASE}+{pointer.chosen(done['episode'])}"
            found = {asked(client) for _ in range(20)}
            assert found == {old, new}
            metrics = client.get("/metrics").text
            assert f'apprentice_adapter_tasks_total{{adapter="{old}"' in metrics
            client.post(f"/v1/adapters/{new}/promote")
            assert {asked(client) for _ in range(5)} == {new}
            client.post(f"/v1/adapters/{old}/canary", json={"share": 1})
            client.post(f"/v1/adapters/{old}/canary", json={"share": 0})
            assert asked(client) == new

    @pytest.mark.slow
    def test_rollback_is_instant_under_load(self, local: Served, add: Add) -> None:
        """Eight callers at once: whoever asks after the answer gets the one before; nobody gets an error."""
        old, new = add(6.0, gate={"promoted": True}), add(7.0, gate={"promoted": True})
        stop = threading.Event()
        answers: list[tuple[float, str]] = []

        def work() -> None:
            with local.client("home") as client:
                while not stop.is_set():
                    began = time.monotonic()
                    answers.append((began, asked(client)))

        with local.client("home") as client, ThreadPoolExecutor(8) as pool:
            for made in (old, new):
                client.post(f"/v1/adapters/{made}/promote")
            working = [pool.submit(work) for _ in range(8)]
            _until(lambda: len(answers) > 24)
            assert client.post("/v1/adapters/rollback").status_code == 200
            back, n_before = time.monotonic(), len(answers)
            _until(lambda: len(answers) > n_before + 24)
            stop.set()
        assert all(future.result() is None for future in working)
        assert {name for began, name in answers if began > back} == {old}
        assert new in {name for began, name in answers if began < back}

    @pytest.mark.slow
    def test_the_prefix_it_was_trained_with_is_in_its_prompts(self, local: Served, add: Add) -> None:
        """A prompt of its tasks is longer by it; the base's are not."""
        plain, asking = add(8.0), add(9.0, prompt_prefix="looking for mug on shelf 1")
        task: dict[str, Any] = {"world": "household", "site": "maple 27", "memory": "off", "wait": "finished"}
        task |= {"budget": {"max_steps": 1}}
        with local.client("home") as client:
            used = [
                client.post("/v1/tasks", json={**task, "model": f"{BASE}+{name}"}).json()["usage"]
                for name in (plain, asking)
            ]
        assert used[1]["prompt_tokens"] >= used[0]["prompt_tokens"] + 6


class TestNamespaces:
    """What was learned in one answers in no other."""

    def test_another_namespace_neither_sees_nor_meets_it(
        self, local: Served, add: Add, registry: Registry
    ) -> None:
        """Over every route: an operator elsewhere gets 404 and empty lists and moves nothing."""
        made, tried = add(14.0, gate={"promoted": True}), add(15.0, gate={"promoted": True})
        with local.client("home") as client, local.client("elsewhere") as other:
            client.post(f"/v1/adapters/{made}/promote").raise_for_status()
            client.post(f"/v1/adapters/{tried}/canary", json={"share": 0.25}).raise_for_status()
            before = registry.pointer("home")
            assert other.get("/v1/adapters").json()["data"] == []
            for method, path, body in (
                ("GET", "", None),
                ("GET", "/lineage", None),
                ("POST", "/promote", {"reason": "mine now"}),
                ("POST", "/canary", {"share": 1.0, "reason": "mine now"}),
                ("POST", "/canary", {"share": 0.0}),
            ):
                refused = other.request(method, f"/v1/adapters/{made}{path}", json=body)
                assert refused.status_code == 404, path
            assert other.post("/v1/adapters/rollback").status_code == 409
            named = other.post("/v1/chat/completions", json={**ASKED, "model": f"{BASE}+{made}"}, headers=OFF)
            assert named.status_code == 404
            assert tried not in named.text
            assert made not in other.get("/v1/models").text
            assert made in client.get("/v1/models").text
            assert {asked(other) for _ in range(4)} == {""}
            assert registry.pointer("home") == before
            assert {asked(client) for _ in range(12)} <= {made, tried}

    def test_each_has_its_own_in_service(self, local: Served, add: Add) -> None:
        """The other's promotion and way back leave mine where it is."""
        mine, theirs = (
            add(scale, gate={"promoted": True}, namespace=name)
            for scale, name in ((16.0, "home"), (17.0, "there"))
        )
        with local.client("home") as client, local.client("there") as other:
            client.post(f"/v1/adapters/{mine}/promote").raise_for_status()
            other.post(f"/v1/adapters/{theirs}/promote").raise_for_status()
            assert (asked(client), asked(other)) == (mine, theirs)
            assert [one["id"] for one in other.get("/v1/adapters").json()["data"] if one["promoted"]] == [
                theirs
            ]
            other.post("/v1/adapters/rollback").raise_for_status()
            assert (asked(client), asked(other)) == (mine, "")

    def test_an_operator_may_share_a_base(self, models: Path, add: Add, registry: Registry) -> None:
        """Who has none of their own in service gets the shared one; of another base nothing is shared."""
        shared, own = add(18.0), add(19.0, namespace="there")
        registry.promote(shared)
        made = Models(folder=models, default=BASE, registry=lambda: registry, shared={"small": "home"})
        assert made.resolve(f"{BASE}+promoted", "there") == f"{BASE}+{shared}"
        assert f"{BASE}+{shared}" in {card.name for card in made.list("there")}
        registry.promote(own)
        assert made.resolve(f"{BASE}+promoted", "there") == f"{BASE}+{own}"
        assert made.resolve(f"{BASE}+promoted", "home") == f"{BASE}+{shared}"
        other = Models(folder=models, default=BASE, registry=lambda: registry, shared={"large": "home"})
        assert other.resolve(f"{BASE}+promoted", "nobody") == BASE


class TestLineage:
    """Both ways."""

    def test_from_an_adapter_to_its_rows_and_back(self, local: Served, add: Add) -> None:
        """Rows by pages; adapters by an episode or an item; nothing of another namespace."""
        one = add(10.0, episodes=("e1", "e2"), items=("i1",))
        two = add(11.0, episodes=("e2",))
        with local.client("home") as client:
            told = client.get(f"/v1/adapters/{one}/lineage").json()
            assert (told["episodes"], told["items"], told["next"]) == (["e1", "e2"], ["i1"], None)
            assert told["rows"][0] == {
                "episode": "e1",
                "also": [],
                "indices": [0, 1],
                "weights": [0.0, 1.0],
                "stream": "main",
            }
            assert client.get(f"/v1/adapters/{one}/lineage", params={"after": 1}).json()["rows"] == []
            for asked_for, found in (
                ({"episode": "e2"}, [one, two]),
                ({"item": "i1"}, [one]),
                ({"item": "x"}, []),
            ):
                data = client.get("/v1/adapters", params=asked_for).json()["data"]
                assert [view["id"] for view in data] == found
        with local.client("elsewhere") as client:
            assert client.get("/v1/adapters", params={"episode": "e2"}).json()["data"] == []
            assert client.get(f"/v1/adapters/{one}/lineage").status_code == 404

    def test_what_is_taken_back_answers_nothing_more(
        self, local: Served, add: Add, registry: Registry
    ) -> None:
        """Also a model that is loaded already; the one before takes over, and a rebuild is begun."""
        task = {"world": "household", "site": "maple 27", "memory": "learn", "wait": "learned"}
        with local.client("home") as client:
            done = client.post("/v1/tasks", json={**task, "budget": {"max_steps": 1}}).json()
            old = add(12.0, gate={"promoted": True}, episodes=("another",))
            made = add(13.0, gate={"promoted": True}, episodes=(done["episode"],))
            for name in (old, made):
                client.post(f"/v1/adapters/{name}/promote")
            assert asked(client) == made
            body = {"kind": "episode", "id": done["episode"]}
            assert client.post("/v1/memory/forget", json={**body, "dry_run": True}).json()["rebuilds"] == []
            fell = client.post("/v1/memory/forget", json=body).json()
            assert fell["adapters"] == [made]
            assert asked(client) == old
            named = client.post(
                "/v1/chat/completions", json={**ASKED, "model": f"{BASE}+{made}"}, headers=OFF
            )
            assert named.status_code == 404
            (job,) = fell["rebuilds"]
            rebuilt = client.get(f"/v1/distillations/{job}").json()
            assert (rebuilt["rebuilds"], rebuilt["recipe"]) == (made, "step")
            client.post(f"/v1/distillations/{job}/cancel")
            assert client.post("/v1/memory/forget", json=body).json()["rebuilds"] == []
        assert registry.get(made).blocked is not None


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60.0
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_chats_that_go_on_stay_with_who_began_them() -> None:
    """The draw is by the episode that the calls being answered belong to."""
    assert lot_of([Message("user", "hello")]) is None
    told = Message("tool", "sunny", tool_call_id="call_0ab1_0")
    assert lot_of([Message("user", "hello"), told]) == "ep_0ab1"


def test_a_distillation_needs_something_to_be_judged_on(local: Served) -> None:
    """Its own suites or declared ones; for a dry run neither."""
    with local.client("judged") as client:
        refused = client.post("/v1/distillations", json={})
        assert refused.status_code == 422
        assert "declare" in refused.json()["error"]["message"]
        started = client.post("/v1/distillations", json={"dry_run": True})
        assert started.status_code == 202
        client.post(f"/v1/distillations/{started.json()['id']}/cancel")
