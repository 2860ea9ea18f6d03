"""One of everything that a namespace can own, made over HTTP where that does not take minutes."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from agent.models.local.identity import Fingerprint, identify
from distill.manifest import AdapterManifest
from distill.registry import Registry
from server.settings import BUNDLED_MODELS
from tests.server.every_route import BODIES, HOUSE
from tests.server.served import Served

WORDS = "the owner's private words"
RULE = "the owner's private rule"


def belongings(served: Served, namespace: str) -> dict[str, str]:
    """Ids by the names that paths give them; each of a thing that is there."""
    with served.client(namespace) as client:
        task = _made(client, "/v1/tasks", {"world": "household", **HOUSE, "wait": "learned"})
        item = _made(client, "/v1/memory", {"items": [{"kind": "tool_note", "text": WORDS}]})["data"][0]
        _made(client, "/v1/memory", {"items": [{"kind": "principle", "text": RULE}]})
        version = _made(client, "/v1/constitution/freeze", {})
        build = _made(
            client, "/v1/constitution/builds", {"sites": ["maple 27"], "tasks": 1, "model": "looker"}
        )
        flow = _made(client, "/v1/flows/improvements", {**HOUSE, "goal": "keep house", "model": "talker"})
        proposal = _made(
            client, "/v1/proposals", {"source": "frontier", "world": "household", **HOUSE, "model": "looker"}
        )
        suites = {"suites": [{"name": "a", **HOUSE, "n": 1}]}
        distillation = _made(client, "/v1/distillations", {**suites, "base": "local:tiny"})
        said = {"model": "talker", "messages": [{"role": "user", "content": WORDS}]}
        _made(client, "/v1/rollout/run-1/chat/completions", said)
        answered = _made(client, "/v1/rollout/run-1/responses", {"model": "talker", "input": WORDS})
        adapter = _adapter(served, namespace)
        for running in (f"distillations/{distillation['id']}", f"constitution/builds/{build['id']}"):
            client.post(f"/v1/{running}/cancel")
        return {
            "task_id": task["id"],
            "job_id": task["id"],
            "batch_id": _made(client, "/v1/batches", BODIES["POST /v1/batches"])["id"],
            "schedule_id": _made(client, "/v1/schedules", BODIES["POST /v1/schedules"])["id"],
            "webhook_id": _made(client, "/v1/webhooks", BODIES["POST /v1/webhooks"])["id"],
            "episode_id": task["episode"],
            "item_id": item["id"],
            "version_id": version["id"],
            "build_id": build["id"],
            "improvement_id": flow["id"],
            "proposal_id": proposal["id"],
            "distillation_id": distillation["id"],
            "consolidation_id": _made(client, "/v1/memory/consolidations", {})["id"],
            "key_id": _made(client, "/v1/keys", {"label": WORDS})["id"],
            "response_id": answered["id"],
            "adapter_id": adapter,
            "model": f"local:tiny+{adapter}",
        }


def _made(client: httpx.Client, path: str, body: dict[str, object]) -> dict[str, str]:
    response = client.post(path, json=body)
    assert response.is_success, f"{path}: {response.text}"
    found: dict[str, str] = response.json()
    return found


def _adapter(served: Served, namespace: str) -> str:
    registry = Registry(served.services.settings.adapters_dir)
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
            dataset="0" * 64,
            episodes=("e1",),
            seed=0,
            settings={},
        )
        return registry.add(Path(folder), manifest).id
