"""A distillation that ran to its end earlier, as its folder tells it; the server finds it finished."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from agent.models.local.identity import Fingerprint, identify
from distill.dataset import write
from distill.decision import decide
from distill.gate import ARMS, Attempt, compare
from distill.manifest import AdapterManifest, Lineage
from distill.recipes import RECIPES
from distill.registry import Registry
from distill.report import gate_json, report_json
from distill.suites import Suite
from distill.train import Trained
from distill.types import Dataset, Rejected, Row
from memory.types import Json, Message, Span
from server.settings import BUNDLED_MODELS
from tests.server.served import Served

N_TASKS = 12
WON = dict(zip(ARMS, (3, 6, 9, 10), strict=True))
"""Of the gate's tasks, by arm."""


def finished(served: Served, patch: pytest.MonkeyPatch, namespace: str = "home") -> tuple[str, str]:
    """Its id and its adapter's; asked for over HTTP with the namespace's operator key."""
    name = "distill_done"
    patch.setattr("server.routes.distillations.new_id", lambda _kind: name)
    folder = served.services.settings.distillations_dir / name
    key = served.services.keys.identify(served.key(namespace))
    assert key is not None
    with served.client(namespace) as client:
        order = {"world": "household", "site": "maple 27", "wait": "learned", "budget": {"max_steps": 2}}
        episode = client.post("/v1/tasks", json=order).json()["episode"]
        adapter = _write(folder, namespace, episode, key.principal, served.services.settings.adapters_dir)
        body = {
            "base": "local:tiny",
            "suites": [{"name": "maple", "site": "maple 27", "n": N_TASKS}],
            "promote": False,
        }
        answer = client.post("/v1/distillations", json=body)
        assert answer.status_code == 202, answer.text
        while client.get(f"/v1/distillations/{name}").json()["ended_at"] is None:
            pass
    return name, adapter


def _write(folder: Path, namespace: str, episode: str, proposer: str, adapters: Path) -> str:
    recipe = next(one for one in RECIPES if one.name == "step")
    left_out = (Rejected("ep_other", "it failed"),)
    dataset = Dataset(recipe.name, 0, namespace, (_row(episode),), left_out, "0f" * 32)
    write(dataset, recipe, folder / "dataset")
    suite = Suite("maple", "household", "maple 27", n=N_TASKS)
    result = compare(suite, {arm: _attempts(WON[arm]) for arm in ARMS}, 0)
    gate = gate_json([result], replace(decide([result], 0.05), promoted=False, reason="held back for a look"))
    manifest = _registered(adapters, namespace, episode, proposer, gate)
    trained = Trained(folder, None, 24, 812, 2.31, 0.42, 6.5)
    (folder / "report.json").write_text(json.dumps(report_json(manifest, gate, dataset, trained)), "utf-8")
    (folder / "progress.jsonl").write_text("", "utf-8")
    (folder / "pid").write_text("1", "utf-8")
    return manifest.id


def _attempts(won: int) -> tuple[Attempt, ...]:
    return tuple(Attempt(f"t{n}", n < won, 4 if n < won else 20, is_valid=True) for n in range(N_TASKS))


def _row(episode: str) -> Row:
    told = "put the mug in cabinet 1"
    return Row(
        episode,
        (
            Message("system", "The mug is in sink 2.", kind="memory", weight=0.0),
            Message("user", told, weight=0.0),
            Message("assistant", "go to fridge 1", weight=0.0, ok=False),
            Message("user", "nothing is there", weight=0.0),
            Message("assistant", "think: go to sink 2", weight=1.0, spans=(Span(0, 6, 0.25),)),
        ),
        (0, 1, 2, 3, 4),
    )


def _registered(
    adapters: Path, namespace: str, episode: str, proposer: str, gate: dict[str, Json]
) -> AdapterManifest:
    with TemporaryDirectory() as folder:
        (Path(folder) / "adapter_config.json").write_text(json.dumps({"of": namespace}), "utf-8")
        manifest = AdapterManifest(
            id="",
            created_at=1.0,
            base="tiny",
            identity=identify(BUNDLED_MODELS / "tiny"),
            files={},
            fingerprint=Fingerprint(((1,),), (0.0,)),
            namespace=namespace,
            recipe="step",
            method="Recipe(name='step')",
            dataset="0f" * 32,
            episodes=(episode,),
            seed=0,
            settings={},
            gate=gate,
            proposer=proposer,
        )
        return Registry(adapters).add(Path(folder), manifest, [Lineage(episode, (), (4,), (1.0,), "main")])
