"""The tools that a run may use: its own functions, and those that memory holds.

Source: DynaSaur (arXiv 2411.01747): tools that were written are not in the prompt but found by a tool.
Deviation: those that recall finds for the task are shown by a line each at the opening, where a coin may hold
them out, so that their lift is measured like that of any item; what it held out is not found later either.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from agent.forge.extract import functions, named
from agent.forge.sandbox import Piece
from agent.settings import Run
from memory.core import Memory
from memory.entry import RECALLABLE
from memory.modes import USES
from memory.types import GLOBAL, TRUST, Channel, Item, Message, Query, ToolBody, ToolCall

RUN = "run_python"
KEPT = "Kept as tools: "
"""What the last line of an answer of `run_python` begins with; it is always ours."""
LEAST_TRUST = TRUST["reflection"]
"""Code that strangers had a word in is not run again."""
_PAGE = 100
_UNBOUNDED = 2**31
_DEEPEST = 50
"""Tools that one script may rest on."""


@dataclass(frozen=True, slots=True)
class Written:
    """A function of this run, and the message that defined it."""

    tool: ToolBody
    message: int


@dataclass(slots=True)
class Rack:
    """What one script may call by name."""

    memory: Memory | None
    run: Run
    own: Mapping[str, ToolBody]
    held: frozenset[str] = frozenset()
    """Items that a coin held out of this run."""
    used: dict[str, Item] = field(default_factory=dict)
    """Items that were asked for by name, by that name."""

    def named(self, name: str) -> ToolBody | None:
        """The tool of a name: the run's own before one of memory."""
        if name in self.own:
            return self.own[name]
        item = self.stored(name)
        if item is None or item.id in self.held or item.trust < LEAST_TRUST:
            return None
        self.used[name] = item
        return body_of(item)

    def stored(self, name: str) -> Item | None:
        """What memory holds under a name, may it be used or not."""
        if self.memory is None or not USES[self.run.memory].shows:
            return None
        return stored(self.memory, self.run.namespace, name)

    def pieces(self, names: Iterable[str]) -> tuple[Piece, ...]:
        """The tools of these names that there are, each behind those that it needs."""
        done: dict[str, Piece] = {}
        for name in sorted(names):
            self._add(name, done, ())
        return tuple(done.values())

    def _add(self, name: str, done: dict[str, Piece], above: tuple[str, ...]) -> None:
        tool = None if name in done or name in above or len(done) >= _DEEPEST else self.named(name)
        if tool is None:
            return
        for need in tool.requires:
            self._add(need, done, (*above, name))
        done[name] = Piece(name, tool.code, tuple(need for need in tool.requires if need in done))

    def found(self, query: str, k: int) -> tuple[Item, ...]:
        """Tools of memory for a need in words, best first."""
        if self.memory is None or not USES[self.run.memory].shows:
            return ()
        asked = Query(self.run.namespace, query, kinds=("tool",), k=k, token_budget=_UNBOUNDED)
        hits = self.memory.recall(asked, count_tokens=len).hits
        items = (hit.item for hit in hits)
        return tuple(one for one in items if one.id not in self.held and one.trust >= LEAST_TRUST)

    @property
    def channel(self) -> Channel:
        """Where answers of what was used come from."""
        return lowest(self.used.values())


def lowest(items: Iterable[Item]) -> Channel:
    """Our own tools at most, less where an item is trusted less."""
    trust = min((item.trust for item in items), default=TRUST["tool"])
    return next(channel for channel in TRUST if TRUST[channel] == min(trust, TRUST["tool"]))


def stored(memory: Memory, namespace: str, name: str) -> Item | None:
    """The tool that a namespace holds under a name, on trial or active; else one that holds for all."""
    for space in dict.fromkeys((namespace, GLOBAL)):
        after = None
        while page := memory.items(space, kind="tool", words=name, limit=_PAGE, after=after):
            found = [one for one in page if one.status in RECALLABLE and body_of(one).name == name]
            if found:
                return found[0]
            after = page[-1].id
    return None


def body_of(item: Item) -> ToolBody:
    """The body of a tool."""
    assert isinstance(item.body, ToolBody), f"{item.kind} {item.id} among the tools"
    return item.body


def scripts(messages: Sequence[Message]) -> tuple[tuple[int, str, frozenset[str]], ...]:
    """Scripts that ran without error: message, code, and names of what was kept of them."""
    answers = {one.tool_call_id: one for one in messages if one.role == "tool"}
    found = []
    for place, message in enumerate(messages):
        for call in message.tool_calls:
            answer = answers.get(call.id)
            if call.name != RUN or answer is None or answer.ok is not True:
                continue
            found.append((place, _code(call), _kept(answer.text)))
    return tuple(found)


def _code(call: ToolCall) -> str:
    return str(call.arguments.get("code", ""))


def _kept(answer: str) -> frozenset[str]:
    last = answer.rstrip().rpartition("\n")[2]
    names = last.removeprefix(KEPT).rstrip(".") if last.startswith(KEPT) else ""
    return frozenset(name.strip() for name in names.split(",")) - {"", "none"}


def written(messages: Sequence[Message]) -> dict[str, Written]:
    """The tools of a run by name; a later one takes the place of an earlier one."""
    return {
        tool.name: Written(tool, place)
        for place, code, kept in scripts(messages)
        for tool in functions(code).tools
        if tool.name in kept
    }


def called(messages: Sequence[Message]) -> dict[str, int]:
    """Names that scripts without error had from outside, with the message of the first."""
    found: dict[str, int] = {}
    for place, code, _ in scripts(messages):
        for name in sorted(named(code)):
            found.setdefault(name, place)
    return found
