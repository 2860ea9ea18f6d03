"""Learning in a browser: the curve with its control arm, what memory is worth, whether it still learns."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from server.settings import Settings
from tests.server import scripted_server
from tests.server.browsing import scan, visit
from tests.server.served import Served, serve

TASK = {"world": "household", "site": "maple 27", "wait": "learned", "budget": {"max_steps": 1}}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that holds recalls out, with a namespace that has worked: half of it without memory."""
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("data"),
        encoder="hash",
        model="looker",
        job_poll_s=0.02,
        port=0,
        recall_hold_out=0.5,
    )
    models = scripted_server.models()
    with serve(scripted_server.make(settings, models), models) as served:
        with served.client("web-curve") as client:
            for seed in range(8):
                order = {**TASK, "seed": seed, "memory": "learn" if seed % 2 else "shadow"}
                assert client.post("/v1/tasks", json=order).is_success
        yield served


def test_without_episodes_it_says_the_next_command(served: Served, page: Page) -> None:
    """And that nothing was learned yet is no error."""
    visit(page, served, "learning", "web-none")
    expect(page.get_by_text("apprentice task run --site")).to_be_visible()
    expect(page.get_by_text("No coin was tossed")).to_be_visible()
    expect(page.get_by_text("Nothing waits and nothing failed.")).to_be_visible()
    expect(page.locator("dd", has_text="never").first).to_be_visible()


def test_the_curve_has_every_arm_with_its_interval(served: Served, page: Page) -> None:
    """As the server counts them, as a drawing and as a table."""
    visit(page, served, "learning", "web-curve")
    with served.client("web-curve") as client:
        told = client.get("/v1/learning/curve").json()
    arms = {point["arm"] for point in told["data"]}
    assert {"unshown"} < arms
    assert told["episodes"] == 8
    assert page.locator("main svg").count() >= 2
    words = page.locator("main").inner_text()
    names = {"memory": "with memory", "control": "control", "unshown": "shown nothing by its mode"}
    # Which arms there are, coins say; the page speaks of a control without one too.
    assert all(names[arm] in words for arm in arms)
    expect(page.get_by_role("table", name="By the coins")).to_contain_text("nothing (control)")


def test_a_family_of_its_own_has_its_own_curve(served: Served, page: Page) -> None:
    """The address says which."""
    visit(page, served, "learning", "web-curve")
    page.get_by_label("Site or family").fill("oak 30")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("No episode yet.")).to_be_visible()
    assert "family=oak" in page.url


def test_the_canary_is_sent_and_the_mode_turned(served: Served, page: Page) -> None:
    """By operators; anybody else is told so."""
    visit(page, served, "learning", "web-dial")
    page.get_by_label("For requests that do not say").select_option("frozen")
    page.get_by_role("button", name="Turn").click()
    expect(page.locator("dd", has_text="frozen").first).to_be_visible()
    with served.client("web-dial") as client:
        assert client.get("/v1/dials").json()["mode"] == "frozen"
    page.get_by_role("button", name="Send one now").click()
    expect(page.locator(".badge", has_text="came through")).to_be_visible(timeout=15_000)
    visit(page, served, "learning", "web-dial", role="user")
    page.get_by_role("button", name="Turn").click()
    expect(page.get_by_text("Not with this key: this needs an operator's key")).to_be_visible()


def test_everybody_can_use_it(served: Served, page: Page) -> None:
    """With a curve, light and dark, without a violation."""
    visit(page, served, "learning", "web-curve")
    assert scan(page) == []
