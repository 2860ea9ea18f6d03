"""The constitution in a browser: what is in force and worth what, compared, taken away; a whole journey."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from agent.models.scripted import FunctionModel
from memory.types import Message
from server.settings import Settings
from tests.server import scripted_server
from tests.server.browsing import scan, visit
from tests.server.served import Served, serve

TASK = {"world": "household", "site": "maple 27", "wait": "learned", "budget": {"max_steps": 2}}


def keep(messages: tuple[Message, ...]) -> str:
    """Looks around, and makes a rule of the first place that it saw."""
    said = messages[-1].text
    if not said.startswith("reflect"):
        return "> look"
    found = re.search(r"(\d+): (you are at [\w ]+\. places: (\w+ \d+))", said)
    return f"rule: you are at places {found[3]} ({found[1]})." if found else ""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose model learns rules, and whose coins measure them."""
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("data"),
        encoder="hash",
        model="keeper",
        job_poll_s=0.02,
        port=0,
        trial_rate=0.5,
        recall_drop_rate=0.3,
    )
    models = {"keeper": FunctionModel(keep, name="keeper", style="plain")}
    with serve(scripted_server.make(settings, models), models) as served:
        yield served


def add(served: Served, namespace: str, text: str) -> str:
    with served.client(namespace) as client:
        items = [{"kind": "principle", "text": text}]
        return str(client.post("/v1/memory", json={"items": items}).json()["data"][0]["id"])


def test_an_empty_constitution_says_the_next_command(served: Served, page: Page) -> None:
    """And takes a first principle."""
    visit(page, served, "constitution", "web-none")
    expect(page.get_by_text("apprentice memory add --kind principle")).to_be_visible()
    page.get_by_role("button", name="Add a principle…").click()
    page.get_by_label("Rule").fill("close what you open")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator(".principles li")).to_have_count(1)
    expect(page.locator(".principles li")).to_contain_text("in force")


def test_a_learned_principle_is_seen_edited_and_undone(served: Served, page: Page) -> None:
    """The whole journey: a task, the rule it taught with its measured effect, a change, its undoing."""
    learned = "you are at places closet 15."
    with served.client("web-journey") as client:
        for seed in range(5):
            assert client.post("/v1/tasks", json={**TASK, "seed": seed}).json()["learned"] is True
    visit(page, served, "constitution", "web-journey")
    rule = page.locator(".principles li", has_text=learned)
    expect(rule).to_contain_text("on trial")
    expect(rule).to_contain_text("by neural")
    expect(rule.locator("svg.effect")).to_be_visible()
    assert re.search(r"[+−]\d\.\d\d \([+−]\d\.\d\d to \+\d\.\d\d\)", rule.inner_text())
    rule.get_by_role("link", name=learned).click()
    expect(page.get_by_role("heading", name="An item of memory")).to_be_visible()
    page.get_by_role("button", name="Edit…").click()
    page.get_by_label("Text").fill("look for closet 15 first")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".quote")).to_have_text("look for closet 15 first")
    visit(page, served, "constitution", "web-journey")
    expect(page.locator(".principles li", has_text="look for closet 15 first")).to_be_visible()
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("ins").first).to_have_text("look for closet 15 first")
    page.locator(".principles").get_by_role("link", name="look for closet 15 first").click()
    page.get_by_role("button", name="Undo…").click()
    page.get_by_role("button", name="Undo", exact=True).click()
    expect(page.locator(".quote")).to_have_text(learned)
    visit(page, served, "constitution", "web-journey")
    expect(page.locator(".principles li", has_text=learned)).to_be_visible()


def test_it_is_taken_away_in_every_form(served: Served, page: Page, tmp_path: Path) -> None:
    """Files with what is in force; the bundle is a tar."""
    add(served, "web-export", "close what you open")
    visit(page, served, "constitution", "web-export")
    for form, name in (
        ("Markdown", "constitution.md"),
        ("AGENTS.md", "AGENTS.md"),
        ("JSON", "constitution.json"),
    ):
        with page.expect_download() as waiting:
            page.get_by_role("button", name=form).click()
        assert waiting.value.suggested_filename == name
        waiting.value.save_as(tmp_path / name)
        assert "close what you open" in (tmp_path / name).read_text("utf-8")
    assert json.loads((tmp_path / "constitution.json").read_text("utf-8"))["tokens"] > 0
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Signed bundle").click()
    waiting.value.save_as(tmp_path / "bundle.tar")
    assert b"ustar" in (tmp_path / "bundle.tar").read_bytes()[:512]


def test_it_is_frozen_and_rolled_back_and_that_is_taken_back(served: Served, page: Page) -> None:
    """Rolling back asks first, says what it did, and offers the way back."""
    add(served, "web-roll", "close what you open")
    add(served, "web-roll", "look before you leap")
    visit(page, served, "constitution", "web-roll")
    page.get_by_role("button", name="Freeze this version…").click()
    page.get_by_role("button", name="Freeze", exact=True).click()
    expect(page.locator(".badge", has_text="frozen")).to_be_visible()
    rules = page.locator(".principles li")
    expect(rules).to_have_count(2)
    page.get_by_role("button", name="Roll back…").last.click()
    page.get_by_role("button", name="Roll back", exact=True).click()
    expect(rules).to_have_count(1)
    page.get_by_role("button", name="Take it back").click()
    expect(rules).to_have_count(2)


def test_everybody_can_use_it(served: Served, page: Page) -> None:
    """With principles, light and dark, without a violation."""
    add(served, "web-all", "close what you open")
    visit(page, served, "constitution", "web-all")
    assert scan(page) == []
