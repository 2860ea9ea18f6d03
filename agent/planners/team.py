"""Several agents on one task: turns in order, a blackboard, shared rules, and what actions cost.

Sources: Zhang et al. 2024 (ReAd), arXiv 2405.14314: sequential planning, the actions of those before in the
prompt (ReAd-S); Li et al. 2025 (LIET), arXiv 2506.07232: a shared list of rules, costs beside candidates.
Deviation: a member's action is carried out in its turn, not together with the others'.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from agent.desk import Desk
from agent.ending import Ending
from agent.planners.react import React
from agent.prompt import command_of
from agent.team.costs import Costs
from agent.team.rules import NOTE, rules_of
from agent.types import Observation, ToolSpec
from memory.errors import BadInput
from memory.modes import USES
from memory.types import Json, Message, ToolCall
from memory.writing.stepping import state_encoder

TEAM = "team"
"""`Message.agent` of what this planner says."""
SAY = "say"
EVERYBODY = "everybody"
_TURN = "It is your turn, "


@runtime_checkable
class Shared(Protocol):
    """A world that tells several agents apart."""

    def turn_of(self, member: str) -> None:
        """The calls that follow are this member's; no part of a snapshot."""
        ...


@dataclass(frozen=True, slots=True)
class Team:
    """Members that take turns. Models that read plain text alone work by themselves."""

    members: tuple[str, ...] = ("ann", "ben")
    team: str = "team"
    """Whose rules are shown."""
    sequential: bool = True
    """Show what those before did in this round."""
    shows_costs: int = 0
    """Actions whose cost by memory is shown, at most; 0 asks memory for none."""
    name: str = "team"

    @classmethod
    def of(cls, said: str) -> Team:
        """By its name and members.

        >>> Team.of("crew=ann,ben").members, Team.of("ann,ben,cy").team
        (('ann', 'ben'), 'team')
        """
        team, _, members = said.rpartition("=")
        return cls(tuple(one.strip() for one in members.split(",")), team or "team")

    async def run(self, desk: Desk) -> Ending:
        """Round after round, each member a turn, until the run is over. Raises BadInput without members."""
        if not self.members or len(set(self.members)) < len(self.members) or EVERYBODY in self.members:
            raise BadInput(f"a team needs members with names of their own, not {self.members!r}")
        if desk.model.style == "plain":
            return await React().run(desk)
        desk.note(NOTE, self.team)
        desk.offer(_say(self.members), _answer)
        await self._tell_rules(desk)
        price, turns = await self._pricing(desk), 0
        while (ending := desk.spent_up()) is None:
            member = self.members[turns % len(self.members)]
            if isinstance(desk.box.world, Shared):
                desk.box.world.turn_of(member)
            desk.say(await self._turn(desk, member, price), agent=TEAM)
            desk.show(lambda messages, member=member: seen_by(messages, member))  # type: ignore[misc]
            ending = await desk.turn()
            turns += 1
            if ending is not None:
                break
        return ending

    async def _turn(self, desk: Desk, member: str, price: Callable[[str], Json] | None) -> str:
        lines = [f"{_TURN}{member}."]
        before = acts_of_round(desk.messages, self.members, member) if self.sequential else ()
        lines += [f"This round: {'; '.join(before)}."] if before else []
        if price is not None:
            seen = last_seen(desk.messages, member)

            async def do() -> Json:
                return await asyncio.to_thread(price, seen)

            said = await desk.effects.once(f"costs {len(desk.messages)}", do)
            lines += [f"By memory: {said}."] if said else []
        return "\n".join(lines)

    async def _tell_rules(self, desk: Desk) -> None:
        memory, run = desk.memory, desk.run
        if memory is None or not USES[run.memory].shows:
            return

        async def do() -> Json:
            items = await asyncio.to_thread(rules_of, memory, run.namespace, self.team)
            return {"rules": [item.text for item in items], "trust": [item.trust for item in items]}

        found = await desk.effects.once(f"rules {len(desk.messages)}", do)
        assert isinstance(found, dict)
        rules, trust = found["rules"], found["trust"]
        if isinstance(rules, list) and isinstance(trust, list) and rules:
            desk.trail.showed(min(int(str(one)) for one in trust))
            said = "\n".join(f"- {' '.join(str(rule).split())}" for rule in rules)
            desk.say(f"Rules of the team, learned together:\n{said}", agent=TEAM)

    async def _pricing(self, desk: Desk) -> Callable[[str], Json] | None:
        memory, run, task = desk.memory, desk.run, desk.task
        if not self.shows_costs or memory is None or not USES[run.memory].shows:
            return None

        def price(seen: str) -> Json:
            episodes = memory.episodes(run.namespace, family=task.family, newest=True)
            costs = Costs.of(episodes, lambda texts: state_encoder().encode(list(texts)))
            known = costs.known(seen, self.shows_costs)
            return "; ".join(f"{action} is about {cost:.1f} steps from the end" for action, cost in known)

        return price


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of one member, and its messages."""

    member: str
    messages: tuple[Message, ...]


def turns_of(messages: Sequence[Message]) -> tuple[tuple[Message, ...], tuple[Turn, ...]]:
    """What stands before the first turn, then the turns."""
    starts = [place for place, one in enumerate(messages) if _begins(one)]
    ends = [*starts, len(messages)][1:]
    turns = tuple(
        Turn(messages[start].text.splitlines()[0].removeprefix(_TURN).rstrip("."), tuple(messages[start:end]))
        for start, end in zip(starts, ends, strict=True)
    )
    return tuple(messages[: starts[0]] if starts else messages), turns


def seen_by(messages: Sequence[Message], member: str) -> tuple[Message, ...]:
    """The opening, a member's own turns, and what others said to it; older turns without their notices."""
    opening, turns = turns_of(messages)
    shown = list(opening)
    for turn in turns:
        if turn.member != member:
            shown += [Message("user", one, kind="observe", agent=TEAM) for one in _heard(turn, member)]
        else:
            shown += turn.messages if turn is turns[-1] else turn.messages[1:]
    return tuple(shown)


def acts_of_round(messages: Sequence[Message], members: Sequence[str], member: str) -> tuple[str, ...]:
    """What the members before this one did in this round, words apart."""
    _, turns = turns_of(messages)
    before = turns[len(turns) - members.index(member) :] if members.index(member) else ()
    return tuple(
        f"{turn.member}: {command_of(call)}" for turn in before for call in _calls(turn) if call.name != SAY
    )


def last_seen(messages: Sequence[Message], member: str) -> str:
    """The world's newest answer to a member; the task before its first."""
    _, turns = turns_of(messages)
    said = {call.id for turn in turns for call in _calls(turn) if call.name == SAY}
    own = (one for turn in reversed(turns) if turn.member == member for one in reversed(turn.messages))
    answers = (one.text for one in own if one.role == "tool" and one.tool_call_id not in said)
    task = next((one.text for one in messages if one.kind == "task"), "")
    return next(answers, task)


def _begins(message: Message) -> bool:
    return message.agent == TEAM and message.text.startswith(_TURN)


def _calls(turn: Turn) -> tuple[ToolCall, ...]:
    return tuple(call for one in turn.messages for call in one.tool_calls)


def _heard(turn: Turn, member: str) -> tuple[str, ...]:
    """What was said to a member in another's turn, as far as it went through."""
    went = {one.tool_call_id for one in turn.messages if one.role == "tool" and one.ok}
    return tuple(
        f"{turn.member} says: {call.arguments['text']}"
        for call in _calls(turn)
        if call.name == SAY and call.id in went and call.arguments["to"] in (member, EVERYBODY)
    )


async def _answer(_: Mapping[str, Json]) -> Observation:
    return Observation("said.", ok=True)


def _say(members: Sequence[str]) -> ToolSpec:
    names: list[Json] = [*members, EVERYBODY]
    properties: dict[str, Json] = {
        "to": {"enum": names},
        "text": {"type": "string", "minLength": 1, "maxLength": 500},
    }
    return ToolSpec(
        SAY,
        "Tell another member of the team something, or everybody.",
        {
            "type": "object",
            "properties": properties,
            "required": ["to", "text"],
            "additionalProperties": False,
        },
    )
