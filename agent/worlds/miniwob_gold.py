"""Which command is right on a page of MiniWoB++, one small script for each kind of task. For measuring alone.

Each looks at what the task says and at the page, as its agent may, and knows no more; they are exact because
the tasks are made from few words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a page; plain text between elements has a number below 0 and the tag `t`."""

    ref: int
    parent: int
    tag: str
    text: str
    value: str
    id: str
    classes: str


@dataclass(frozen=True, slots=True)
class Page:
    """What is asked, and what there is."""

    asked: str
    fields: Mapping[str, str]
    elements: Sequence[Element]
    step: int

    def by_text(self, text: str, tag: str = "") -> int:
        """The number of the element that says this."""
        return next(
            e.ref for e in self.elements if e.text.strip() == text and e.tag.startswith(tag) and e.ref > 0
        )

    def of(self, tag: str) -> list[int]:
        """The numbers of all elements of a kind, in order."""
        return [e.ref for e in self.elements if e.tag.startswith(tag)]

    def beside(self, text: str) -> int:
        """The box whose label says this."""
        label = next(e.parent for e in self.elements if e.tag == "t" and e.text.strip() == text)
        return next(e.ref for e in self.elements if e.parent == label and e.tag.startswith("input"))


Script = Callable[[Page], str]


def _named(page: Page) -> str:
    return f"click {page.by_text(page.fields['target'])}"


def _typed(page: Page, text: str, box: str = "input_text") -> str:
    return f"type {page.of(box)[0]} {text}" if page.step == 0 else f"click {page.of('button')[-1]}"


def _case(page: Page) -> str:
    text = page.fields["text"]
    return _typed(page, text.lower() if page.fields["case"] == "lower" else text.upper())


def _password(page: Page) -> str:
    boxes = page.of("input_password")
    if page.step < len(boxes):
        return f"type {boxes[page.step]} {page.fields['target']}"
    return f"click {page.of('button')[-1]}"


def _login(page: Page) -> str:
    steps = (
        f"type {page.of('input_text')[0]} {page.fields['username']}",
        f"type {page.of('input_password')[0]} {page.fields['password']}",
        f"click {page.of('button')[-1]}",
    )
    return steps[page.step]


def _boxes(page: Page) -> str:
    wanted = [value for name, value in page.fields.items() if name.startswith("target")]
    if page.step < len(wanted):
        return f"click {page.beside(wanted[page.step])}"
    return f"click {page.of('button')[-1]}"


def _dialog(page: Page) -> str:
    target = page.fields.get("target", "x")
    return f"click {page.of('button')[0]}" if target == "x" else f"click {page.by_text(target, 'button')}"


def _sum(page: Page) -> str:
    problem = next(e.text for e in page.elements if "=" in e.text)
    found = re.match(r"\s*(\d+)\s*(\S)\s*(\d+)", problem)
    if found is None:
        raise ValueError(f"{problem!r} is no sum")
    one, other = int(found[1]), int(found[3])
    result = {"+": one + other, "-": one - other}.get(found[2], one * other)
    return _typed(page, str(result))


def _table(page: Page) -> str:
    cells = [e.text for e in page.elements if e.tag == "td"]
    return _typed(page, cells[cells.index(page.fields["target"]) + 1])


def _widget(page: Page) -> str:
    wanted = page.fields["target"]
    tag = {"radio": "input_radio", "checkbox": "input_checkbox", "text": "input_text"}.get(wanted, wanted)
    return f"click {page.of(tag)[0]}"


SCRIPTS: Mapping[str, Script] = {
    "click-test": lambda page: f"click {page.of('button')[0]}",
    "click-test-2": _named,
    "click-button": lambda page: f"click {page.by_text(page.fields['target'], 'button')}",
    "click-button-sequence": lambda page: f"click {page.by_text(('ONE', 'TWO')[page.step])}",
    "click-link": _named,
    "click-dialog": _dialog,
    "click-dialog-2": _dialog,
    "click-tab": lambda page: f"click {page.by_text('Tab #' + page.fields['target'])}",
    "click-checkboxes": _boxes,
    "click-option": _boxes,
    "click-widget": _widget,
    "click-collapsible": lambda page: f"click {(page.of('h3') + page.of('button'))[page.step]}",
    "focus-text": lambda page: f"click {page.of('input_text')[0]}",
    "focus-text-2": lambda page: f"click {page.of('input_text')[int(page.fields['target']) - 1]}",
    "enter-text": lambda page: _typed(page, page.fields["target"]),
    "enter-text-dynamic": lambda page: _typed(page, page.fields["target"]),
    "enter-text-2": _case,
    "enter-password": _password,
    "login-user": _login,
    "read-table": _table,
    "simple-arithmetic": _sum,
}
