"""What one episode has said, done and used so far, and when that is enough. No I/O."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

from agent.dispatch import Dispatched
from agent.effects import Effects
from agent.ending import Ending
from agent.opening import Opening, Run
from agent.prompt import FETCH, PROMPT_VERSION
from agent.reminding import Reminder
from agent.types import ANSWER_TOOL, GuardContext, Model, Spent, Style, Task
from agent.verification.outcomes import Ruling
from memory.types import (
    TRUST,
    Episode,
    Json,
    Message,
    RecallRecord,
    Role,
    ToolCall,
    ToolSpec,
    Usage,
)

EXTERNAL = "external"
"""`Message.agent` of what came from strangers; lessons of an episode that saw it are no more trusted."""
_NUDGE = {
    "full": "Your last message had no action in it. Answer with one tool call.",
    "plain": "nothing happens.",
}
View = Callable[[Sequence[Message]], Sequence[Message]]
"""What of the messages so far the model is shown; pure, the messages stay as they are."""
_NOT_NOW = "left out for this try."
_MESSAGE_TOKENS = 4
"""Role markers and separators of one message, about."""


class Trail:
    """The state of one run."""

    def __init__(self, task: Task, run: Run, model: Model, effects: Effects) -> None:
        self.run = run
        self.messages: list[Message] = []
        self.tools: tuple[ToolSpec, ...] = ()
        """What the model was told it can call."""
        self.task, self._model, self._effects = task, model, effects
        self._opening = Opening((), None, None, TRUST[run.channel])
        self._reminders: list[RecallRecord] = []
        self._trust = TRUST[run.channel]
        self._usage = self._learning = Usage()
        self.looked = self.looks = 0
        """Calls that were looked back at, and models that were asked to."""
        self.told: list[str] = []
        """What the run has told itself."""
        self._nested: tuple[str, ...] = ()
        self._done: tuple[str, ...] = ()
        self.notes: dict[str, Json] = {}
        """What planners want kept with the episode, by name."""
        self.view: View | None = None
        """What of the messages the model is shown; None is all."""
        self._steps = self._n_calls = self._silent = self._tokens = 0
        self.exploring: float | None = None
        """Temperature of a part's second try, which does without what was recalled."""
        self.part: str | None = None
        """The part of the task that the model is set to; None is the whole."""
        self.has_answered_part = False

    def open(self, opening: Opening) -> None:
        """Begin with these messages."""
        self._opening, self._trust = opening, opening.trust
        for message in opening.messages:
            self.say(message)

    def say(self, message: Message) -> None:
        """One message more, whoever speaks."""
        self.messages.append(message)
        if self.run.budget.max_tokens is not None:
            said = message.text + "".join(json.dumps(call.arguments) for call in message.tool_calls)
            self._tokens += self._model.count_tokens(said) + _MESSAGE_TOKENS

    def reminded(self, reminder: Reminder) -> None:
        """Memory was asked again and had something to say."""
        self._reminders.append(reminder.recall)
        self._trust = min(self._trust, reminder.trust)
        if reminder.message is not None:
            self.say(reminder.message)

    def showed(self, trust: int) -> None:
        """Something is in view that is no more trusted than this."""
        self._trust = min(self._trust, trust)

    def looked_back(self, at: int, told: Sequence[str], said: Message | None) -> None:
        """The run looked back at its first `at` calls, and had something new to say or not."""
        self.looked = at
        self.told += told
        if said is not None:
            self.say(said)

    def learned(self, usage: Usage, calls: int) -> None:
        """Looking back was paid for."""
        self._learning += usage
        self.looks += calls

    def known_items(self) -> frozenset[str]:
        """What memory has shown so far, or would have in a mode that shows nothing."""
        records = [*filter(None, [self._opening.recall]), *self._reminders]
        items = (one for record in records for one in record.items)
        return frozenset(one.item for one in items if one.shown or not one.propensity)

    def heard(self, message: Message, usage: Usage) -> None:
        """The model spoke."""
        self._usage += usage
        self.say(message)

    def acted(self, call: ToolCall, done: Dispatched) -> None:
        """A call was answered, by the world or by a guard."""
        self._steps += 1 + len(done.nested)
        self._nested += done.nested
        self._done += done.done
        self._silent = 0
        self._trust = min(self._trust, done.trust)
        observation = done.observation
        if observation.text or observation.images:
            is_recalled = call.name == FETCH and done.ran and observation.ok is True
            answer = Message(
                "tool",
                observation.content,
                kind="memory" if is_recalled else "observe",
                tool_call_id=call.id,
                agent=EXTERNAL if done.trust == TRUST["external"] else "world",
                ok=observation.ok,
                reward=observation.reward,
                rule=observation.rule,
            )
            self.say(answer)

    def take_part(self, part: str, *, temperature: float | None) -> None:
        """Set the model to a part of the task; with a temperature, to its second try."""
        self.part, self.has_answered_part, self.exploring = part, False, temperature
        again = "" if temperature is None else " another way"
        self.say(Message("user", f"Do this part{again}, then answer: {part}", kind="plan", agent="planner"))

    def take_whole(self, said: str) -> None:
        """Back to the task itself."""
        self.part = self.exploring = None
        self.say(Message("user", said, kind="plan", agent="planner"))

    def answers_part(self, call: ToolCall) -> bool:
        """Is the call the answer of a part? It is noted then, and the world does not hear of it."""
        if self.part is None or call.name != ANSWER_TOOL:
            return False
        self._steps, self._silent, self.has_answered_part = self._steps + 1, 0, True
        self.say(Message("tool", "noted.", kind="observe", tool_call_id=call.id, agent="planner"))
        return True

    def criticised(self, ruling: Ruling) -> None:
        """Tell the model what the verifier found in its part."""
        found = "; ".join(one.reason for one in ruling.findings)
        if found:
            self.say(Message("user", f"Checked: {found}", kind="critique", agent="verifier"))

    def prompt(self) -> tuple[Message, ...]:
        """What the model is shown."""
        seen = tuple(self.messages) if self.view is None else tuple(self.view(tuple(self.messages)))
        if self.exploring is None:
            return seen
        kept = (one for one in seen if one.kind != "memory" or one.tool_call_id)
        # A call needs an answer: what was read on demand leaves its place.
        return tuple(replace(one, content=_NOT_NOW) if one.kind == "memory" else one for one in kept)

    def paid(self, usage: Usage) -> None:
        """Something besides the model's turns was paid for."""
        self._usage += usage

    def skip(self, calls: Sequence[ToolCall]) -> None:
        """Calls of a reply that are not run because the episode is over; each still needs its answer."""
        for call in calls:
            text = "not run: the episode is over."
            self.say(Message("tool", text, kind="observe", tool_call_id=call.id, agent="world"))

    def nudge(self, style: Style) -> None:
        """Tell the model that it did not act; the second time in a row costs a step."""
        self._silent += 1
        self._steps += self._silent > 1
        role: Role = "tool" if style == "plain" else "user"
        self.say(Message(role, _NUDGE[style], kind="observe", agent="world", ok=False))

    def new_call_id(self) -> str:
        """Nine letters and digits, the one form every provider takes."""
        self._n_calls += 1
        return f"call{self._n_calls:05d}"

    def spent_up(self) -> Ending | None:
        """The ending when a limit is reached. Out of steps is a failure, unless a verifier finds it done.

        Out of tokens, money or time is `unknown`: nothing says that what was done was wrong.
        """
        budget = self.run.budget
        steps = min(limit for limit in (self.task.max_steps, budget.max_steps) if limit is not None)
        if self._steps >= steps:
            return Ending("failure", 0.0, f"no steps are left of {steps}", "rule", is_presumed=True)
        if budget.max_cost_usd is not None and self._usage.cost_usd >= budget.max_cost_usd:
            return Ending("unknown", error=f"no money is left of {budget.max_cost_usd:g} dollars")
        seconds, tokens = self.seconds_left(), self._tokens_left()
        if seconds is not None and seconds <= 0:
            return Ending("unknown", error=f"no seconds are left of {budget.max_seconds:g}")
        if tokens is not None and tokens <= 0:
            return Ending("unknown", error=f"no tokens are left of {budget.max_tokens}")
        return None

    def reply_limit(self, wanted: int | None) -> int | None:
        """Longest reply the token budget allows."""
        left = self._tokens_left()
        return wanted if left is None else min(left, wanted or left)

    def seconds_left(self) -> float | None:
        """What the time budget allows."""
        limit = self.run.budget.max_seconds
        return None if limit is None else limit - self._effects.seconds

    def context(self) -> GuardContext:
        """What guards may look at."""
        spent = Spent(self._steps, self._usage, self._effects.seconds)
        said, shown = tuple(self.messages), self._opening.principles
        return GuardContext(said, spent, self._trust, self.task, shown, self._nested, self._done)

    def beginning(self) -> dict[str, Json]:
        """The event at the start."""
        recall = self._opening.recall
        shown: list[Json] = [item.item for item in recall.items if item.shown] if recall else []
        principles: list[Json] = list(recall.constitution) if recall else []
        return {
            "episode": self.run.episode_id,
            "task": self.task.text,
            "model": self._model.name,
            "recalled": shown,
            "constitution": principles,
        }

    def latest(self, call: ToolCall, thought: str, done: Dispatched) -> dict[str, Json]:
        """The event after a step."""
        return {"episode": self.run.episode_id, "step": self._steps, "thought": thought, **done.told(call)}

    def summary(self, ending: Ending) -> dict[str, Json]:
        """The event at the end."""
        return {
            "episode": self.run.episode_id,
            "outcome": ending.outcome,
            "reward": ending.reward,
            "error": ending.error,
            "steps": self._steps,
            "tokens": self._usage.prompt_tokens + self._usage.completion_tokens,
            "cost_usd": self._usage.cost_usd,
        }

    def episode(self, ending: Ending) -> Episode:
        """The whole of it."""
        run, task, opening = self.run, self.task, self._opening
        name, _, adapter = self._model.name.partition("+")
        return Episode(
            id=run.episode_id,
            namespace=run.namespace,
            task_id=task.id,
            task=task.text,
            world=task.world,
            family=task.family,
            group=run.group or task.id,
            messages=tuple(self.messages),
            outcome=ending.outcome,
            reward=ending.reward,
            recall=opening.recall,
            reminders=tuple(self._reminders),
            model=name,
            adapter=adapter or None,
            prompt_version=PROMPT_VERSION,
            constitution_version=opening.constitution_version,
            seed=run.seed,
            usage=self._usage,
            steps=self._steps,
            error=ending.error,
            started_at=self._effects.started_at,
            ended_at=self._effects.ended_at,
            principal=run.principal,
            mode=run.memory,
            outcome_by=ending.by,
            learning=self._learning,
            feedback=dict(self.notes),
            tools=self.tools,
        )

    def _tokens_left(self) -> int | None:
        """Tokens for the next reply, its prompt paid for."""
        limit = self.run.budget.max_tokens
        spent = self._usage.prompt_tokens + self._usage.completion_tokens + self._tokens
        return None if limit is None else limit - spent
