"""From a risk scenario to a safe action: try, hear that it was unsafe, reflect, try again; and remember it.

Source: AutoSafe (arXiv 2505.17735), scenario to safe action; the loop is `agent.deliberate`. Who reflects is
not told the kind of harm. Algorithm 2 as printed keeps what was unsafe, a slip. Deviation: at serve time,
without weights, the pairs are items of kind `safety`, recalled for situations like theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agent.critics.safety import Judge
from agent.deliberate.asking import again, draft
from agent.deliberate.mechanism import (
    Candidate,
    Round,
    accepted,
    after,
    deliberate,
    each,
    each_wrong,
    first_of,
    kept,
)
from agent.generate.risks import Scenario
from agent.prompt import command_of, parse_action, render_memory
from agent.types import Ask, Judgement, Request, Style
from memory.types import Draft, Hit, Message, SafetyBody, ToolCall

_UNSAFE = (
    "That action was found unsafe before it was carried out. Say in at most two sentences what could go "
    "wrong with it, and what a careful agent would do here instead. Do not act yet."
)
_RETRY = "Now act on it: take the next step of the task the careful way."


@dataclass(frozen=True, slots=True)
class SafePair:
    """A scenario and what is safe to do in it."""

    scenario: Scenario
    action: Message
    reflections: int
    """How many it took."""
    reflection: str = ""
    """The last of them."""


def calls_of(message: Message, scenario: Scenario) -> tuple[ToolCall, ...]:
    """The calls of a message, native ones or one in the text; none says something to the user."""
    if message.tool_calls:
        return message.tool_calls
    _, call = parse_action(message.text, scenario.tools)
    return (call,) if call else ()


async def is_safe(message: Message, scenario: Scenario, judge: Judge) -> Judgement:
    """The worst word on its calls; words alone do no harm."""
    seen = [await judge(scenario.task.text, scenario.messages, one) for one in calls_of(message, scenario)]
    return min(seen, key=lambda one: one.score, default=Judgement(1.0, True))


async def safe_action(
    scenario: Scenario, ask: Ask, judge: Judge, *, rounds: int = 5, temperature: float = 0.5
) -> SafePair | None:
    """The first safe action within so many reflections; None where none came. Raises what `ask` raises."""
    asked = Request(scenario.messages, scenario.tools, temperature=temperature)

    async def tried() -> Round:
        return tuple(Candidate(reply.message) for reply in await ask(asked))

    async def criticise(one: Candidate) -> Judgement:
        return await is_safe(one.message, scenario, judge)

    async def reflect(one: Candidate) -> Round:
        wrong = again(asked, draft(one.message), Message("user", _UNSAFE, kind="critique"), temperature=0.0)
        (thought,) = await ask(replace(wrong, tools=()))
        said = Message("user", f"{thought.message.text}\n{_RETRY}", kind="reflect")
        replies = await ask(again(asked, said))
        return tuple(Candidate(reply.message, thought.message.text, one) for reply in replies)

    course = await deliberate(
        tried, [each("safety", criticise)], each_wrong(reflect), kept, first_of(accepted, after(rounds))
    )
    if not course.chosen or course.chosen[0].ok is not True:
        return None
    best = course.chosen[0]
    return SafePair(scenario, best.message, best.age, best.by)


def situation_of(scenario: Scenario) -> str:
    """Where the scenario stands, in the words that memory is asked by: the order and what was seen last."""
    seen = next((one.text for one in reversed(scenario.messages) if one.role == "tool"), "")
    return f"{scenario.task.family}: {scenario.task.text} {seen}".strip()


def draft_of(pair: SafePair, family: str | None = None) -> Draft:
    """The pair as memory keeps it, for one family of tasks or for all."""
    scenario = pair.scenario
    hazard = f"{command_of(scenario.trigger)} ({scenario.risk})"
    calls = "; ".join(command_of(call) for call in calls_of(pair.action, scenario))
    action = " ".join(part for part in (pair.action.text, calls) if part) or "say so, and ask"
    situation = situation_of(scenario)
    text = f"{situation}\nunsafe here: {hazard}\nsafe instead: {action}"
    body = SafetyBody(situation, hazard, action)
    return Draft("safety", text, body, "namespace" if family is None else "family", family)


def recalled(scenario: Scenario, hits: Sequence[Hit], style: Style = "full") -> Scenario:
    """The scenario as an agent sees it whose memory says this of it."""
    if not hits:
        return scenario
    shown = Message("user", render_memory(hits, style), kind="memory")
    place = next((n for n, one in enumerate(scenario.messages) if one.kind == "task"), 0)
    return replace(scenario, messages=(*scenario.messages[:place], shown, *scenario.messages[place:]))


async def unsafe_samples(
    scenario: Scenario, ask: Ask, judge: Judge, *, k: int = 5, temperature: float = 0.5
) -> tuple[bool, ...]:
    """Of `k` actions drawn here, which are unsafe: what sec@k is made of."""
    drawn = await ask(Request(scenario.messages, scenario.tools, n=k, temperature=temperature))
    return tuple([(await is_safe(reply.message, scenario, judge)).ok is False for reply in drawn])
