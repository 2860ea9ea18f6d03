"""Policies that a model writes: from the request alone, asked again while they cannot be read."""

import json

from agent.guards.drafted import Drafted, by_rules
from agent.guards.privilege import Policy, Rule
from agent.models.scripted import ScriptedModel
from agent.types import ToolSpec
from memory.types import Json

TOOLS = (ToolSpec("send_letter", "Send one.", {"type": "object", "properties": {"to": {"type": "string"}}}),)


def said(*rules: Json) -> str:
    return json.dumps({"rules": list(rules)})


async def test_rules_are_read_and_strange_tools_left_out() -> None:
    """What is no tool of the task cannot be allowed."""
    model = ScriptedModel([said({"tool": "send_letter", "when": {"to": {"enum": ["Ann"]}}}, {"tool": "*"})])
    policy = await Drafted(model.complete)("Write to Ann.", TOOLS)
    assert policy == Policy((Rule("send_letter", "allow", {"to": {"enum": ["Ann"]}}),))


async def test_the_model_is_shown_the_request_and_the_tools_alone() -> None:
    """One message: nothing of memory or of what was read can be in it."""
    model = ScriptedModel([said()])
    await Drafted(model.complete)("Write to Ann.", TOOLS)
    (asked,) = model.history
    (message,) = asked.messages
    assert "Write to Ann." in message.text
    assert "send_letter" in message.text


async def test_what_cannot_be_read_is_asked_again_warmer_and_then_allows_nothing() -> None:
    """Five times, and no longer."""
    wrong = said({"tool": "send_letter", "when": {"to": {"type": "mug"}}})
    model = ScriptedModel(["Sure!", wrong, said({"tool": "send_letter"})])
    assert await Drafted(model.complete)("Write.", TOOLS) == Policy((Rule("send_letter", "allow"),))
    assert [round(one.temperature, 1) for one in model.history] == [0.0, 0.2, 0.4]
    silent = ScriptedModel(["no"] * 5)
    assert await Drafted(silent.complete)("Write.", TOOLS) == Policy()
    assert silent.left == 0


async def test_rules_of_language_have_the_same_signature() -> None:
    """Either may write."""
    assert [rule.tool for rule in (await by_rules("Send a letter.", TOOLS)).rules] == ["send_letter"]
