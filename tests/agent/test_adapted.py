"""An adapter as it serves."""

import pytest

from agent.models.adapted import Adapted
from agent.models.scripted import FunctionModel
from agent.types import Request
from memory.errors import AdapterRefused
from memory.types import Message

ASKED = Request((Message("system", "rules : none"), Message("user", "task: put mug", kind="task")))


def _echo() -> FunctionModel:
    return FunctionModel(lambda messages: " | ".join(m.text for m in messages), name="echo", style="plain")


async def test_the_prefix_stands_before_the_task() -> None:
    """Of every prompt, also of one that is streamed; without one the request passes as it is."""
    model = Adapted(_echo(), prefix="wanted: success.")
    (reply,) = await model.complete(ASKED)
    assert reply.message.text == "rules : none | wanted: success. task: put mug"
    streamed = [delta.reply async for delta in model.stream(ASKED) if delta.reply]
    assert streamed[0].message.text == reply.message.text
    (reply,) = await Adapted(_echo()).complete(ASKED)
    assert reply.message.text == "rules : none | task: put mug"


async def test_what_may_serve_no_more_answers_nothing() -> None:
    """From the call after on, in the middle of whatever it is doing."""
    blocked: list[str] = []

    def check() -> None:
        if blocked:
            raise AdapterRefused(blocked[0])

    model = Adapted(_echo(), check=check, name="local:tiny+x")
    assert model.name == "local:tiny+x"
    await model.complete(ASKED)
    blocked.append("its source was revoked")
    with pytest.raises(AdapterRefused, match="revoked"):
        await model.complete(ASKED)
    with pytest.raises(AdapterRefused, match="revoked"):
        _ = [delta async for delta in model.stream(ASKED)]
