"""An independent look at a finished episode: symbolic checks first, then a model with read-only tools.

Source: MUSE (arXiv 2510.08002), its reflect agent: 2, 4 or 6 checks by difficulty, 8 actions a check.
Deviation: the model cannot change anything, and cannot overrule a symbolic finding. In the place of checks
the critic `consistency` may look (`agent.critics.consistency`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from agent.critics.consistency import Consistency, planned
from agent.deliberate.asking import Counted
from agent.dispatch import Dispatcher
from agent.models.schema import Unreadable, checked_json
from agent.types import Guard, GuardContext, Model, Request, Spent, Task, ToolSpec, World
from agent.verification.checks import Evidence, evidence_of, findings
from agent.verification.outcomes import Finding, Ruling
from agent.verification.readonly import ReadOnly
from memory.types import TRUST, Episode, Json, Message, Outcome, Usage

_PLAN: Mapping[str, Json] = {
    "type": "object",
    "properties": {"checks": {"type": "array", "items": {"type": "string"}}},
    "required": ["checks"],
}
_WORD: Mapping[str, Json] = {
    "type": "object",
    "properties": {
        "holds": {"type": "string", "enum": ["yes", "no", "unknown"]},
        "reason": {"type": "string"},
    },
    "required": ["holds"],
}
_DEFAULT = ("Is what the task asks for really there?", "Does the answer agree with what was observed?")


@dataclass(frozen=True, slots=True)
class VerifySettings:
    """How closely an episode is looked at."""

    easy_steps: int = 5
    """Up to so many steps an episode is easy: 2 checks."""
    hard_steps: int = 12
    """Beyond so many it is hard: 6 checks; 4 between."""
    actions: int = 8
    """Most calls of tools for one check."""
    max_tokens: int = 512
    """Longest reply."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """Who looks at finished episodes, and how closely; without a model only the symbolic checks are made."""

    model: Model | None = None
    settings: VerifySettings = field(default_factory=VerifySettings)
    in_parts: bool = False
    """Plan the task in parts and look at each, see `agent.parts`; for models with native tool calls."""
    most_parts: int = 12
    explore_temperature: float = 1.0
    """Of a part's second try, without what was recalled. The paper's 1.5 is more than some hosts take."""
    consistency: Consistency | None = None
    """Ask the model what the answer answers, in the place of checks; best the model that made the run."""


def checks_for(episode: Episode, settings: VerifySettings) -> int:
    """How many checks an episode is worth."""
    if episode.steps <= settings.easy_steps:
        return 2
    return 4 if episode.steps <= settings.hard_steps else 6


async def verify(
    episode: Episode,
    task: Task,
    world: World,
    *,
    model: Model | None = None,
    settings: VerifySettings | None = None,
    guards: Sequence[Guard] = (),
    consistency: Consistency | None = None,
) -> Ruling:
    """A verifier's ruling: `failure` where a check fails, `success` where a model found that all hold.

    Without a model nothing proves success: `unknown`. Raises ModelError and WorldError.
    """
    settings = settings or VerifySettings()
    evidence = evidence_of(episode, task, world.tools())
    found = findings(evidence)
    if found:
        return Ruling("failure", "verifier", found)
    if model is None:
        return Ruling("unknown", "verifier")
    if consistency is not None:
        return await _consistent(consistency, evidence, world.tools(), model)
    return await _Inspection(episode, task, world, model, settings, guards).ruling()


async def _consistent(
    consistency: Consistency, evidence: Evidence, tools: Sequence[ToolSpec], model: Model
) -> Ruling:
    """A judge's `success` where the run is trusted; scattered plans prove no failure: `unknown`."""
    if evidence.answer is None:
        return Ruling("unknown", "judge", model=model.name)
    ask = Counted(model.complete)
    base = [act.call for act in evidence.acts if act.ok is not False]
    verdict = await consistency.judge(evidence.answer, base, ask, planned(ask, tools))
    outcome: Outcome = "success" if verdict.judgement.ok else "unknown"
    return Ruling(outcome, "judge", (), model.name, ask.usage, verdict.features)


class _Inspection:
    """The checks of one model on one episode."""

    def __init__(
        self,
        episode: Episode,
        task: Task,
        world: World,
        model: Model,
        settings: VerifySettings,
        guards: Sequence[Guard],
    ) -> None:
        self._episode, self._task, self._model, self._settings = episode, task, model, settings
        self._world = ReadOnly(world, task)
        self._dispatcher = Dispatcher(self._world, guards)
        self._usage = Usage()

    async def ruling(self) -> Ruling:
        """Plan, check one by one, stop at the first that does not hold."""
        words = []
        for check in await self._plan():
            holds, reason = await self._check(check)
            words.append(holds)
            if holds == "no":
                lie = Finding("deliverable", f"{check} {reason}".strip())
                return Ruling("failure", "verifier", (lie,), self._model.name, self._usage)
        outcome: Outcome = "success" if words and set(words) == {"yes"} else "unknown"
        return Ruling(outcome, "verifier", (), self._model.name, self._usage)

    async def _plan(self) -> tuple[str, ...]:
        most = checks_for(self._episode, self._settings)
        wanted = f'Name at most {most} checks that would find a mistake, as JSON {{"checks": ["…"]}}.'
        text = (await self._ask([Message("user", f"{self._story()}\n\n{wanted}")], _PLAN)).text
        try:
            value = checked_json(text, _PLAN)
        except Unreadable:
            return _DEFAULT
        planned = value["checks"] if isinstance(value, dict) else None
        named = [str(one) for one in planned if str(one).strip()] if isinstance(planned, list) else []
        return tuple(named[:most]) or _DEFAULT

    async def _check(self, check: str) -> tuple[str, str]:
        wanted = 'Look with the tools; then answer with JSON {"holds": "yes|no|unknown", "reason": "…"}.'
        messages = [Message("user", f"{self._story()}\n\nCheck: {check}\n{wanted}")]
        actions = 0
        while True:
            message = await self._ask(messages, None)
            messages.append(message)
            if not message.tool_calls:
                return _read(message.text)
            for call in message.tool_calls:
                actions += 1
                if actions > self._settings.actions:
                    return "unknown", "too many actions"
                context = GuardContext(tuple(messages), Spent(actions), TRUST["external"], self._task)
                done = await self._dispatcher.dispatch(call, context)
                text = done.observation.text
                messages.append(Message("tool", text, kind="observe", tool_call_id=call.id, agent="world"))

    async def _ask(self, messages: Sequence[Message], schema: Mapping[str, Json] | None) -> Message:
        tools = () if schema else self._world.tools()
        request = Request(tuple(messages), tools, schema=schema, max_tokens=self._settings.max_tokens)
        (reply,) = await self._model.complete(request)
        self._usage += reply.usage
        return replace(reply.message, role="assistant")

    def _story(self) -> str:
        told = [f"{one.kind}: {one.text}{_calls(one)}" for one in self._episode.messages]
        return "\n".join([f"You check the work of another. Task: {self._task.text}", *told])


def _calls(message: Message) -> str:
    return "".join(f" [{one.name} {json.dumps(dict(one.arguments))}]" for one in message.tool_calls)


def _read(text: str) -> tuple[str, str]:
    try:
        value = checked_json(text, _WORD)
    except Unreadable:
        return "unknown", "unreadable"
    return (str(value["holds"]), str(value.get("reason", ""))) if isinstance(value, dict) else ("unknown", "")
