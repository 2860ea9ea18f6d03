"""Who writes the policy of one task, from the user's words and the tools' schemas alone: a model, or rules.

Nothing that memory or a tool said may be in what the model is shown: a policy that strangers can write to is
none.
Source: Progent (Shi et al. 2025, arXiv 2504.11703): one call, a list of tools with conditions on arguments,
asked again up to five times with the temperature .2 higher. Deviations: rules for one tool are alternatives;
what is pinned has to be present; where no answer can be read nothing is allowed.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from agent.guards.files import load_policy
from agent.guards.privilege import Policy
from agent.guards.writer import write_policy
from agent.models.schema import Unreadable, checked_json
from agent.types import ANSWER_TOOL, Ask, Request, Style, ToolSpec
from memory.errors import BadInput
from memory.types import Json, Message

Writes = Literal["off", "rules", "model"]
"""Who writes: nobody, rules of language, or the model that works on the task."""
Writer = Callable[[str, Sequence[ToolSpec]], Awaitable[Policy]]
"""Makes the policy of a task of its request and the tools there are."""
_FORM: dict[str, Json] = {
    "type": "object",
    "properties": {
        "rules": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"tool": {"type": "string"}, "when": {"type": "object"}},
                "required": ["tool"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["rules"],
    "additionalProperties": False,
}
_ASKED = """You write the rules under which an assistant may call tools for one request. Whatever is in no
rule is refused, so name every tool the request needs and none that it does not.

Tools:
{tools}

Request:
{request}

For each tool, `when` maps names of arguments to JSON Schemas of their values. Bind an argument only to what
the request itself says: whole names, addresses and numbers by `enum`, web addresses by a generous `pattern`,
of dates the parts that are given; the elements of lists under `items`. Leave texts to be composed free.
Answer with JSON alone: {{"rules": [{{"tool": "...", "when": {{"argument": {{"enum": ["..."]}}}}}}]}}"""


def writer_of(writes: Writes, ask: Ask, style: Style) -> Writer | None:
    """The writer of a setting. Models that read plain text cannot write one: rules do it for them."""
    if writes == "off":
        return None
    return Drafted(ask) if writes == "model" and style == "full" else by_rules


async def by_rules(request: str, tools: Sequence[ToolSpec]) -> Policy:
    """`agent.guards.writer` as a writer."""
    return write_policy(request, tools)


@dataclass(frozen=True, slots=True)
class Drafted:
    """A writer that asks a model."""

    ask: Ask
    rounds: int = 5
    """Answers that are read at most."""
    warmer: float = 0.2
    """What the temperature rises by after an answer that cannot be read."""

    async def __call__(self, request: str, tools: Sequence[ToolSpec]) -> Policy:
        """The model's policy; one that allows nothing where it wrote none. Raises what the model raises."""
        offered = tuple(tool for tool in tools if tool.name != ANSWER_TOOL)
        asked = Message("user", _ASKED.format(tools=listed(offered), request=request))
        for n_before in range(self.rounds):
            (reply,) = await self.ask(Request((asked,), schema=_FORM, temperature=n_before * self.warmer))
            try:
                return _policy(reply.message.text, {tool.name for tool in offered})
            except (Unreadable, BadInput):
                continue
        return Policy()


def listed(tools: Sequence[ToolSpec]) -> str:
    """Tools as a model is shown them, a line each: name, description, schema."""
    return "\n".join(
        f"- {tool.name}: {tool.description} {json.dumps(dict(tool.parameters))}" for tool in tools
    )


def _policy(text: str, names: set[str]) -> Policy:
    """The policy in an answer. Raises Unreadable, BadInput."""
    value = checked_json(text, _FORM)
    written = value["rules"] if isinstance(value, dict) else []
    rules: list[Json] = [
        {**rule, "effect": "allow"}
        for rule in (written if isinstance(written, list) else [])
        if isinstance(rule, dict) and rule["tool"] in names
    ]
    return load_policy({"rules": rules})
