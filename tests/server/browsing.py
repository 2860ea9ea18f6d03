"""The web app in headless Chromium: pages with a key, scans for what somebody could not use."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests.server.served import Served

_ARGUMENTS = ["--no-sandbox", "--disable-quic", "--disable-background-networking"]
_RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
WAIT_MS = 15_000


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for a module; without one its tests are skipped."""
    where = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if where is None:
        pytest.skip("there is no Chromium on this machine: `apt install chromium`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=where, args=_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A tab of its own; what goes wrong in it, or is refused by its policy, fails the test."""
    context = chromium.new_context(accept_downloads=True)
    errors: list[str] = []
    opened = context.new_page()
    opened.set_default_timeout(WAIT_MS)

    def hear(said: ConsoleMessage) -> None:
        # A browser reports every answer of 400 and above: those are for the pages to tell.
        if said.type == "error" and "Failed to load resource" not in said.text:
            errors.append(said.text)

    opened.on("console", hear)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    context.close()
    assert errors == []


def visit(page: Page, served: Served, place: str, namespace: str = "home", role: str = "operator") -> None:
    """A page, in a new document, with a key of its own; returns once it has loaded."""
    key = served.key(namespace, role)
    page.goto(f"{served.url}/web/icon.svg")
    page.evaluate("key => sessionStorage.setItem('apprentice.key', key)", key)
    page.goto(f"{served.url}/#/{place}")
    page.wait_for_selector("body[data-ready]", timeout=WAIT_MS)


def scan(page: Page) -> list[tuple[str, str, list[str]]]:
    """What axe finds wrong in light and in dark: (scheme, rule, the elements)."""
    found: list[tuple[str, str, list[str]]] = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        wrong = Axe().run(page, options=_RULES).response["violations"]
        found += [(scheme, one["id"], [node["html"][:200] for node in one["nodes"]][:3]) for one in wrong]
    return found
