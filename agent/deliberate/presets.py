"""What a preset of deliberation is."""

from __future__ import annotations

from typing import Literal, Protocol

from agent.deliberate.mechanism import Deliberation
from agent.types import Ask, Request
from memory.types import Message

PresetName = Literal["off", "rewrite", "choose", "gvr", "debate", "tests"]
"""As settings name them."""


def is_open(request: Request) -> bool:
    """Whether it is answered in words of one's own."""
    return not request.choices and request.schema is None


class Preset(Protocol):
    """A way to deliberate about any question. A frozen settings object, shared by runs."""

    @property
    def name(self) -> str:
        """As in settings."""
        ...

    def takes(self, request: Request) -> bool:
        """Whether this kind of question can be deliberated this way."""
        ...

    async def on(self, request: Request, ask: Ask, given: tuple[Message, ...] = ()) -> Deliberation:
        """Deliberate; `given` are answers that exist already. Raises what the ask raises."""
        ...
