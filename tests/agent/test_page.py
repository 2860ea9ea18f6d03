"""Views of pages: everything that can be acted on survives, what says nothing does not."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.loop import Agent
from agent.models.scripted import ScriptedModel
from agent.opening import Run
from agent.types import Observation, Task, ToolSpec, World
from agent.views.history import PageSettings, named, pivotal, recent_pages
from agent.views.page import TEXT, Node, controls, read, render, simplified
from memory.errors import BadInput
from memory.types import Message, ToolCall

PAGES = Path(__file__).parent / "pages"
IDS = re.compile(r"\[(\d+)\]")


def library() -> Node:
    """The tree that Chromium 156 made of library.html, without types and addresses."""
    return read(json.loads((PAGES / "library.json").read_text(encoding="utf-8")))


def raw(node: Node, depth: int = 0) -> str:
    """The tree as it is, a node a line, an id on each."""
    said = " ".join(f"{key}: {value}" for key, value in node.properties)
    line = f"{'  ' * depth}[{node.id}] {node.role} {node.name!r} {node.value} {said}".rstrip()
    return "\n".join([line, *(raw(child, depth + 1) for child in node.children)])


def n_tokens(text: str) -> int:
    return len(re.findall(r"\w+|[^\w\s]", text))


def test_a_page_is_read_as_its_golden_file_says() -> None:
    """Menus and options in a line, terms with their details, tables in Markdown, nothing twice."""
    assert f"{render(simplified(library()))}\n" == (PAGES / "library.txt").read_text(encoding="utf-8")


def test_a_page_is_much_shorter_and_loses_no_control() -> None:
    """Words and signs of the text: 1,710 before, 363 after."""
    before, after = raw(library()), render(simplified(library()))
    assert sorted(controls(library())) == sorted(int(one) for one in IDS.findall(after))
    assert n_tokens(before) / n_tokens(after) > 4.5


NAMES = st.sampled_from(["", "Go", "Go now", "Price", "a|b"])
ROLES = st.sampled_from(
    [
        "link",
        "button",
        "option",
        "menuitem",
        "generic",
        "paragraph",
        "listitem",
        "list",
        "table",
        "row",
        "cell",
        "columnheader",
        "DescriptionList",
        "term",
        "definition",
        "menu",
        "combobox",
        "textbox",
        "group",
        "heading",
        "LabelText",
        "gridcell",
        "image",
        "region",
    ]
)


def numbered(node: Node, spare: list[int]) -> Node:
    own = spare.pop()
    return replace(node, id=own, children=tuple(numbered(child, spare) for child in node.children))


@st.composite
def trees(draw: st.DrawFn) -> Node:
    texts = st.builds(lambda name: Node(TEXT, name), NAMES)
    focus = st.sampled_from([(), (("focusable", True),), (("checked", "true"),)])
    inner = st.recursive(
        texts,
        lambda below: st.builds(
            lambda role, name, props, children: Node(role, name, None, "", props, tuple(children)),
            *(ROLES, NAMES, focus, st.lists(below, max_size=4)),
        ),
        max_leaves=10,
    )
    page = Node("RootWebArea", "Page", children=tuple(draw(st.lists(inner, max_size=4))))
    return numbered(page, list(range(999, 0, -1)))


@settings(max_examples=60, deadline=None)
@given(trees())
def test_every_control_of_any_page_survives_once(page: Node) -> None:
    """Whatever its tree looks like; and what cannot be acted on has no id."""
    found = [int(one) for one in IDS.findall(render(simplified(page)))]
    assert sorted(found) == sorted(controls(page))


def test_what_is_no_page_is_told() -> None:
    """A wrong file is not shown as an empty page."""
    with pytest.raises(BadInput, match="getFullAXTree"):
        read([])
    with pytest.raises(BadInput, match="ignored"):
        read({"nodes": [{"nodeId": "1", "ignored": True}]})


def test_an_older_page_keeps_what_was_named_and_where_it_stood() -> None:
    """With its neighbours while they are few; alone where they are many; its title at least."""
    page = render(simplified(library()))
    assert pivotal(page, frozenset({111})).splitlines()[:3] == [
        'page "Fern Lane Library"',
        "  main",
        '    region "About"',
    ]
    alone = pivotal(page, frozenset({111}), PageSettings(most_lines=5)).splitlines()
    assert alone[3].strip().startswith("Books may be kept")
    assert alone[4].startswith("(seen earlier")
    assert pivotal(page, frozenset()).splitlines()[0] == 'page "Fern Lane Library"'
    assert len(pivotal(page, frozenset()).splitlines()) == 2


@settings(max_examples=60, deadline=None)
@given(trees(), st.data())
def test_nothing_that_is_named_later_is_pruned(page: Node, data: st.DataObject) -> None:
    """In words or in a call, at any later turn, and with any limit."""
    ids = controls(page)
    chosen = data.draw(st.sets(st.sampled_from(ids)) if ids else st.just(set()))
    text = render(simplified(page))
    call = ToolCall("c", "click", {"id": str(next(iter(chosen), 0))})
    said = Message("assistant", " ".join(f"[{one}]" for one in chosen), tool_calls=(call,))
    limits = PageSettings(whole=1, most_lines=data.draw(st.integers(1, 40)))
    shown = recent_pages([answer(text), said, answer('page "Other"'), said], limits)
    assert chosen <= {int(one) for one in IDS.findall(shown[0].text)}
    assert shown[2].text == 'page "Other"'


def answer(text: str) -> Message:
    return Message("tool", text, kind="observe", tool_call_id="c")


def test_the_same_page_is_said_to_be_the_same() -> None:
    """It stands whole where it was seen last; other answers are left alone."""
    page = render(simplified(library()))
    shown = recent_pages([answer(page), answer("ok"), answer(page)], PageSettings(whole=1))
    assert [one.text.splitlines()[-1] for one in shown[:2]] == ["(the same page as one further on)", "ok"]
    assert shown[2].text == page


def test_numbers_in_calls_and_brackets_in_words_name_elements() -> None:
    """Other numbers of its words do not."""
    call = ToolCall("c", "click", {"id": 12, "on": "item 7", "at": 1.5})
    assert named([Message("assistant", "[3] of 40", tool_calls=(call,))]) == {3, 7, 12}


@dataclass
class Browser:
    """Serves the page anew, with another number on it, at every click."""

    clicks: int = 0

    def tools(self) -> tuple[ToolSpec, ...]:
        return (ToolSpec("click", "", {"type": "object"}),)

    async def reset(self, task: Task) -> Observation:
        return Observation("a browser")

    async def step(self, call: ToolCall) -> Observation:
        self.clicks += 1
        page = replace(library(), name=f"Visit {self.clicks}")
        done = self.clicks == 5
        return Observation(render(simplified(page)), True, done, "success" if done else None)


class SightedBrowser(Browser):
    """Says how its pages are best shown."""

    def view(self, messages: Sequence[Message]) -> Sequence[Message]:
        return recent_pages(messages)


async def test_a_world_with_a_view_is_shown_by_it_and_others_are_not() -> None:
    """The episode keeps the pages as they were."""
    lengths = {}
    for world in (Browser(), SightedBrowser()):
        script = [Message("assistant", "on", tool_calls=(ToolCall("", "click", {"id": 81}),))] * 5
        model = ScriptedModel(script)
        episode = await run(model, world)
        pages = [one.text for one in model.history[-1].messages if one.role == "tool"]
        assert all("[81]" in page for page in pages)
        lengths[type(world)] = [len(page.splitlines()) for page in pages]
        assert len({len(one.text) for one in episode.messages if one.role == "tool"}) == 1
    assert lengths[Browser] == [lengths[Browser][0]] * 4
    assert lengths[SightedBrowser][0] < lengths[SightedBrowser][1] == lengths[Browser][0]


async def run(model: ScriptedModel, world: World):  # type: ignore[no-untyped-def]
    task = Task("t", "click", "browser", "lab")
    return await Agent(model, None).run(task, world, Run("ns", "ann", "e1"))
