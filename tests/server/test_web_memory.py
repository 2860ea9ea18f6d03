"""The memory pages in a browser: found, explained, edited, undone, quarantined."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page, expect

from tests.server.browsing import scan, visit
from tests.server.served import Served


def remember(served: Served, namespace: str, text: str, **more: Any) -> str:
    with served.client(namespace) as client:
        item = {"kind": "tool_note", "text": text, **more}
        return str(client.post("/v1/memory", json={"items": [item]}).json()["data"][0]["id"])


def test_an_empty_memory_says_the_next_command(served: Served, page: Page) -> None:
    """A command, and a way to begin in the page itself."""
    visit(page, served, "memory", "web-empty")
    expect(page.get_by_text("apprentice memory add")).to_be_visible()
    page.get_by_role("button", name="Remember something…").click()
    page.get_by_label("Text").fill("the ladder is in the shed")
    page.get_by_role("button", name="Remember", exact=True).click()
    expect(page.get_by_role("link", name="the ladder is in the shed")).to_be_visible()
    with served.client("web-empty") as client:
        assert [item["text"] for item in client.get("/v1/memory").json()["data"]] == [
            "the ladder is in the shed"
        ]


def test_items_are_filtered_and_paged(served: Served, page: Page) -> None:
    """By words and scope, as the address says; what is behind the first page is asked for."""
    for number in range(26):
        remember(served, "web-many", f"thing number {number} is a thing of its own {number}")
    remember(served, "web-many", "the ladder of maple is red", scope="family", family="maple 27")
    visit(page, served, "memory", "web-many")
    rows = page.get_by_role("row").filter(has=page.get_by_role("link"))
    expect(rows).to_have_count(25)
    page.get_by_role("button", name="Show more").click()
    expect(rows).to_have_count(27)
    page.get_by_label("Scope").select_option("family")
    page.get_by_role("button", name="Filter").click()
    expect(rows).to_have_count(1)
    assert "scope=family" in page.url
    page.get_by_label("Words").fill("nowhere")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_text("Nothing fits this filter.")).to_be_visible()


def test_a_question_shows_every_candidate_and_its_fate(served: Served, page: Page) -> None:
    """As an agent would be answered, and from the item's own page why."""
    near = remember(served, "web-ask", "the ladder is in the shed")
    remember(served, "web-ask", "the kettle needs new water")
    visit(page, served, "memory", "web-ask")
    page.get_by_label("Task or question").fill("where is the ladder")
    page.get_by_role("button", name="Ask").click()
    table = page.get_by_role("table", name="Candidates, best first")
    expect(table.get_by_role("row").nth(1)).to_contain_text("recalled shown")
    expect(table).to_contain_text("the ladder is in the shed")
    visit(page, served, f"memory/{near}", "web-ask")
    page.get_by_label("For this task or question").fill("where is the ladder")
    page.get_by_role("button", name="Explain").click()
    expect(page.get_by_text("shown; number 1 of")).to_be_visible()
    page.get_by_label("For this task or question").fill("zebra")
    page.get_by_role("button", name="Explain").click()
    expect(page.get_by_text("not recalled").or_(page.get_by_text("not a candidate")).first).to_be_visible()


def test_an_edit_is_a_version_that_is_compared_and_undone(served: Served, page: Page) -> None:
    """Before and after are shown; undoing says again what it said, in the store too."""
    item = remember(served, "web-edit", "the ladder is in the shed")
    visit(page, served, f"memory/{item}", "web-edit")
    page.get_by_role("button", name="Edit…").click()
    page.get_by_label("Text").fill("the ladder is in the barn")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("version 2", exact=True)).to_be_visible()
    page.get_by_text("Difference").first.click()
    expect(page.locator("ins")).to_have_text("the ladder is in the barn")
    expect(page.locator("del")).to_have_text("the ladder is in the shed")
    page.get_by_role("button", name="Undo…").click()
    page.get_by_role("button", name="Undo", exact=True).click()
    expect(page.get_by_text("version 3", exact=True)).to_be_visible()
    with served.client("web-edit") as client:
        assert client.get(f"/v1/memory/{item}").json()["text"] == "the ladder is in the shed"


def test_it_is_pinned_quarantined_released_and_retired(served: Served, page: Page) -> None:
    """What takes it away asks first."""
    item = remember(served, "web-keep", "the ladder is in the shed")
    with served.client("web-keep") as client:

        def status() -> tuple[str, bool]:
            found = client.get(f"/v1/memory/{item}").json()
            return found["status"], found["pinned"]

        visit(page, served, f"memory/{item}", "web-keep")
        page.get_by_role("button", name="Pin", exact=True).click()
        expect(page.get_by_role("button", name="Unpin")).to_be_visible()
        assert status() == ("active", True)
        for act, after in (("Quarantine", "quarantined"), ("Release", "active"), ("Retire", "retired")):
            page.get_by_role("button", name=f"{act}…").click()
            before = status()
            page.get_by_role("button", name=act, exact=True).click()
            expect(page.locator(".badge", has_text=after).first).to_be_visible()
            assert (before[0], status()[0]) != (after, before[0])
        expect(page.get_by_role("button", name="Retire…")).to_have_count(0)


def test_what_rests_on_it_is_shown_before_it_falls(served: Served, page: Page) -> None:
    """Looking changes nothing; the source is taken back after a question, with all that came of it."""
    first = remember(served, "web-falls", "the ladder is in the shed", source="a leaflet")
    second = remember(served, "web-falls", "the kettle needs new water", source="a leaflet")
    visit(page, served, f"memory/{first}", "web-falls")
    page.get_by_role("button", name="What would fall with it?").click()
    table = page.get_by_role("table", name="What would fall")
    expect(table.get_by_role("row")).to_have_count(2)
    page.get_by_role("button", name="What would fall with its source?").click()
    expect(table.get_by_role("row")).to_have_count(3)
    with served.client("web-falls") as client:
        assert client.get(f"/v1/memory/{second}").json()["status"] == "active"
        page.get_by_role("button", name="Take the source back…").click()
        page.get_by_role("button", name="Take the source back", exact=True).click()
        expect(page.locator(".badge", has_text="retired").first).to_be_visible()
        assert client.get(f"/v1/memory/{second}").json()["status"] == "retired"


def test_a_key_that_may_only_read_is_told_so(served: Served, page: Page) -> None:
    """In the words of the server, where the act was tried; nothing is changed."""
    item = remember(served, "web-read", "the ladder is in the shed")
    visit(page, served, f"memory/{item}", "web-read", role="read-only")
    page.get_by_role("button", name="Pin", exact=True).click()
    expect(page.get_by_text("Not with this key: this key may only read.")).to_be_visible()
    visit(page, served, "memory/nothing", "web-read")
    expect(page.get_by_text("there is no item 'nothing'").first).to_be_visible()


def test_words_of_strangers_stay_words(served: Served, page: Page) -> None:
    """A text that is markup is shown, not obeyed."""
    evil = "<img src=x onerror=\"document.title='owned'\"> is in the shed"
    item = remember(served, "web-evil", evil)
    visit(page, served, f"memory/{item}", "web-evil")
    expect(page.locator(".quote")).to_have_text(evil)
    assert page.locator("main img").count() == 0
    assert page.title() != "owned"


def test_everybody_can_use_it(served: Served, page: Page) -> None:
    """List and item, light and dark, without a violation."""
    item = remember(served, "web-all", "the ladder is in the shed")
    for place in ("memory", f"memory/{item}"):
        visit(page, served, place, "web-all")
        assert scan(page) == []
