"""The guard by the constitution: what is forbidden word for word is sent back; once, where it was learned."""

from pathlib import Path

import pytest

from agent.guards.principles import Forbidden
from agent.loop import Agent
from agent.models.local.model import LocalModel
from agent.models.scripted import ScriptedModel
from agent.opening import AgentSettings, Run
from agent.tools import FunctionTool, ToolWorld
from agent.types import GuardContext, InForce, Spent, Task
from agent.worlds.catalogue import catalogue
from memory.core import Memory
from memory.encoder import HashEncoder
from memory.types import Channel, Draft, Json, Message, PrincipleBody, ToolCall

TINY = Path(__file__).parent.parent.parent / "agent" / "models" / "tiny"
DRAWER = "do not open drawer 12."


def act(command: str) -> ToolCall:
    return ToolCall("c", "act", {"command": command})


def context(*principles: InForce, said: tuple[str, ...] = ()) -> GuardContext:
    messages = tuple(Message("tool", text, kind="observe") for text in said)
    return GuardContext(messages, Spent(), 3, principles=principles)


@pytest.mark.parametrize(
    ("principle", "command", "action"),
    [
        (DRAWER, "open drawer 12", "block"),
        ("Never open the drawer 12", "open drawer 12", "block"),
        ("You must open drawer 12.", "open drawer 12", "allow"),
        (DRAWER, "open drawer 1", "allow"),
        (DRAWER, "go to drawer 12", "allow"),
        ("open drawer 12.", "open drawer 12", "allow"),
        ("wipe feet before you open drawer 12.", "open drawer 12", "allow"),
        ("do not open drawer 12 before you wipe feet.", "open drawer 12", "allow"),
    ],
)
def test_only_what_is_forbidden_word_for_word(principle: str, command: str, action: str) -> None:
    """Neither its opposite nor anything near it, nor an order of two acts."""
    assert Forbidden().check(act(command), context(InForce(principle))).action == action


def test_what_was_learned_is_insisted_on_once_and_an_operators_word_always() -> None:
    """Each principle by itself."""
    told = (f"refused: {DRAWER}",)
    learned, given = InForce(DRAWER), InForce(DRAWER, is_given=True)
    assert Forbidden().check(act("open drawer 12"), context(learned, said=told)).action == "allow"
    assert Forbidden(2).check(act("open drawer 12"), context(learned, said=told)).action == "block"
    assert Forbidden().check(act("open drawer 12"), context(given, said=told * 5)).action == "block"
    assert Forbidden().check(act("open drawer 12"), context(learned, given, said=told)).action == "block"
    other = InForce("do not open safe 3.")
    assert Forbidden().check(act("open safe 3"), context(learned, other, said=told)).action == "block"


def test_an_answer_is_never_forbidden_and_calls_with_arguments_are_read_as_they_are_shown() -> None:
    """A principle about an act names it as transcripts do."""
    finish = ToolCall("c", "finish", {"answer": "open drawer 12"})
    assert Forbidden().check(finish, context(InForce("do not finish"))).action == "allow"
    wipe = ToolCall("c", "wipe", {"path": "disk"})
    assert Forbidden().check(wipe, context(InForce('never wipe {"path": "disk"}'))).action == "block"


@pytest.mark.parametrize(("channel", "ran"), [("reflection", 1), ("operator", 0)])
async def test_in_a_run_the_world_hears_what_a_model_insists_on(
    channel: Channel, ran: int, tmp_path: Path
) -> None:
    """The refusal is an observation in the principle's own words."""
    opened = []

    def search(command: str) -> str:
        """Look somewhere."""
        opened.append(command)
        return "nothing there"

    def call(name: str, **arguments: Json) -> Message:
        return Message("assistant", "", tool_calls=(ToolCall("x", name, dict(arguments)),))

    script = [*[call("search", command="open drawer 12")] * 2, call("finish", answer="no")]
    draft = Draft(
        "principle", DRAWER, PrincipleBody("global", "symbolic"), scope="namespace", status="active"
    )
    with Memory.open(tmp_path / "memory.db", encoder=HashEncoder(64)) as memory:
        memory.remember("ns", [draft], principal="ada", channel=channel)
        task = Task("t", "find the mug", "tools", "maple 7")
        for settings in (AgentSettings(), AgentSettings(enforces_principles=False)):
            agent = Agent(ScriptedModel(script), memory, settings=settings)
            world = ToolWorld([FunctionTool.of(search)])
            episode = await agent.run(task, world, Run("ns", "ada", f"e{len(opened)}", memory="frozen"))
            told = [message.text for message in episode.messages if message.kind == "observe"]
            if settings.enforces_principles:
                assert told[0] == f"refused: {DRAWER}"
                assert len(opened) == ran
            else:
                assert len(opened) == ran + 2


async def test_a_small_model_that_forgets_is_reminded(tmp_path: Path) -> None:
    """At a site whose first place is forbidden, the bundled model loses every task without the guard."""
    kind, site = catalogue("household"), "willow 37"
    model = LocalModel.load(TINY, name="local:tiny")
    draft = Draft(
        "principle", DRAWER, PrincipleBody("family", "symbolic"), scope="family", family=site, status="active"
    )
    solved = {}
    with Memory.open(tmp_path / "memory.db", encoder=HashEncoder(64)) as memory:
        memory.remember("ns", [draft], principal="ada", channel="reflection")
        for enforces in (False, True):
            agent = Agent(model, memory, settings=AgentSettings(enforces_principles=enforces))
            tasks = kind.tasks(site=site, split="gate", n=6, seed=1)
            episodes = [
                await agent.run(task, kind.make(), Run("ns", "ada", f"{enforces}/{n}", memory="frozen"))
                for n, task in enumerate(tasks)
            ]
            solved[enforces] = sum(episode.outcome == "success" for episode in episodes)
    model.close()
    assert solved[False] == 0
    assert solved[True] >= 2
