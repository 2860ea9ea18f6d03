"""A web page as a model reads it: its accessibility tree, without what says nothing twice. Pure.

Source: Yang et al. 2024 (AgentOccam), arXiv 2410.13825, §3.2: observations made simple. The tree is what
`Accessibility.getFullAXTree` of the Chrome DevTools Protocol gives, e.g. over a session of Playwright.
Deviation: text that only sets words apart (emphasis, labels) is part of its line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from memory.errors import BadInput
from memory.types import Json

TEXT = "StaticText"
_KEPT = ("checked", "selected", "pressed", "required", "disabled")
"""Properties that change what can be done; the others are left out."""
_CONTROLS = frozenset(
    {
        "button",
        "checkbox",
        "combobox",
        "DisclosureTriangle",
        "link",
        "listbox",
        "menuitem",
        "menuitemcheckbox",
        "menuitemradio",
        "option",
        "radio",
        "searchbox",
        "slider",
        "spinbutton",
        "switch",
        "tab",
        "textbox",
        "treeitem",
    }
)
_FIELDS = frozenset({"textbox", "searchbox", "spinbutton", "slider"})
"""Their value says what is in them."""
_WRAPPERS = frozenset(
    {
        "none",
        "generic",
        "LabelText",
        "emphasis",
        "strong",
        "mark",
        "code",
        "rowgroup",
        "MenuListPopup",
        "group",
        "caption",
        "Section",
        "LayoutTable",
        "LayoutTableRow",
        "LayoutTableCell",
    }
)
"""Say nothing of their own while they have no name."""
_DROPPED = frozenset({"InlineTextBox", "ListMarker", "LineBreak"})
_CELLS = frozenset({"cell", "gridcell", "columnheader", "rowheader", "definition"})
"""Hold their place where they are empty."""
_BULLETS = "•◦▪·‣ \t\n\xa0"
_PLAIN = _CELLS | {"paragraph", "term"}
"""Read as their text."""
_ONE_LINE = frozenset({"menu", "menubar", "combobox", "listbox", "radiogroup", "tablist", "paragraph"})
_WORDS = {"RootWebArea": "page", "DisclosureTriangle": "toggle", "contentinfo": "footer"}


@dataclass(frozen=True, slots=True)
class Node:
    """One node of an accessibility tree."""

    role: str
    name: str = ""
    id: int | None = None
    """Of its element: what an action names it by."""
    value: str = ""
    properties: tuple[tuple[str, Json], ...] = ()
    children: tuple[Node, ...] = ()

    @property
    def is_control(self) -> bool:
        """Can something be done with it?"""
        return self.role in _CONTROLS or (
            dict(self.properties).get("focusable") is True and self.role not in {"RootWebArea", TEXT}
        )


def read(tree: Json) -> Node:
    """The tree of a page, from the protocol's answer `{"nodes": […]}`; ignored nodes leave their children.

    Raises BadInput when there is no page in it.
    """
    nodes = tree.get("nodes") if isinstance(tree, dict) else None
    if not isinstance(nodes, list) or not nodes:
        raise BadInput("an accessibility tree is {'nodes': […]} as Accessibility.getFullAXTree gives it")
    by_id: dict[str, Mapping[str, Any]] = {str(one["nodeId"]): one for one in nodes if isinstance(one, dict)}
    found = _read(next(iter(by_id.values())), by_id)
    if len(found) != 1:
        raise BadInput("the first node of an accessibility tree is the page itself; this one is ignored")
    return found[0]


def _read(raw: Mapping[str, Any], by_id: Mapping[str, Mapping[str, Any]]) -> tuple[Node, ...]:
    below = (by_id[one] for one in raw.get("childIds", ()) if one in by_id)
    children = tuple(node for one in below for node in _read(one, by_id))
    if raw.get("ignored"):
        return children
    properties = tuple((one["name"], one["value"].get("value")) for one in raw.get("properties", ()))
    said = [str(raw.get(part, {}).get("value") or "") for part in ("role", "name", "value")]
    role, name, value = (" ".join(one.split()) if part else one for part, one in enumerate(said))
    if role == TEXT:
        name = said[1]
    return (Node(role, name, raw.get("backendDOMNodeId"), value, properties, children),)


def controls(node: Node) -> tuple[int, ...]:
    """Ids of all that something can be done with, in order."""
    own = (node.id,) if node.is_control and node.id is not None else ()
    return (*own, *(one for child in node.children for one in controls(child)))


def simplified(page: Node) -> Node:
    """The page without what says nothing; every control is still there."""
    (only,) = _tidy(page) or (page,)
    return only


def _tidy(node: Node) -> tuple[Node, ...]:
    if node.role in _DROPPED:
        return ()
    if node.role == TEXT:
        return (Node(TEXT, node.name),) if node.name.strip(_BULLETS) else ()
    node = replace(node, properties=tuple(one for one in node.properties if _says(*one)))
    children = tuple(
        _without_repeats(node.name, _joined(one for child in node.children for one in _tidy(child)))
    )
    if node.role in _FIELDS:
        children = tuple(one for one in children if controls(one))
    if node.is_control:
        return (replace(node, children=children),)
    if node.name:
        is_bare = node.role in _WRAPPERS and not children
        return (Node(TEXT, node.name),) if is_bare else (replace(node, id=None, children=children),)
    return _nameless(replace(node, id=None, children=children))


def _nameless(node: Node) -> tuple[Node, ...]:
    """A node without a name of its own, what takes its place, or nothing."""
    if node.role in _WRAPPERS or (node.role == "listitem" and len(node.children) == 1):
        return node.children
    if len(node.children) == 1 and node.children[0].role == TEXT:
        return (replace(node, name=node.children[0].name.strip(), children=()),)
    return (node,) if node.children or node.role in _CELLS else ()


def _says(name: str, value: Json) -> bool:
    return name == "focusable" or (name in _KEPT and value not in (False, "false", None))


def _joined(nodes: Iterable[Node]) -> list[Node]:
    """Runs of text as one."""
    made: list[Node] = []
    for is_text, run in groupby(nodes, lambda one: one.role == TEXT):
        same = list(run)
        made += [Node(TEXT, " ".join("".join(one.name for one in same).split()))] if is_text else same
    return made


def _without_repeats(name: str, nodes: Sequence[Node]) -> list[Node]:
    """Without the text that the parent or a sibling is called by."""
    said = {name.strip(), *(one.name.strip() for one in nodes if one.role != TEXT)}
    return [one for one in nodes if one.role != TEXT or one.name.strip() not in said]


def render(node: Node, depth: int = 0) -> str:
    """A simplified page as lines, two spaces a level; ids stand on controls alone."""
    pad = "  " * depth
    if node.role in {"table", "grid"}:
        rows = [one for one in node.children if one.role == "row"]
        rest = [render(one, depth + 1) for one in node.children if one.role != "row"]
        return "\n".join([pad + _head(node), *rest, *_markdown(rows, f"{pad}  ")])
    if node.role == "DescriptionList" and not node.is_control:
        return "\n".join(pad + line for line in _terms(node.children))
    if node.role in _ONE_LINE:
        return pad + _line(node)
    lines = [pad + _head(node)] if _head(node) else []
    return "\n".join([*lines, *(render(one, depth + 1) for one in node.children)])


def _head(node: Node, *, is_one_of: bool = False) -> str:
    """The node itself, without its children; one of many needs no word for what it is."""
    if node.role == TEXT:
        return " ".join(node.name.split())
    state = ", ".join(key for key, _ in node.properties if key in _KEPT)
    parts = (
        f"[{node.id}]" if node.is_control and node.id is not None else "",
        "" if is_one_of else _WORDS.get(node.role, node.role),
        f'"{node.name}"' if node.name else "",
        f"= {node.value}" if node.value else "",
        f"({state})" if state else "",
    )
    return " ".join(part for part in parts if part)


def _line(node: Node) -> str:
    """The node and all below it in one line."""
    options = node.role in {"combobox", "listbox", "menu", "menubar", "tablist"}
    below = (" | " if options else " ").join(_line(one) for one in node.children)
    if node.role in _PLAIN and not node.is_control:
        is_repeated = node.name in below
        return below if is_repeated else f"{node.name} {below}".strip()
    if node.role in {"option", "menuitem", "tab"} and node.id is not None:
        return f"{_head(node, is_one_of=True)} {below}".strip()
    return f"{_head(node)}: {below}" if below else _head(node)


def _terms(nodes: Sequence[Node]) -> list[str]:
    lines: list[str] = []
    for one in nodes:
        if one.role == "definition" and lines:
            lines[-1] += f"{' ' if lines[-1].endswith(':') else '; '}{_line(one)}"
        else:
            lines.append(f"{_line(one)}:" if one.role == "term" else _line(one))
    return lines


def _markdown(rows: Sequence[Node], pad: str) -> list[str]:
    lines: list[str] = []
    for row in rows:
        cells = [_line(cell).replace("|", "/") for cell in row.children]
        mark = f"{_head(row)} " if row.is_control else ""
        lines.append(f"{pad}{mark}| {' | '.join(cells)} |")
        is_head = all(cell.role == "columnheader" for cell in row.children)
        if is_head and len(lines) == 1 and cells:
            lines.append(f"{pad}|{' --- |' * len(cells)}")
    return lines
