"""The web app's shell: its files, its key, its keyboard, its themes; no page without a way on."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

import server
from tests.server.browsing import scan, visit
from tests.server.served import Served

WEB = Path(server.__file__).parent / "web"
WAIT_S = 30.0
PAGES = ("chat", "tasks", "episodes", "memory", "constitution", "learning", "distillations", "settings")


def test_its_files_need_no_key_and_may_load_nothing_of_others(served: Served) -> None:
    """One page at the root; a browser asks again and is told that nothing changed."""
    for path, kind in (("/", "text/html"), ("/web/app.js", "text/javascript"), ("/web/app.css", "text/css")):
        found = httpx.get(served.url + path, timeout=WAIT_S)
        assert found.status_code == 200
        assert found.headers["content-type"].startswith(kind)
        assert "default-src 'self'" in found.headers["content-security-policy"]
        assert found.headers["cache-control"] == "no-cache"
        again = httpx.get(served.url + path, headers={"If-None-Match": found.headers["etag"]}, timeout=WAIT_S)
        assert again.status_code == 304
    for path in ("/web/none.js", "/web/../auth.py", "/web/%2e%2e/auth.py"):
        assert httpx.get(served.url + path, timeout=WAIT_S).status_code == 404
    assert "/web/{path}" not in httpx.get(f"{served.url}/openapi.json", timeout=WAIT_S).json()["paths"]


def test_nothing_that_somebody_wrote_is_read_as_html() -> None:
    """No script makes elements of text, and no page has scripts or looks of its own."""
    said = {
        path.name: path.read_text(encoding="utf-8")
        for path in WEB.rglob("*")
        if path.suffix in (".js", ".html")
    }
    bad = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|\bstyle=|<script>"
        r"|(?:src|href|from|import)\W{0,3}https?:"
    )
    assert {name: found for name, text in said.items() if (found := bad.findall(text))} == {}
    assert sum(path.stat().st_size for path in WEB.rglob("*") if path.is_file()) < 150_000


def test_the_key_is_asked_for_once_and_kept_in_the_tab(served: Served, page: Page) -> None:
    """A wrong one is told; the page goes on by itself with the right one."""
    page.goto(f"{served.url}/#/settings")
    box = page.get_by_role("dialog", name="Which key?")
    box.get_by_label("API key").fill("sk-wrong")
    box.get_by_role("button", name="Use it").click()
    expect(page.get_by_text("This key is not known here")).to_be_visible()
    page.get_by_label("API key").fill(served.key("web-key"))
    page.keyboard.press("Enter")
    expect(page.get_by_text("web-key").first).to_be_visible()
    page.reload()
    expect(page.get_by_text("web-key").first).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_all_of_it_is_reached_by_keyboard(served: Served, page: Page) -> None:
    """The first stop leads past the menu; the menu says where one is."""
    visit(page, served, "chat", "web-keyboard")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    link = page.get_by_role("navigation", name="Pages").get_by_role("link", name="Memory")
    link.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Memory", level=1)).to_be_focused()
    expect(link).to_have_attribute("aria-current", "page")
    assert page.title() == "Memory · Apprentice"


def test_the_theme_is_chosen_and_kept(served: Served, page: Page) -> None:
    """As the system has it, until somebody says otherwise."""
    visit(page, served, "settings", "web-theme")
    theme = page.get_by_role("button", name="Theme")
    expect(theme).to_have_text("Theme: auto")
    theme.click()
    theme.click()
    page.reload()
    expect(theme).to_have_text("Theme: dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 28)"


def test_what_is_not_there_is_said(served: Served, page: Page) -> None:
    """A page, an episode, a task of nobody."""
    for place, words in (
        ("nowhere", "there is no page nowhere"),
        ("episodes/ep_none", "ep_none"),
        ("tasks/task_none", "task_none"),
    ):
        visit(page, served, place, "web-none")
        expect(page.get_by_role("alert")).to_contain_text(words)


@pytest.mark.parametrize("name", PAGES)
def test_every_page_can_be_used_by_everybody(served: Served, page: Page, name: str) -> None:
    """Empty, in both themes, by axe; and no page is wider than a telephone."""
    visit(page, served, name, "web-axe")
    assert scan(page) == []
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
