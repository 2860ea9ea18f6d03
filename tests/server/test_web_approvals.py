"""In a browser, a human's word on a call that a task may not make by itself."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.server import test_approvals as approvals
from tests.server.browsing import visit
from tests.server.scripted_server import make
from tests.server.served import serve


def test_a_human_allows_what_a_task_asks_for(tmp_path: Path, page: Page) -> None:
    """The question with its call; the answer goes to the task, which goes on."""
    with serve(make(approvals.settings(tmp_path), approvals.MODELS), approvals.MODELS) as served:
        with served.client("home") as client:
            task = approvals.ask(client)
            approvals.waiting(client, task)
        visit(page, served, f"tasks/{task['id']}")
        asked = page.get_by_role("region", name="Question 1")
        expect(asked).to_contain_text("press")
        asked.get_by_role("button", name="Allow it").click()
        expect(page.get_by_text("click red").first).to_be_visible()
        expect(asked).to_have_count(0)
        # Before the server goes: a page that is left asks for nothing.
        page.goto("about:blank")
