"""Tasks in a browser: set, followed, stopped; their episodes step by step."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.server.browsing import scan, visit
from tests.server.served import Served

HOUSE = {"world": "household", "site": "maple 27", "budget": {"max_steps": 3}}


def test_a_task_is_set_and_followed_to_its_episode(served: Served, page: Page) -> None:
    """From the form over the live steps to the replay of what was done."""
    visit(page, served, "tasks", "web-task")
    expect(page.get_by_text("apprentice task run")).to_be_visible()
    page.get_by_label("World").select_option("household")
    page.get_by_label("Site").fill("maple 27")
    page.get_by_text("More", exact=True).click()
    page.get_by_label("Most steps").fill("2")
    page.get_by_role("button", name="Set it").click()
    expect(page.get_by_text("step 2", exact=True)).to_be_visible()
    expect(page.get_by_text("Outcome: failure")).to_be_visible()
    assert scan(page) == []
    page.get_by_role("link", name="Its episode").click()
    expect(page.get_by_text("you are at maple 27").first).to_be_visible()
    assert scan(page) == []
    lines = page.locator(".steps > li:visible")
    everything = lines.count()
    page.get_by_label("Replay up to").fill("1")
    expect(lines).to_have_count(1)
    assert everything > 3
    page.get_by_label("Show what would train").check()
    expect(page.locator(".steps.masked")).to_have_count(1)
    expect(page.get_by_text("memory told it: never trains")).to_be_visible()
    expect(page.get_by_role("heading", name="What came of it")).to_be_visible()
    page.get_by_role("link", name="maple 27", exact=True).click()
    expect(page.get_by_role("heading", name="Episodes of maple 27")).to_be_visible()
    expect(page.get_by_role("table", name="Episodes, newest first")).to_contain_text("failure")


def test_what_cannot_be_set_is_said_in_the_form(served: Served, page: Page) -> None:
    """In the server's words, and nothing that was written is lost."""
    visit(page, served, "tasks", "web-bad")
    page.get_by_label("World").select_option("household")
    page.get_by_label("Site").fill("maple 27")
    page.get_by_text("More", exact=True).click()
    page.get_by_label("Policy, as JSON").fill("{no")
    page.get_by_role("button", name="Set it").click()
    expect(page.get_by_role("alert")).to_contain_text("the policy is not JSON")
    page.get_by_label("Policy, as JSON").fill("")
    page.get_by_label("Planner").fill("dreaming")
    page.get_by_role("button", name="Set it").click()
    expect(page.get_by_role("alert")).to_contain_text("dreaming")
    expect(page.get_by_label("Site")).to_have_value("maple 27")


def test_a_running_task_is_stopped(served: Served, page: Page) -> None:
    """Its steps come live; then none come any more, and it can go on."""
    with served.client("web-stop") as client:
        task = client.post("/v1/tasks", json={**HOUSE, "model": "slow", "budget": {"max_steps": 200}}).json()
    visit(page, served, f"tasks/{task['id']}", "web-stop")
    expect(page.get_by_text("step 2", exact=True)).to_be_visible()
    page.get_by_role("button", name="Stop it").click()
    expect(page.get_by_text("cancelled", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Go on")).to_be_visible()
    visit(page, served, "tasks", "web-stop")
    expect(page.get_by_role("table", name="Tasks, newest first")).to_contain_text("cancelled")
