"""The beginning of one attempt with the rest of another, lived in the world where that can be done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from agent.prompt import command_of
from agent.types import Observation
from distill.replay import Tasks, world_calls
from distill.shapes.attempts import steps_end
from distill.shapes.masks import is_wrong, unweighted
from distill.types import Row
from memory.types import Episode, Message, ToolCall

COUNTERFACTUAL = "counterfactual"
"""`Message.agent` of what the world said elsewhere, and was never asked here."""


@dataclass(frozen=True, slots=True)
class _Turn:
    """A message of the good attempt with the calls that it makes, and what was answered to them."""

    place: int
    """In the good row."""
    message: Message
    answers: tuple[Message, ...]

    @property
    def command(self) -> str:
        return "; ".join(map(command_of, self.message.tool_calls))


def spliced(
    failed: Episode,
    error: int,
    good: Row,
    tasks: Tasks,
    *,
    thought: str = "",
    counterfactual: bool = False,
) -> Row | None:
    """The failure up to its error and what was answered, then the good attempt from where their ways parted.

    The row is the good attempt's; all but its own acts has index -1. None where the world does not take the
    good way from the wrong state to a success, unless `counterfactual` takes the good attempt's word.
    """
    end = steps_end(failed, error)
    turns = tuple(_turns(good))
    for begin in dict.fromkeys((_shared(failed, end, turns), 0)):
        ahead = turns[begin:]
        calls = [call for turn in ahead for call in turn.message.tool_calls]
        seen = tasks.relived(failed, end, calls) if calls else None
        if seen is not None and _succeeds(seen):
            return _joined(failed, end, good, _answered(ahead, seen), thought)
    if not counterfactual:
        return None
    ahead = turns[_shared(failed, end, turns) :]
    if not ahead:
        return None
    told = [replace(turn, answers=tuple(map(_elsewhere, turn.answers))) for turn in ahead]
    return _joined(failed, end, good, told, thought)


def _turns(row: Row) -> Iterator[_Turn]:
    """The good attempt's turns in the world, without what was wrong."""
    answers = {one.tool_call_id: one for one in row.messages if one.role == "tool" and one.tool_call_id}
    for place, one in enumerate(row.messages):
        said = tuple(answers[call.id] for call in one.tool_calls if call.id in answers)
        is_read = any(answer.kind == "memory" for answer in said)
        if one.tool_calls and said and not is_read and not is_wrong(one, row.indices[place], ()):
            yield _Turn(place, one, said)


def _shared(failed: Episode, end: int, turns: Sequence[_Turn]) -> int:
    """How many turns the good attempt has in common with the failure's beginning."""
    done = [command_of(call) for call, _ in world_calls(failed.messages[:end])]
    same = 0
    for turn, command in zip(turns, done, strict=False):
        if turn.command != command:
            break
        same += 1
    return same


def _succeeds(seen: Sequence[Observation]) -> bool:
    return seen[-1].outcome == "success" and all(one.ok is not False and not one.done for one in seen[:-1])


def _answered(ahead: Sequence[_Turn], seen: Sequence[Observation]) -> list[_Turn]:
    left = list(seen)
    turns = []
    for turn in ahead:
        answers = []
        for call in turn.message.tool_calls:
            one = left.pop(0)
            answers.append(_answer(call, one))
        turns.append(replace(turn, answers=tuple(answers)))
    return turns


def _answer(call: ToolCall, seen: Observation) -> Message:
    return Message(
        "tool",
        seen.content,
        kind="observe",
        tool_call_id=call.id,
        agent="world",
        ok=seen.ok,
        weight=0.0,
        reward=seen.reward,
        rule=seen.rule,
    )


def _elsewhere(answer: Message) -> Message:
    return replace(answer, agent=COUNTERFACTUAL, weight=0.0)


def _joined(failed: Episode, end: int, good: Row, turns: Sequence[_Turn], thought: str) -> Row:
    prefix = unweighted(failed.messages[:end])
    n_calls = sum(len(one.tool_calls) for one in prefix)
    messages, indices = list(prefix), [-1] * len(prefix)
    for number, turn in enumerate(turns):
        ids = {call.id: f"call{n_calls + n:05d}" for n, call in enumerate(turn.message.tool_calls, 1)}
        n_calls += len(ids)
        is_revision = bool(thought) and number == 0
        messages.append(_renamed(turn.message, ids, thought if is_revision else ""))
        indices.append(-1 if is_revision else good.indices[turn.place])
        for answer in turn.answers:
            messages.append(replace(answer, tool_call_id=ids.get(str(answer.tool_call_id))))
            indices.append(-1)
    return replace(good, messages=tuple(messages), indices=tuple(indices), also=(*good.also, failed.id))


def _renamed(message: Message, ids: Mapping[str, str], thought: str) -> Message:
    """With calls that no earlier one is called like, and a thought before its own words."""
    calls = tuple(replace(call, id=ids[call.id]) for call in message.tool_calls)
    text = f"{thought} {message.text}".strip() if thought else message.text
    return replace(message, content=text, tool_calls=calls, kind="reflect" if thought else message.kind)
