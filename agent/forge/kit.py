"""The forge on a desk: a model that writes Python, and the functions that stay.

Source: DynaSaur (arXiv 2411.01747): actions are Python; what ran without error leaves its functions behind.
Live-SWE-agent (arXiv 2511.13646): tools for the task at hand, and a sentence after every observation that
asks for them. Both are settings of this. Deviations: each script has a process of its own, so that functions
stay and variables do not; tools are Python functions, not shell scripts; a function is kept for good only
when its run went well (`at_once` as in DynaSaur: when its step did), and only once its own examples hold.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent.desk import Desk
from agent.ending import Ending
from agent.forge.extract import functions, named
from agent.forge.keeping import channel_of, draft_of, keep_now
from agent.forge.rack import KEPT, RUN, Rack, lowest, written
from agent.forge.sandbox import Piece, Sandbox, Told, refuse_unless_isolated
from agent.tools import shortened
from agent.types import Observation, ToolSpec
from memory.modes import USES
from memory.types import Json, Message, ToolBody, ToolCall

FIND = "find_tool"
FORGE = "forge"
"""`Message.agent` of what the forge says."""
MAX_SCRIPT = 100_000
"""Characters of one script."""
RUN_PYTHON = ToolSpec(
    RUN,
    "Run a Python script by itself: standard library, no network, an empty folder, no variables of earlier "
    "scripts. Print what you want to see. call_tool(name, argument=value) calls any of your other tools and "
    "returns its answer as text. Functions with type hints and a docstring with an example (>>> ...) stay "
    "as tools: later scripts call them by name, as they do those that find_tool found.",
    {
        "type": "object",
        "properties": {"code": {"type": "string", "maxLength": MAX_SCRIPT}},
        "required": ["code"],
        "additionalProperties": False,
    },
)
FIND_TOOL = ToolSpec(
    FIND,
    "Find functions that were kept earlier, by what they do, before you write one. Changes nothing.",
    {
        "type": "object",
        "properties": {"query": {"type": "string", "minLength": 1}},
        "required": ["query"],
        "additionalProperties": False,
    },
    read_only=True,
)
NUDGE = (
    "Before you go on: would a small tool of your own make the rest of this task easier or safer? If so, "
    f"write it with {RUN} now; it need not serve anything else."
)
_TEST = """
import doctest
for name in {names}:
    runner, finder, said = doctest.DocTestRunner(verbose=False), doctest.DocTestFinder(recurse=False), []
    for test in finder.find(globals()[name], name, False, globs=dict(globals())):
        runner.run(test, out=said.append)
    call_tool("tried", name=name, failed="".join(said)[-600:] if runner.failures else "")
"""


@dataclass(frozen=True, slots=True)
class ForgeSettings:
    """How the forge is used."""

    at_once: bool = False
    """Are functions remembered after the step that worked (DynaSaur), or when the whole run has? Until then
    they live in the run alone."""
    nudges: bool = False
    """Is the model asked after every observation whether it wants a tool (Live-SWE-agent)?"""
    k: int = 10
    """Most tools found at once, as in DynaSaur."""


DYNASAUR = ForgeSettings(at_once=True)
LIVE = ForgeSettings(nudges=True)


@dataclass(frozen=True, slots=True)
class Forge:
    """A kit: puts the forge on the desk of every run of a model that calls tools by name."""

    settings: ForgeSettings = field(default_factory=ForgeSettings)
    sandbox: Sandbox = field(default_factory=Sandbox)

    def __post_init__(self) -> None:
        """Raises Denied where the machine cannot isolate what an agent writes."""
        refuse_unless_isolated()

    def equip(self, desk: Desk) -> None:
        """Offer the tools. Raises BadInput where the world has one of their names."""
        if desk.model.style != "full":
            return
        bench = Bench(desk, self.settings, self.sandbox)
        desk.offer(RUN_PYTHON, bench.run)
        if desk.memory is not None and USES[desk.run.memory].shows:
            desk.offer(FIND_TOOL, bench.find)
        if self.settings.nudges:
            desk.nudge(nudge)


def nudge(messages: Sequence[Message]) -> Sequence[Message]:
    """The sentence after an observation, and only there."""
    is_due = bool(messages) and messages[-1].role == "tool"
    return (Message("user", NUDGE, kind="plan", agent=FORGE),) if is_due else ()


@dataclass(frozen=True, slots=True)
class Bench:
    """The forge in one run; what was written so far stands in the messages."""

    desk: Desk
    settings: ForgeSettings
    sandbox: Sandbox

    async def find(self, arguments: Mapping[str, Json]) -> Observation:
        """Tools of memory and of the run, a line each."""
        rack = self._rack()
        items = await asyncio.to_thread(rack.found, str(arguments["query"]), self.settings.k)
        lines = [f"- {item.text}" for item in items]
        if rack.own:
            lines.append(f"written in this run: {', '.join(rack.own)}")
        text = "\n".join(lines) or f"nothing was kept for that: write it with {RUN}."
        return Observation(text, ok=True, channel=lowest(items))

    async def run(self, arguments: Mapping[str, Json]) -> Observation:
        """Run a script; keep its functions if it worked. What failed leaves nothing."""
        code, rack = str(arguments["code"]), self._rack()
        found = functions(code)
        pieces = await asyncio.to_thread(rack.pieces, named(code))
        ran = await self.sandbox.run(code, pieces, self._answer)
        await asyncio.to_thread(self._count, rack)
        if not ran.ok:
            said = f"{shortened(ran.out)}\n{shortened(ran.error)}".strip()
            return Observation(said, ok=False, channel=rack.channel)
        kept, left = await self._kept(found.tools, rack)
        notes = [f"Not kept: {why}" for why in (*found.left, *left)]
        last = f"{KEPT}{', '.join(kept) or 'none'}."
        text = "\n".join([shortened(ran.out.rstrip()) or "(it printed nothing)", *notes, last])
        return Observation(text, ok=True, channel=rack.channel)

    def _rack(self) -> Rack:
        desk = self.desk
        own = {name: one.tool for name, one in written(desk.messages).items()}
        recall = desk.trail.episode(Ending("unknown")).recall
        held = [one.item for one in recall.items if not one.shown] if recall else []
        return Rack(desk.memory, desk.run, own, frozenset(held))

    async def _answer(self, name: str, arguments: Mapping[str, Json]) -> Told:
        """A call from inside a script: under every guard, like any other."""
        if name in {RUN, FIND}:
            return Told(f"{name!r} cannot be called from inside a script", ok=False)
        done = await self.desk.inside(ToolCall("", name, dict(arguments)))
        return Told(done.observation.text, done.observation.ok)

    def _count(self, rack: Rack) -> None:
        desk, counts = self.desk, USES[self.desk.run.memory].credits
        for item in rack.used.values():
            if desk.memory is not None:
                desk.memory.fetched(desk.run.namespace, item.id, principal=desk.run.principal, counts=counts)

    async def _kept(self, tools: Sequence[ToolBody], rack: Rack) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of those that may stay, and why others may not."""
        faults = await asyncio.to_thread(_faults, tools, rack)
        left = [f"{name}: {why}" for name, why in faults.items()]
        free = [tool for tool in tools if tool.name not in faults]
        failed = await self._tried(free, rack)
        left += [f"{name}: its example failed: {why}" for name, why in failed.items()]
        fit = [tool for tool in free if tool.name not in failed]
        if self.settings.at_once:
            refused = await asyncio.to_thread(self._remember, fit)
            left += refused
            fit = [tool for tool in fit if not any(why.startswith(f"{tool.name}:") for why in refused)]
        return tuple(tool.name for tool in fit), tuple(left)

    def _remember(self, tools: Sequence[ToolBody]) -> tuple[str, ...]:
        desk = self.desk
        if desk.memory is None or not USES[desk.run.memory].learns:
            return ()
        # The call that is running is the latest one there is.
        place = max(place for place, message in enumerate(desk.messages) if message.tool_calls)
        drafts = [draft_of(tool, desk.run.episode_id, place) for tool in tools]
        channel = channel_of(desk.messages)
        return keep_now(desk.memory, desk.run.namespace, desk.run.principal, drafts, channel)

    async def _tried(self, tools: Sequence[ToolBody], rack: Rack) -> dict[str, str]:
        """What the examples in the docstrings say of those that can be tried by themselves."""
        own = {**rack.own, **{tool.name: tool for tool in tools}}
        together = Rack(rack.memory, rack.run, own, rack.held)
        pieces = await asyncio.to_thread(together.pieces, own)
        alone = [tool for tool in tools if tool.name not in _calling(pieces)]
        if not alone:
            return {}
        failed = {tool.name: "it did not come to its end" for tool in alone}

        async def report(_: str, arguments: Mapping[str, Json]) -> Told:
            failed[str(arguments["name"])] = str(arguments["failed"])
            return Told("", ok=True)

        await self.sandbox.run(_TEST.format(names=[tool.name for tool in alone]), pieces, report)
        return {name: why for name, why in failed.items() if why}


def _faults(tools: Sequence[ToolBody], rack: Rack) -> dict[str, str]:
    """Why some cannot stay beside the tools that there are."""
    found: dict[str, str] = {}
    names = {tool.name for tool in tools}
    for tool in tools:
        there = rack.stored(tool.name)
        lacks = [need for need in tool.requires if need not in names and rack.named(need) is None]
        if there is not None and there.body != tool:
            found[tool.name] = "another tool has that name, call that one or rename yours"
        elif lacks:
            found[tool.name] = f"it names {', '.join(lacks)}, which is not there"
    return found


def _calling(pieces: Sequence[Piece]) -> frozenset[str]:
    """Those that call tools of the agent's, themselves or by what they need: their examples are not tried."""
    found: set[str] = set()
    for piece in pieces:
        if "call_tool" in named(piece.code, ours=True) or found & set(piece.requires):
            found.add(piece.name)
    return frozenset(found)
