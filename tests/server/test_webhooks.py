"""Being told: signed, again until it arrives, the same id each time, and never inside the network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from standardwebhooks import WebhookVerificationError

from server.settings import Settings
from tests.server import scripted_server
from tests.server.receiver import Receiver, receiving
from tests.server.served import Served, serve

TASK = {"world": "household", "site": "maple 27", "budget": {"max_steps": 2}}
ALL = ["task.ended", "task.asks", "episode.learned"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Deliveries are tried four times, at once; six failures in a row are too many."""
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("data"),
        encoder="hash",
        model="looker",
        job_poll_s=0.02,
        outbound_allow=("127.0.0.0/8",),
        webhook_retries_s=(0.01, 0.01, 0.01),
        webhook_failures=6,
        max_webhooks=2,
    )
    models = scripted_server.models()
    with serve(scripted_server.make(settings, models), models) as served:
        yield served


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def client(served: Served, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """Of a namespace of the test's own."""
    with served.client(request.node.originalname[:60]) as client:
        yield client


def hook(client: httpx.Client, receiver: Receiver, *events: str) -> dict[str, str]:
    made = client.post("/v1/webhooks", json={"url": receiver.url, "events": [*events]})
    assert made.status_code == 201, made.text
    found: dict[str, str] = made.json()
    return found


def ended(client: httpx.Client, made: dict[str, str], n: int = 1) -> list[dict[str, object]]:
    """The delivery log once so many have ended."""
    while True:
        log: list[dict[str, object]] = client.get(f"/v1/webhooks/{made['id']}/deliveries").json()["data"]
        done = [one for one in log if one["ended_at"] is not None]
        if len(done) >= n:
            return done


def test_an_end_is_told_signed_and_once(client: httpx.Client, receiver: Receiver) -> None:
    """As the scheme's library verifies it; another secret or body does not pass."""
    made = hook(client, receiver, *ALL)
    task = client.post("/v1/tasks", json={**TASK, "wait": "learned"}).json()
    (told,) = receiver.of("task.ended")
    said = told.verified(made["secret"])
    assert said["data"]["id"] == task["id"]
    assert (said["data"]["state"], said["data"]["outcome"]) == ("done", task["outcome"])
    with pytest.raises(WebhookVerificationError):
        told.verified("whsec_" + "A" * 32)
    (learned,) = receiver.of("episode.learned")
    assert learned.said["data"]["episode"] == task["episode"]
    assert {one["state"] for one in ended(client, made, 2)} == {"done"}
    assert len(receiver.told) == 2


def test_what_fails_is_tried_again_under_the_same_id(client: httpx.Client, receiver: Receiver) -> None:
    """A redirect counts as a failure and is not followed."""
    made = hook(client, receiver, "task.ended")
    receiver.answers = [500, 302, 429]
    client.post("/v1/tasks", json={**TASK, "memory": "off"})
    told = receiver.wait(lambda told: len(told) == 4)
    assert len({one.id for one in told}) == len({one.body for one in told}) == 1
    (delivery,) = ended(client, made)
    assert (delivery["state"], delivery["id"]) == ("done", told[0].id)
    last = delivery["last"]
    assert isinstance(last, dict)
    assert (last["n"], last["status"]) == (4, 204)
    assert client.get(f"/v1/webhooks/{made['id']}").json()["failures"] == 0


def test_too_many_failures_switch_it_off_until_it_is_switched_on(
    client: httpx.Client, receiver: Receiver
) -> None:
    """The reason is told; nothing is sent meanwhile; one that failed can be sent again by hand."""
    made = hook(client, receiver, "task.ended")
    receiver.answers = [500] * 6
    client.post("/v1/tasks", json={**TASK, "memory": "off"})
    (failed,) = ended(client, made)
    assert failed["state"] == "failed"
    assert "4 attempts, the last: it answered 500" in str(failed["error"])
    client.post("/v1/tasks", json={**TASK, "memory": "off", "seed": 1})
    assert len(ended(client, made, 2)) == 2
    off = client.get(f"/v1/webhooks/{made['id']}").json()
    assert (off["failures"], "6 attempts in a row failed" in off["disabled"]) == (6, True)
    client.post("/v1/tasks", json={**TASK, "memory": "off", "seed": 2, "wait": "finished"})
    assert len(receiver.told) == 6
    assert client.post(f"/v1/webhooks/{made['id']}/enable").json()["disabled"] is None
    again = client.post(f"/v1/jobs/delivery/{made['id']}.{failed['id']}/retry")
    assert again.status_code == 200, again.text
    assert receiver.wait(lambda told: len(told) == 7)[-1].id == failed["id"]


def test_gone_is_gone(client: httpx.Client, receiver: Receiver) -> None:
    """410 switches it off at once."""
    made = hook(client, receiver, "task.ended")
    receiver.answers = [410]
    delivery = client.post(f"/v1/webhooks/{made['id']}/test").json()
    assert (delivery["type"], delivery["state"]) == ("webhook.test", "failed")
    assert "410" in client.get(f"/v1/webhooks/{made['id']}").json()["disabled"]


def test_a_test_tells_how_it_went(client: httpx.Client, receiver: Receiver) -> None:
    made = hook(client, receiver, "task.asks")
    delivery = client.post(f"/v1/webhooks/{made['id']}/test").json()
    assert delivery["last"]["status"] == 204
    (told,) = receiver.of("webhook.test")
    assert told.verified(made["secret"])["data"] == {"webhook": made["id"]}


def test_a_question_is_told_and_so_is_a_cancelled_task(client: httpx.Client, receiver: Receiver) -> None:
    """What waits for a human says for what."""
    hook(client, receiver, "task.asks", "task.ended")
    policy = {"rules": [{"tool": "act", "effect": "forbid", "fallback": "ask"}], "default": "allow"}
    task = client.post("/v1/tasks", json={**TASK, "policy": policy}).json()
    (asked,) = receiver.of("task.asks")
    data = asked.said["data"]
    assert (data["id"], data["question"], data["tool"]) == (task["id"], 1, "act")
    client.post(f"/v1/tasks/{task['id']}/cancel")
    (end,) = receiver.of("task.ended")
    assert end.said["data"]["state"] == "cancelled"


def test_the_secret_is_shown_once(client: httpx.Client, receiver: Receiver) -> None:
    """And kept in a file that only its owner reads."""
    made = hook(client, receiver, "task.ended")
    for answer in (client.get("/v1/webhooks"), client.get(f"/v1/webhooks/{made['id']}")):
        assert made["secret"] not in answer.text


def test_the_file_of_secrets_is_its_owners(served: Served) -> None:
    path: Path = served.services.settings.shelf_path
    assert path.stat().st_mode & 0o077 == 0


def test_there_is_a_bound_and_room_after_a_deletion(client: httpx.Client, receiver: Receiver) -> None:
    first = hook(client, receiver, "task.ended")
    hook(client, receiver, "task.ended")
    body = {"url": receiver.url, "events": ["task.ended"]}
    assert client.post("/v1/webhooks", json=body).status_code == 429
    assert client.delete(f"/v1/webhooks/{first['id']}").status_code == 204
    assert client.get(f"/v1/webhooks/{first['id']}").status_code == 404
    assert client.post("/v1/webhooks", json=body).status_code == 201


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/",
        "https://[::1]/",
        "ftp://127.0.0.1/",
    ],
)
def test_addresses_inside_are_refused(client: httpx.Client, url: str) -> None:
    """With the setting that would allow them, but for the one that is allowed here."""
    refused = client.post("/v1/webhooks", json={"url": url, "events": ["task.ended"]})
    assert refused.status_code == 422


def test_unknown_events_are_refused(client: httpx.Client, receiver: Receiver) -> None:
    for events in ([], ["task.began"]):
        body = {"url": receiver.url, "events": events}
        assert client.post("/v1/webhooks", json=body).status_code == 422
