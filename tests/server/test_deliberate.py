"""Settings that make tasks think twice, and runs that are trusted by what their answers lead to."""

import json
from pathlib import Path
from typing import Any

import pytest

from agent.critics.consistency import Fitted, save
from agent.models.scripted import FunctionModel
from memory.errors import BadInput
from memory.types import Message, ToolCall
from server.wiring import build
from tests.server.test_checks import client_of, do, settings


def clerk(messages: tuple[Message, ...]) -> Message:
    """Gives up and, looking again, does not; makes questions and plans of what it did."""
    told = messages[-1].text
    if "Look at your answer again" in told:
        return Message("assistant", "It was pressed.")
    if "different questions" in told:
        return Message("assistant", json.dumps({"questions": ["press it?", "and again?"]}))
    if "Which of these tools" in told:
        plan = [{"tool": "press", "arguments": {"button": "red"}}]
        return Message("assistant", json.dumps({"calls": plan}))
    if not messages[0].text.startswith("You are an agent"):
        return Message("assistant", "B" if "Which one is right?" in told else '{"lessons": []}')
    if messages[-1].role == "tool":
        return Message("assistant", "", tool_calls=(ToolCall("x", "finish", {"answer": "I gave up."}),))
    return Message("assistant", "", tool_calls=(ToolCall("x", "press", {"button": "red"}),))


def answer_of(episode: dict[str, Any]) -> str:
    said = [message for message in episode["messages"] if message["role"] == "assistant"][-1]
    return str(said["content"] or said["tool_calls"][-1]["arguments"]["answer"])


def test_a_task_thinks_twice_about_its_answer_where_the_operator_wants_it(tmp_path: Path) -> None:
    """Off by default; the price is on the episode."""
    models = {"presser": FunctionModel(clerk, name="presser")}
    with client_of(settings(tmp_path / "a"), models) as client:
        once = do(client, memory="off")
    with client_of(settings(tmp_path / "b", deliberate="rewrite"), models) as client:
        twice = do(client, memory="off")
    assert [answer_of(one) for one in (once, twice)] == ["I gave up.", "It was pressed."]
    assert [one["usage"]["calls"] for one in (once, twice)] == [2, 5]


def test_a_verifier_may_look_at_what_an_answer_leads_to(tmp_path: Path) -> None:
    """By the rule, or by a classifier that was fitted for this encoder."""
    models = {"presser": FunctionModel(clerk, name="presser")}
    sceptic = Fitted((0.0,) * 5, (1.0,) * 5, (0.0,) * 5, -3.0, "hash-1024-1")
    save(sceptic, tmp_path / "c")
    fixed = {"verify": True, "verifier": "presser", "verify_by": "consistency"}
    with client_of(settings(tmp_path / "a", **fixed), models) as client:
        trusted = do(client, memory="off")
    with client_of(settings(tmp_path / "b", consistency=tmp_path / "c", **fixed), models) as client:
        doubted = do(client, memory="off")
    assert (trusted["outcome"], trusted["outcome_by"]) == ("success", "judge")
    assert trusted["feedback"]["verification"]["features"]["exact"] == 1.0
    assert doubted["outcome"] == "unknown"


def test_consistency_needs_a_model_to_ask(tmp_path: Path) -> None:
    """Named before anything is opened."""
    with pytest.raises(BadInput, match="name one as verifier"):
        build(settings(tmp_path, verify=True, verify_by="consistency"))
