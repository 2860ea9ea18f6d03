"""MiniWoB++'s pages in a browser without a window, behind the line of `agent.worlds.apart`.

The page's clock is set so far off that a score says what was done, not how fast; it is the page's own score
before that decay.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

from agent.worlds.apart import serve
from agent.worlds.game import Turn
from agent.worlds.miniwob_gold import SCRIPTS, Element, Page
from memory.errors import BadInput
from memory.types import Json

LATE_MS = 10**9
_COMMAND = re.compile(r"(click|type)\s+(\d+)(?:\s(.*))?\Z", re.DOTALL)
_SAYS_NOTHING = frozenset({"body", "div", "table", "tr", "ul", "li", "label", "p", "span"})


class Browser:
    """One browser, and the kind of page that is open in it."""

    def __init__(self) -> None:
        self._kind = ""
        self._env: Any = None
        self._page: Page | None = None

    def text(self, kind: str, seed: int, browser: str, driver: str) -> Json:
        """What a task asks."""
        return self._open(kind, seed, browser, driver).asked

    def gold(self, kind: str, seed: int, browser: str, driver: str) -> Json:
        """A way to do it, found by doing it."""
        self._open(kind, seed, browser, driver)
        way: list[str] = []
        while self._page is not None and len(way) < 20:
            way.append(SCRIPTS[kind](self._page))
            self.act(way[-1])
        return list(way)

    def start(self, browser: str, driver: str, kind: str, seed: int) -> Json:
        """Start a task."""
        return self._told(self._open(kind, seed, browser, driver)).told()

    def act(self, command: str) -> Json:
        """Give one command."""
        from miniwob.action import ActionTypes

        page, found = self._page, _COMMAND.match(command.strip())
        if page is None or found is None or int(found[2]) not in {e.ref for e in page.elements}:
            return Turn("nothing happens.", 0.0, is_over=page is None, commands=_clicks(page)).told()
        verb = ActionTypes.CLICK_ELEMENT if found[1] == "click" else ActionTypes.FOCUS_ELEMENT_AND_TYPE_TEXT
        action = self._env.create_action(verb, ref=int(found[2]), text=found[3] or "")
        seen, _, is_over, _, info = self._env.step(action)
        if is_over:
            self._page, score = None, float(info["raw_reward"])
            return Turn("the page is gone.", min(1.0, max(0.0, score)), score >= 1.0, is_over=True).told()
        self._page = _page(seen, page.step + 1)
        return self._told(self._page).told()

    def _open(self, kind: str, seed: int, browser: str, driver: str) -> Page:
        if kind not in SCRIPTS:
            raise BadInput(f"miniwob has no kind of task {kind!r} here; there are {', '.join(SCRIPTS)}")
        if kind != self._kind:
            self._load(kind, browser, driver)
        seen, _ = self._env.reset(seed=seed)
        self._page = _page(seen, 0)
        return self._page

    def _load(self, kind: str, browser: str, driver: str) -> None:
        os.environ.update(MINIWOB_CHROME_BINARY=browser, MINIWOB_CHROMEDRIVER=driver, SE_OFFLINE="true")
        import gymnasium
        import miniwob
        from miniwob.action import ActionSpaceConfig, ActionTypes

        gymnasium.register_envs(miniwob)
        if self._env is not None:
            self._env.close()
        verbs = [ActionTypes.CLICK_ELEMENT, ActionTypes.FOCUS_ELEMENT_AND_TYPE_TEXT]
        config = ActionSpaceConfig(action_types=verbs)
        made = gymnasium.make(f"miniwob/{kind}-v1", action_space_config=config, disable_env_checker=True)
        self._env, self._kind = made.unwrapped, kind
        self._env.instance.record_screenshots = False
        self._env.instance.driver.execute_script(f"core.EPISODE_MAX_TIME = {LATE_MS};")

    @staticmethod
    def _told(page: Page) -> Turn:
        lines = (_line(element) for element in page.elements)
        return Turn("\n".join(line for line in lines if line), 0.0, commands=_clicks(page))


def _page(seen: Any, step: int) -> Page:
    fields = {str(name): str(value) for name, value in seen["fields"]}
    elements = [_element(one) for one in seen["dom_elements"]]
    return Page(str(seen["utterance"]), fields, elements, step)


def _element(one: Any) -> Element:
    tag, text, value, name, classes = (str(one[key]) for key in ("tag", "text", "value", "id", "classes"))
    return Element(int(one["ref"]), int(one["parent"]), tag, text, value, name, classes)


def _is_shown(element: Element) -> bool:
    return bool(element.text.strip()) or element.tag not in _SAYS_NOTHING


def _line(element: Element) -> str:
    if not _is_shown(element):
        return ""
    if element.ref < 0:
        return element.text.strip()
    value = f" = {element.value}" if element.value and element.value != element.text else ""
    return f"[{element.ref}] {element.tag} {element.text.strip()}".rstrip() + value


def _clicks(page: Page | None) -> tuple[str, ...]:
    shown: Sequence[Element] = page.elements if page is not None else ()
    return tuple(f"click {element.ref}" for element in shown if element.ref > 0 and _is_shown(element))


if __name__ == "__main__":
    browser = Browser()
    serve({"text": browser.text, "gold": browser.gold, "start": browser.start, "act": browser.act})
