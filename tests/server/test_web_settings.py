"""Settings in a browser: who one is, what runs, keys, webhooks, schedules; what a role may not see."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.server.browsing import scan, visit
from tests.server.served import Served

TASK = {"world": "household", "site": "maple 27", "budget": {"max_steps": 1}}


def test_an_operator_sees_who_it_is_and_how_the_parts_are(served: Served, page: Page) -> None:
    """As the server says; what is empty says how it is filled."""
    visit(page, served, "settings", "web-new")
    who = page.locator("section", has=page.get_by_role("heading", name="Who am I?"))
    expect(who).to_contain_text("web-new")
    expect(who).to_contain_text("operator: everything in its namespace")
    parts = page.locator("section", has=page.get_by_role("heading", name="How the parts are"))
    expect(parts).to_contain_text("ready")
    expect(parts).to_contain_text("hash-1024-1")
    expect(page.get_by_text("Nothing has run yet.")).to_be_visible()
    expect(page.get_by_text("No schedule.")).to_be_visible()
    expect(page.get_by_text("no bound").first).to_be_visible()


def test_what_a_role_may_not_see_is_said(served: Served, page: Page) -> None:
    """Beside what it may see; no error page."""
    visit(page, served, "settings", "web-role", role="user")
    for heading in ("Keys", "Webhooks"):
        part = page.locator("section", has=page.get_by_role("heading", name=heading, exact=True))
        expect(part).to_contain_text(
            "Not with this key: this needs an operator's key; this one has the role 'user'"
        )
    expect(page.get_by_text("user: chats, sets tasks, reads and writes memory")).to_be_visible()
    visit(page, served, "settings", "web-role", role="agent")
    part = page.locator("section", has=page.get_by_role("heading", name="Jobs", exact=True))
    expect(part).to_contain_text("Not with this key")


def test_a_job_is_stopped_and_tried_again(served: Served, page: Page) -> None:
    """Stopping asks first."""
    with served.client("web-jobs") as client:
        order = {**TASK, "model": "slow", "budget": {"max_steps": 200}}
        task = client.post("/v1/tasks", json=order).json()["id"]
        visit(page, served, "settings?kind=task", "web-jobs")
        page.get_by_role("button", name="Cancel…").click()
        page.get_by_role("button", name="Stop it").click()
        row = page.get_by_role("row", name=re.compile(task[:20]))
        expect(row).to_contain_text("cancelled")
        assert client.get(f"/v1/tasks/{task}").json()["state"] == "cancelled"
        row.get_by_role("button", name="Try again").click()
        expect(row.get_by_role("button", name="Cancel…")).to_be_visible()
        client.post(f"/v1/tasks/{task}/cancel")


def test_a_key_is_made_shown_once_and_revoked(served: Served, page: Page) -> None:
    """Its secret opens, until it is revoked; the page does not show it again."""
    visit(page, served, "settings", "web-keys")
    page.get_by_role("button", name="Make a key…").click()
    page.get_by_label("Role").select_option("read-only")
    page.get_by_label("Label").fill("for Ann")
    page.get_by_role("button", name="Make it").click()
    secret = page.get_by_role("textbox", name="Secret").input_value()
    with served.client("web-keys") as client:
        client.headers["Authorization"] = f"Bearer {secret}"
        assert client.get("/v1/me").json()["role"] == "read-only"
        page.keyboard.press("Escape")
        row = page.get_by_role("row", name=re.compile("for Ann"))
        row.get_by_role("button", name="Revoke…").click()
        page.get_by_role("button", name="Revoke", exact=True).click()
        expect(row).to_contain_text("revoked")
        assert client.get("/v1/me").status_code == 401
    assert secret not in page.content()


def test_schedules_are_paused_and_deleted_webhooks_refused(served: Served, page: Page) -> None:
    """Deleting asks first and says that it cannot be undone; a bad address is refused where it was given."""
    with served.client("web-often") as client:
        body = {"cron": "0 4 29 2 *", "task": TASK, "label": "leap days"}
        assert client.post("/v1/schedules", json=body).status_code == 201
        visit(page, served, "settings", "web-often")
        row = page.get_by_role("row", name=re.compile("leap days"))
        row.get_by_role("button", name="Pause").click()
        expect(row).to_contain_text("paused")
        row.get_by_role("button", name="Delete…").click()
        expect(page.get_by_role("dialog")).to_contain_text("cannot be undone")
        page.get_by_role("button", name="Delete", exact=True).click()
        expect(page.get_by_text("No schedule.")).to_be_visible()
        assert client.get("/v1/schedules").json()["data"] == []
    page.get_by_role("button", name="Add a webhook…").click()
    page.get_by_label("Address").fill("http://127.0.0.1/hook")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("'127.0.0.1' is not a public address")


def test_everybody_can_use_it(served: Served, page: Page) -> None:
    """With keys and jobs, light and dark, without a violation."""
    with served.client("web-all") as client:
        client.post("/v1/tasks", json={**TASK, "wait": "learned"})
    visit(page, served, "settings", "web-all")
    assert scan(page) == []
