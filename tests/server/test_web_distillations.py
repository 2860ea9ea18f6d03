"""Distillations in a browser: the four arms, what trains in colour, who lets an adapter serve."""

from __future__ import annotations

import re
import time
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from server.settings import Settings
from tests.distill.tiny import make_folder
from tests.server import scripted_server
from tests.server.browsing import scan, visit
from tests.server.distilled import finished
from tests.server.served import Served, serve

TASK = {"world": "household", "site": "maple 27", "wait": "learned", "budget": {"max_steps": 2}}


@pytest.fixture(scope="module")
def done(served: Served) -> tuple[str, str]:
    """A distillation of `home` and its adapter, which the gate kept out."""
    with pytest.MonkeyPatch.context() as patch:
        return finished(served, patch)


def test_before_the_first_one_it_says_the_next_command(served: Served, page: Page) -> None:
    """For distillations, adapters and suites."""
    visit(page, served, "distillations", "web-none")
    for command in ("apprentice distill --dry-run", "apprentice suites declare"):
        expect(page.get_by_text(command).first).to_be_visible()


def test_the_report_shows_four_arms_with_intervals(served: Served, page: Page, done: tuple[str, str]) -> None:
    """From the list to the report: verdict, arms, difference, what was left out."""
    visit(page, served, "distillations")
    page.get_by_role("link", name=done[0]).click()
    table = page.get_by_role("table", name="Arms on maple")
    expect(table.get_by_role("row")).to_have_count(5)
    expect(table.get_by_role("row").nth(1)).to_contain_text("base")
    expect(table.get_by_role("row").nth(1)).to_contain_text("9 % to 53 %")
    expect(table.get_by_role("row").nth(4)).to_contain_text("+memory+adapter")
    expect(page.get_by_role("table", name="Adapter against base")).to_contain_text("+0.50 (+0.25 to +0.75)")
    expect(page.get_by_text("held back for a look").first).to_be_visible()
    expect(page.get_by_role("table", name="Why episodes were left out")).to_contain_text("it failed")


def test_rows_show_what_trains_in_colour(served: Served, page: Page, done: tuple[str, str]) -> None:
    """By piece: a span of its own weight, memory that never trains, a wrong step that is only read."""
    visit(page, served, f"distillations/{done[0]}")
    row = page.locator("article.row")
    expect(row.locator(".piece.memory")).to_have_text("The mug is in sink 2.")
    expect(row.locator(".piece.trains")).to_have_text(["think:", " go to sink 2"])
    expect(row.locator(".piece.trains.strong")).to_have_text(" go to sink 2")
    expect(row.locator("li.wrong")).to_contain_text("go to fridge 1")
    colours = {
        kind: row.locator(f".piece.{kind}").first.evaluate("node => getComputedStyle(node).color")
        for kind in ("memory", "trains", "context")
    }
    assert len(set(colours.values())) == 3


def test_who_asked_for_it_is_refused_and_told_why(served: Served, page: Page, done: tuple[str, str]) -> None:
    """With a reason too; the adapter does not serve."""
    visit(page, served, f"distillations/{done[0]}")
    for act, verb in (("Promote…", "Promote"), ("Canary…", "Try")):
        page.get_by_role("button", name=act).click()
        page.get_by_label("Reason").fill("I like it")
        page.get_by_role("button", name=verb, exact=True).click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("another operator's key")
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
    with served.client() as client:
        assert client.get(f"/v1/adapters/{done[1]}").json()["promoted"] is False


def test_a_reader_may_look_and_an_agent_may_not(served: Served, page: Page, done: tuple[str, str]) -> None:
    """Said in the place of what is not shown."""
    visit(page, served, f"distillations/{done[0]}", role="read-only")
    expect(page.get_by_role("table", name="Arms on maple")).to_be_visible()
    visit(page, served, "distillations", role="agent")
    expect(page.get_by_text("Not with this key:").first).to_be_visible()


def test_everybody_can_use_it(served: Served, page: Page, done: tuple[str, str]) -> None:
    """List and report, light and dark, without a violation."""
    for place in ("distillations", f"distillations/{done[0]}"):
        visit(page, served, place)
        assert scan(page) == []


@pytest.mark.slow
def test_a_dry_run_is_followed_to_its_report(tmp_path: Path, page: Page) -> None:
    """Asked for in the browser: kept, masked, rejected and why, as it ends; then rows."""
    make_folder(tmp_path / "models" / "small", context=4096)
    settings = Settings(
        data_dir=tmp_path / "data",
        models_dir=tmp_path / "models",
        encoder="hash",
        model="looker",
        job_poll_s=0.02,
        port=0,
    )
    models = scripted_server.models()
    with serve(scripted_server.make(settings, models), models) as served:
        with served.client() as client:
            for seed in range(2):
                episode = client.post("/v1/tasks", json={**TASK, "seed": seed}).json()["episode"]
            assert client.post(f"/v1/episodes/{episode}/feedback", json={"outcome": "success"}).is_success
        visit(page, served, "distillations")
        page.get_by_role("button", name="Dry run…").click()
        page.get_by_label("Base").fill("local:small")
        page.get_by_role("button", name="Look", exact=True).click()
        expect(page.get_by_text("Kept", exact=True)).to_be_visible(timeout=60_000)
        expect(page.get_by_role("table", name="Rejected episodes")).to_be_visible()
        assert scan(page) == []


@pytest.mark.slow
def test_another_operator_lets_an_adapter_serve_and_takes_that_back(tmp_path: Path, page: Page) -> None:
    """With a reason against the gate, which is kept with a name; then the one before it serves again."""
    make_folder(tmp_path / "models" / "small", context=4096)
    settings = Settings(
        data_dir=tmp_path / "data",
        models_dir=tmp_path / "models",
        encoder="hash",
        model="looker",
        job_poll_s=0.02,
        port=0,
    )
    models = scripted_server.models()
    with serve(scripted_server.make(settings, models), models) as served:
        with served.client() as client:
            made = [_distilled(client, seed) for seed in range(2)]
        del served.secrets["home", "operator"]  # the next key is another operator's
        for adapter in made:
            visit(page, served, "distillations")
            row = page.get_by_role("row", name=re.compile(adapter))
            row.get_by_role("button", name="Promote…").click()
            page.get_by_label("Reason").fill("I looked at its rows")
            page.get_by_role("button", name="Promote", exact=True).click()
            expect(row).to_contain_text("serving", timeout=60_000)
            expect(row).to_contain_text("I looked at its rows")
        page.get_by_role("button", name="Roll back…").click()
        page.get_by_role("button", name="Roll back", exact=True).click()
        expect(page.get_by_role("row", name=re.compile(made[0]))).to_contain_text("serving")
        with served.client() as client:
            assert client.get(f"/v1/adapters/{made[0]}").json()["promoted"] is True


def _distilled(client: httpx.Client, seed: int) -> str:
    """An adapter of one episode that went well, trained for a step and judged on one task."""
    episode = client.post("/v1/tasks", json={**TASK, "seed": seed}).json()["episode"]
    assert client.post(f"/v1/episodes/{episode}/feedback", json={"outcome": "success"}).is_success
    body = {
        "base": "local:small",
        "seed": seed,
        "suites": [{"name": "oak", "site": "oak 30", "n": 1}],
        "train": {"epochs": 1, "min_updates": 1, "rank": 4},
        "promote": False,
    }
    job = client.post("/v1/distillations", json=body).json()
    while job["ended_at"] is None:
        time.sleep(0.2)
        job = client.get(f"/v1/distillations/{job['id']}").json()
    assert job["state"] == "done", job["error"]
    return str(job["report"]["adapter"])
