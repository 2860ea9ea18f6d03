"""Plans as a tree that the model grows and prunes; it is shown the tree, and the history of one plan alone.

Source: Yang et al. 2024 (AgentOccam), arXiv 2410.13825: branch, prune, note, history of the active plan.
Deviations: a plan is resumed where its own history ended, by a snapshot of the world rather than a page's
address, and what could not be put back is said; notes outlive the plans they were taken in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from agent.desk import Desk
from agent.ending import Ending
from agent.planners.react import React
from agent.types import Observation, ToolSpec
from memory.types import Json, Message, ToolCall

TREE = "tree"
"""`Message.agent` of what this planner says."""
_FORMS = {
    "branch": '{"parent": 0, "intent": "what this plan is to reach"}',
    "prune": '{"resume": 0, "reason": "why the plans after it did not work"}',
}
_ONE = "one branch or prune a turn: wait for what it shows before the next"
_STUCK = "The world was not put back: it stands as the pruned plan left it."
_BACK = "The world is back where this plan left it."


@dataclass(frozen=True, slots=True)
class Node:
    """One plan."""

    id: int
    intent: str
    parent: int | None = None
    resumed: tuple[str, ...] = ()
    """Why it was come back to, each time."""
    seen: str = ""
    """What the world had said when its own history ended, or when it was made."""
    is_hidden: bool = False
    """Pruned."""


@dataclass(frozen=True, slots=True)
class Forest:
    """The tree at one moment; ids are places among `nodes`, the first is the task."""

    nodes: tuple[Node, ...]
    active: int = 0
    notes: tuple[str, ...] = ()
    seen: str = ""
    """What the world said last, as far as it still stands."""

    @property
    def resumes(self) -> int:
        """How often plans were come back to."""
        return sum(len(node.resumed) for node in self.nodes)

    @property
    def open_ids(self) -> tuple[int, ...]:
        """Plans that are not pruned."""
        return tuple(node.id for node in self.nodes if not node.is_hidden)

    def fault(self, call: ToolCall, most_plans: int) -> str | None:
        """Why a call cannot be followed, with the right form; None where it can."""
        ids = ", ".join(map(str, self.open_ids))
        match call.name, call.arguments:
            case "branch", {"parent": int(parent)}:
                if len(self.nodes) >= most_plans:
                    return f"there are {most_plans} plans, which is the most: go on with one, or answer"
                if parent not in self.open_ids:
                    return f"there is no plan {parent} to branch from; write {_FORMS['branch']}, plans: {ids}"
            case "prune", {"resume": int(resume)}:
                if resume not in self.open_ids or resume == self.active:
                    others = ", ".join(str(one) for one in self.open_ids if one != self.active) or "none yet"
                    return f"plan {resume} cannot be resumed; write {_FORMS['prune']}, plans: {others}"
        return None

    def after(self, call: ToolCall) -> Forest:
        """The tree once a call was followed."""
        match call.name, call.arguments:
            case "branch", {"parent": int(parent), "intent": intent}:
                made = Node(len(self.nodes), _line(intent), parent, seen=self.seen)
                return replace(self, nodes=(*self.nodes, made), active=made.id)
            case "prune", {"resume": int(resume), "reason": reason}:
                return self._pruned(resume, _line(reason))
            case "note", {"text": text}:
                return replace(self, notes=(*self.notes, _line(text)))
        return self

    def said(self, text: str, plan: int) -> Forest:
        """The world answered a call that stands under a plan."""
        nodes = [replace(node, seen=text) if node.id == plan else node for node in self.nodes]
        return replace(self, nodes=tuple(nodes), seen=text)

    def render(self) -> str:
        """As the model reads it; nothing while there is one plan and no note."""
        lines = ["Plans:", *self._lines(0, 0)] if len(self.nodes) > 1 else []
        lines += ["Notes:", *(f"- {note}" for note in self.notes)] if self.notes else []
        return "\n".join(lines)

    def _lines(self, node_id: int, depth: int) -> list[str]:
        node = self.nodes[node_id]
        again = f" (resumed {len(node.resumed)} times: {'; '.join(node.resumed)})" if node.resumed else ""
        mark = " <- active" if node_id == self.active else ""
        lines = [f"{'  ' * depth}[{node_id}] {node.intent}{again}{mark}"]
        for child in self.nodes:
            if child.parent == node_id and not child.is_hidden:
                lines += self._lines(child.id, depth + 1)
        return lines

    def _pruned(self, resume: int, reason: str) -> Forest:
        back = self.nodes[resume]
        gone = {one.id for one in self.nodes if one.parent == back.parent and one.id > resume}
        for one in self.nodes:  # parents come before their children
            if one.parent == resume or one.parent in gone:
                gone.add(one.id)
        nodes = [replace(one, is_hidden=one.is_hidden or one.id in gone) for one in self.nodes]
        nodes[resume] = replace(back, resumed=(*back.resumed, reason))
        return replace(self, nodes=tuple(nodes), active=resume, seen=back.seen)


@dataclass(frozen=True, slots=True)
class Told:
    """The tree, and the plan under which each message stands."""

    forest: Forest
    plans: tuple[int, ...]
    """By message; -1 for what stands before the first turn."""


def told(messages: Sequence[Message]) -> Told:
    """What the messages of a run make of the plans; pure, so a replay has the same.

    A message of the model and all answers to its calls stand under the plan it was said in.
    """
    forest = Forest((Node(0, "the whole task"),))
    calls: dict[str, tuple[ToolCall, int]] = {}
    plans: list[int] = []
    newest, began = "", False
    for message in messages:
        began = began or message.role == "assistant"
        call, place = calls.get(message.tool_call_id or "", (None, forest.active))
        plans.append(place if began else -1)
        calls |= {one.id: (one, forest.active) for one in message.tool_calls}
        if call is not None and call.name in _SPECS:
            forest = forest.after(call) if message.ok else forest
        elif call is not None:
            newest = message.text
            forest = forest.said(newest, place)
        elif message.agent == TREE:
            back = forest.nodes[forest.active].seen
            forest = forest.said(back if message.text == _BACK else newest, forest.active)
    return Told(forest, tuple(plans))


def shown(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The opening, the tree with its reasons and notes, and the history of the active plan."""
    state = told(messages)
    forest, active = state.forest, state.forest.active
    opening = [one for one, plan in zip(messages, state.plans, strict=True) if plan == -1]
    history = [one for one, plan in zip(messages, state.plans, strict=True) if plan == active]
    text = forest.render()
    if not any(one.role == "tool" for one in history) and forest.seen:
        text = f"{text}\nThe world last said:\n{forest.seen}".strip()
    tree = [Message("user", text, kind="plan", agent=TREE)] if text else []
    return (*opening, *tree, *history)


@dataclass(frozen=True, slots=True)
class Tree:
    """Turns with `branch`, `prune` and `note` beside the world's tools. Plain models go turn by turn."""

    most_plans: int = 24
    """Plans of a run, pruned ones counted."""
    name: str = "tree"

    async def run(self, desk: Desk) -> Ending:
        """Work until the run is over, the world put back wherever a plan is resumed."""
        if desk.model.style == "plain":
            return await React().run(desk)
        self._offer(desk)
        desk.show(shown)
        before = told(desk.messages).forest
        left = {before.active: desk.snapshot()}
        while (ending := desk.spent_up() or await desk.turn()) is None:
            now, after = desk.snapshot(), told(desk.messages).forest
            left[before.active] = now
            left.setdefault(after.active, now)
            if after.resumes > before.resumes:
                await self._go_back(desk, left[after.active], now, after.nodes[after.active])
            before = after
        return ending

    async def _go_back(self, desk: Desk, wanted: Json, now: Json, plan: Node) -> None:
        newest = _newest(desk.messages)
        if wanted is not None and wanted != now:
            await desk.restore(wanted)
            desk.say(_BACK, agent=TREE)
        elif plan.seen != newest:
            desk.say(f"{_STUCK} It last said:\n{newest}", agent=TREE)

    def _offer(self, desk: Desk) -> None:
        def offer(spec: ToolSpec) -> None:
            async def do(arguments: Mapping[str, Json]) -> Observation:
                forest = told(desk.messages).forest
                call = ToolCall("", spec.name, dict(arguments))
                again = spec.name in _FORMS and _has_moved(desk.messages)
                fault = _ONE if again else forest.fault(call, self.most_plans)
                return Observation(fault or _done(forest.after(call), spec.name), ok=fault is None)

            desk.offer(spec, do)

        for spec in _SPECS.values():
            offer(spec)


def _has_moved(messages: Sequence[Message]) -> bool:
    """Has an earlier call of this turn branched or pruned?"""
    last = max(place for place, one in enumerate(messages) if one.role == "assistant")
    moves = {call.id for call in messages[last].tool_calls if call.name in _FORMS}
    return any(one.ok and one.tool_call_id in moves for one in messages[last + 1 :])


def _newest(messages: Sequence[Message]) -> str:
    """What the world said last, whatever became of it."""
    ours = {call.id for one in messages for call in one.tool_calls if call.name in _SPECS}
    answers = (one.text for one in reversed(messages) if one.tool_call_id and one.tool_call_id not in ours)
    return next(answers, "")


def _done(forest: Forest, name: str) -> str:
    """In words of ours alone: an answer is evidence, the model's own words are not."""
    if name == "note":
        return "noted."
    return f"plan {forest.active} is active{' again' if name == 'prune' else ''}."


def _line(value: Json) -> str:
    return " ".join(str(value).split())


def _spec(name: str, description: str, **parameters: Json) -> ToolSpec:
    return ToolSpec(
        name,
        description,
        {
            "type": "object",
            "properties": parameters,
            "required": list(parameters),
            "additionalProperties": False,
        },
        read_only=name == "note",
    )


_ID: Json = {"type": "integer", "minimum": 0}
_TEXT: Json = {"type": "string", "minLength": 1, "maxLength": 500}
_SPECS = {
    spec.name: spec
    for spec in (
        _spec("branch", "Begin a plan of its own under another; 0 is the task.", parent=_ID, intent=_TEXT),
        _spec(
            "prune", "Give up what came after a plan, and take that plan up again.", resume=_ID, reason=_TEXT
        ),
        _spec("note", "Keep a finding in view for the rest of the task.", text=_TEXT),
    )
}
