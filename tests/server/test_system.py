"""Health and metrics."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from memory.types import Usage
from server.metrics import Metrics
from tests.server.served import Served


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[httpx.Client]:
    with served.client("watch") as client:
        yield client


def value(client: httpx.Client, name: str, **labels: str) -> float:
    """A sample of `/metrics`; 0 before its first."""
    wanted = ",".join(f'{label}="{text}"' for label, text in sorted(labels.items()))
    shown = re.escape(f"{name}{{{wanted}}}" if labels else name)
    found = re.search(rf"^{shown} (\S+)$", client.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_liveness_and_readiness_need_no_key(served: Served) -> None:
    """Readiness tells facts of memory, nothing of any namespace."""
    with httpx.Client(base_url=served.url, trust_env=False) as nobody:
        assert nobody.get("/health/live").json() == {"status": "ok"}
        facts = nobody.get("/health/ready").json()
    assert facts["status"] == "ready"
    assert facts["default_model"] == "looker"
    assert facts["memory"]["encoder"].startswith("hash")


def test_a_task_is_counted_with_its_steps_and_tokens(client: httpx.Client) -> None:
    """By world, memory mode and outcome."""
    labels = {"world": "household", "memory": "learn", "outcome": "failure"}
    before = value(client, "apprentice_tasks_total", **labels)
    body = {"world": "household", "site": "maple 27", "wait": "learned"}
    task = client.post("/v1/tasks", json=body).json()
    assert value(client, "apprentice_tasks_total", **labels) == before + 1
    tokens = value(client, "apprentice_tokens_total", model="looker", kind="prompt")
    assert tokens >= task["usage"]["prompt_tokens"]
    assert value(client, "apprentice_learned_items_total", kind="case") >= 1
    assert value(client, "apprentice_memory_rows", table="episodes") >= 1
    assert value(client, "apprentice_memory_index_lag") >= 0


def test_jobs_and_what_they_do_are_counted_by_kind(client: httpx.Client) -> None:
    """Runs, stages, what waits: every kind is named, also where nothing waits."""
    body = {"world": "household", "site": "maple 28", "wait": "learned"}
    task = client.post("/v1/tasks", json=body).json()
    for kind in ("task", "learn"):
        assert value(client, "apprentice_jobs_total", kind=kind, ended="done") >= 1
        assert value(client, "apprentice_job_seconds_count", kind=kind) >= 1
    for stage, least in (("recall", 1), ("model", task["steps"]), ("tool", task["steps"])):
        count = value(client, "apprentice_job_stage_seconds_count", kind="task", stage=stage)
        assert count >= least, stage
    assert value(client, "apprentice_job_stage_seconds_count", kind="learn", stage="reflect") >= 1
    text = client.get("/metrics").text
    assert 'apprentice_jobs_waiting{kind="distill"} 0.0' in text
    assert 'apprentice_jobs_oldest_seconds{kind="task"} 0.0' in text


def test_a_backlog_is_shown_with_its_age(client: httpx.Client) -> None:
    """Until it is done."""
    body = {"world": "household", "site": "maple 29", "model": "slow"}
    task = client.post("/v1/tasks", json=body).json()["id"]
    assert value(client, "apprentice_jobs_waiting", kind="task") >= 1
    assert value(client, "apprentice_jobs_oldest_seconds", kind="task") > 0
    client.post(f"/v1/tasks/{task}/cancel")
    assert value(client, "apprentice_jobs_waiting", kind="task") == 0
    assert value(client, "apprentice_jobs_oldest_seconds", kind="task") == 0


def test_items_are_counted_by_kind_and_status(client: httpx.Client) -> None:
    """Also those that are retired."""
    told = {"items": [{"kind": "principle", "text": "leave the porch light on"}]}
    item = client.post("/v1/memory", json=told).json()["data"][0]
    labels = {"namespace": "watch", "kind": "principle"}
    status = item["status"]
    before = value(client, "apprentice_memory_items", **labels, status=status)
    gone = value(client, "apprentice_memory_items", **labels, status="retired")
    client.delete(f"/v1/memory/{item['id']}")
    assert value(client, "apprentice_memory_items", **labels, status=status) == before - 1
    assert value(client, "apprentice_memory_items", **labels, status="retired") == gone + 1


def test_money_is_counted_by_model() -> None:
    """Beside tokens."""
    metrics = Metrics()
    metrics.spent("openai/x", Usage(10, 5, 0.25, 1))
    metrics.spent("openai/x", Usage(1, 1, 0.25, 1))
    assert metrics.registry.get_sample_value("apprentice_cost_usd_total", {"model": "openai/x"}) == 0.5


def test_decisions_on_principles_are_counted_as_their_job_recorded_them() -> None:
    """By what they became."""
    metrics = Metrics()
    metrics.decided([{"item": "a", "version": 2, "status": "active", "reason": "borne out"}])
    metrics.decided(None)
    labels = {"status": "active"}
    assert metrics.registry.get_sample_value("apprentice_principle_decisions_total", labels) == 1


def test_a_namespace_sees_its_own_size_alone(client: httpx.Client, served: Served) -> None:
    """Names of tenants stay in their own metrics."""
    client.post("/v1/memory", json={"items": [{"kind": "tool_note", "text": "the lamp answers slowly"}]})
    assert value(client, "apprentice_memory_living_items", namespace="watch") >= 1
    with served.client("next-door") as other:
        assert value(other, "apprentice_memory_living_items", namespace="next-door") == 0
        assert 'namespace="watch"' not in other.get("/metrics").text


def test_requests_are_counted_by_route_not_by_id(client: httpx.Client) -> None:
    """Ids would make labels without end; unknown paths share one."""
    before = value(
        client, "apprentice_requests_total", method="GET", route="/v1/tasks/{task_id}", status="404"
    )
    for name in ("nobody", "no-one"):
        client.get(f"/v1/tasks/{name}")
    client.get("/no/such/path")
    after = value(
        client, "apprentice_requests_total", method="GET", route="/v1/tasks/{task_id}", status="404"
    )
    assert after == before + 2
    assert "no-one" not in client.get("/metrics").text
    assert value(client, "apprentice_requests_total", method="GET", route="unmatched", status="404") >= 1


def test_every_answer_has_an_id_of_its_own(client: httpx.Client) -> None:
    """To find it in a log."""
    ids = {client.get("/health/live").headers["X-Request-Id"] for _ in range(3)}
    assert len(ids) == 3
