"""Chat in a browser: an answer as it comes, what memory told beside it, a word on how it went."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page, expect

from tests.server.browsing import scan, visit
from tests.server.served import Served


def say(page: Page, text: str) -> None:
    page.get_by_label("Message").fill(text)
    page.keyboard.press("Control+Enter")


def test_a_conversation_is_one_episode_until_somebody_says_how_it_went(served: Served, page: Page) -> None:
    """Its last answer asks how it was; what is said after that is another episode, which holds the first."""
    visit(page, served, "chat", "web-talk")
    page.get_by_label("Model").select_option("talker")
    say(page, "hello there")
    expect(page.get_by_text("you said: hello there")).to_be_visible()
    expect(page.get_by_text("Nothing was recalled for it.")).to_be_visible()
    say(page, "one more")
    expect(page.get_by_text("you said: one more")).to_be_visible()
    expect(page.get_by_role("link", name="Its episode")).to_have_count(2)
    expect(page.get_by_text("How was that?")).to_have_count(1)
    page.get_by_text("How was that?").click()
    page.get_by_label("Note").fill("short and right")
    page.get_by_role("button", name="It was right").click()
    expect(page.get_by_text("Thank you")).to_be_visible()
    say(page, "and again")
    expect(page.get_by_text("you said: and again")).to_be_visible()
    assert scan(page) == []
    with served.client("web-talk") as client:
        first, second = client.get("/v1/episodes").json()["data"]
    assert (first["outcome"], first["feedback"]["note"]) == ("success", "short and right")
    assert heard(first) == ["hello there", "one more", "note: short and right"]
    assert heard(second) == ["hello there", "one more", "and again"]


def heard(episode: dict[str, Any]) -> list[str]:
    return [message["content"] for message in episode["messages"] if message["role"] == "user"]


def test_what_was_told_stands_beside_the_answer(served: Served, page: Page) -> None:
    """With a way to the item, and to why."""
    with served.client("web-told") as client:
        note = {"kind": "tool_note", "text": "the ladder is in the shed"}
        client.post("/v1/memory", json={"items": [note]})
    visit(page, served, "chat", "web-told")
    page.get_by_label("Model").select_option("talker")
    say(page, "where is the ladder in the shed")
    link = page.get_by_role("link", name="the ladder is in the shed", exact=True)
    expect(link).to_be_visible()
    expect(page.get_by_text("tool_note, score")).to_be_visible()
    page.get_by_text("Its score by parts").click()
    expect(page.get_by_text("Nearness of meaning")).to_be_visible()
    assert scan(page) == []
    why = page.get_by_role("link", name="Why was “the ladder is in the shed” recalled?").get_attribute("href")
    page.get_by_role("link", name="Its episode").click()
    expect(page.get_by_role("heading", name="What was recalled")).to_be_visible()
    page.goto(f"{served.url}/{why}")
    form = page.get_by_role("form", name="Explain")
    expect(form.get_by_label("For this task or question")).to_have_value("where is the ladder in the shed")
    expect(form.get_by_role("status").last).to_contain_text("recalled")
    page.go_back()
    expect(page.get_by_role("link", name="the ladder is in the shed")).to_be_visible()


def test_memory_that_is_off_is_said_and_errors_are_told(served: Served, page: Page) -> None:
    """What fails leaves the conversation as it was."""
    visit(page, served, "chat", "web-off")
    page.get_by_label("Model").select_option("talker")
    page.get_by_label("Memory").select_option("off")
    say(page, "hello")
    expect(page.get_by_text("Memory was off.")).to_be_visible()
    page.route(
        "**/chat/completions",
        lambda route: route.fulfill(
            status=503,
            json={
                "error": {"message": "the model is away", "type": "server_error", "param": None, "code": None}
            },
        ),
    )
    say(page, "are you there")
    expect(page.get_by_role("alert")).to_have_text("the model is away")
    expect(page.get_by_label("Message")).to_have_value("are you there")
    page.unroute("**/chat/completions")
    page.get_by_role("button", name="New conversation").click()
    expect(page.get_by_text("Nothing was said yet.")).to_be_visible()


def test_an_answer_is_stopped_where_somebody_stops_it(served: Served, page: Page) -> None:
    """By keyboard: nothing more comes, and the question can be asked again."""
    visit(page, served, "chat", "web-stopped")
    page.get_by_label("Model").select_option("slow")
    say(page, "take your time")
    stop = page.get_by_role("button", name="Stop")
    expect(stop).to_be_enabled()
    stop.press("Enter")
    expect(page.get_by_text("Stopped.")).to_be_visible()
    expect(stop).to_be_disabled()
    expect(page.get_by_label("Message")).to_be_focused()
    expect(page.get_by_role("button", name="Send")).to_be_enabled()
