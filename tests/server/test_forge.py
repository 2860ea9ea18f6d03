"""Tasks that write their own tools, where the operator lets them."""

import sys
from pathlib import Path

import pytest

from agent.forge.confine import lacking
from agent.models.scripted import FunctionModel
from memory.errors import BadInput, Denied
from memory.types import Message, ToolCall
from server.wiring import build
from tests.server.test_checks import client_of, do, settings

TWICE = '''
def twice(x: int) -> int:
    """Double a number.

    >>> twice(2)
    4
    """
    return 2 * x
'''


def smith(messages: tuple[Message, ...]) -> Message:
    """Uses what it is shown, else writes it; presses from inside of it."""
    if not messages[0].text.startswith("You are an agent"):
        return Message("assistant", '{"lessons": []}')
    if messages[-1].role == "tool":
        return Message("assistant", "", tool_calls=(ToolCall("x", "finish", {"answer": messages[-1].text}),))
    code = "print(twice(21), call_tool('press', button='red'))"
    if not any("twice(x: int)" in message.text for message in messages):
        code = f"{TWICE}\n{code}"
    return Message("assistant", "", tool_calls=(ToolCall("x", "run_python", {"code": code}),))


@pytest.mark.skipif(bool(lacking()), reason="; ".join(lacking()))
def test_a_task_writes_a_tool_and_the_next_one_uses_it(tmp_path: Path) -> None:
    """Through the server, with its memory; off by default."""
    models = {"presser": FunctionModel(smith, name="presser")}
    with client_of(settings(tmp_path / "a", recall_k=4, forge="at_once"), models) as client:
        client.timeout = 120  # two processes a task
        asked = {"text": "double a number"}
        first, second = do(client, **asked), do(client, **asked)
        (tool,) = client.get("/v1/memory", params={"kind": "tool"}).json()["data"]
    codes = [
        str(call["arguments"].get("code"))
        for one in (first, second)
        for message in one["messages"]
        for call in message["tool_calls"]
        if call["name"] == "run_python"
    ]
    assert ["def twice" in code for code in codes] == [True, False]
    assert all("42 click red" in str(one["messages"]) for one in (first, second))
    assert (tool["status"], tool["text"]) == ("trial", "twice(x: int) -> int: Double a number.")
    with client_of(settings(tmp_path / "b"), models) as client:
        assert "there is no tool 'run_python'" in str(do(client)["messages"])


def test_a_server_does_not_start_with_a_forge_it_cannot_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named before anything is opened, and so is a setting that would do nothing."""
    with pytest.raises(BadInput, match="set forge too"):
        build(settings(tmp_path, forge_nudge=True))
    monkeypatch.setattr(sys, "platform", "plan9")
    with pytest.raises(Denied, match="isolation needs Linux"):
        build(settings(tmp_path, forge="on"))
