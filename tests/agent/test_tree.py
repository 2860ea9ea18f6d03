"""Planner `tree`: commands of the model make the tree, which decides what it sees and where the world is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.journal import MemoryJournal
from agent.loop import Agent
from agent.models.scripted import ScriptedModel
from agent.opening import Run
from agent.planners.tree import Tree, shown, told
from agent.types import Observation, Task, ToolSpec, World
from memory.types import Episode, Json, Message, ToolCall

TASK = Task("t1", "find the lamp", "rooms", "lab", max_steps=30)
RUN = Run("ns", "ann", "e1")


@dataclass
class Rooms:
    """A walk that can be put back; the lamp is in the cellar of the west wing."""

    at: str = "hall"
    walked: int = 0

    def tools(self) -> tuple[ToolSpec, ...]:
        to: Json = {"type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"]}
        assert isinstance(to, dict)
        return (ToolSpec("go", "", to),)

    async def reset(self, task: Task) -> Observation:
        self.at = "hall"
        return Observation("you stand in the hall")

    async def step(self, call: ToolCall) -> Observation:
        self.walked += 1
        self.at = f"{self.at}/{call.arguments['to']}"
        done = self.at == "hall/west/cellar"
        return Observation(f"you stand in {self.at}", True, done, "success" if done else None)

    def snapshot(self) -> Json:
        return self.at

    def restore(self, task: Task, snapshot: Json) -> None:
        self.at = str(snapshot)


@dataclass
class OneWay:
    """The same, and nobody can be put back."""

    inner: Rooms

    def tools(self) -> tuple[ToolSpec, ...]:
        return self.inner.tools()

    async def reset(self, task: Task) -> Observation:
        return await self.inner.reset(task)

    async def step(self, call: ToolCall) -> Observation:
        return await self.inner.step(call)


def calls(*made: tuple[str, dict[str, Json]]) -> Message:
    return Message("assistant", "so", tool_calls=tuple(ToolCall("", name, given) for name, given in made))


def go(to: str) -> Message:
    return calls(("go", {"to": to}))


def branch(parent: int, intent: str) -> Message:
    return calls(("branch", {"parent": parent, "intent": intent}))


def prune(resume: int, reason: str) -> Message:
    return calls(("prune", {"resume": resume, "reason": reason}))


SCRIPT = (
    go("west"),
    branch(0, "look upstairs"),
    go("attic"),
    branch(1, "open the trunk"),
    calls(("go", {"to": "trunk"}), ("note", {"text": "the trunk is\nempty"})),
    prune(0, "only dust up there"),
    go("cellar"),
)


async def run_of(
    world: World, script: Sequence[Message] = SCRIPT, journal: MemoryJournal | None = None
) -> tuple[Episode, ScriptedModel]:
    model = ScriptedModel(script)
    return await Agent(model, None, planner=Tree()).run(TASK, world, RUN, journal), model


def seen(model: ScriptedModel, turn: int) -> list[str]:
    """What the model was shown at a turn, in short."""
    shown_then = model.history[turn].messages
    return [
        "+".join(call.name for call in one.tool_calls) or one.text
        for one in shown_then
        if one.role != "system" and one.kind != "task"
    ]


async def test_the_history_is_that_of_the_active_plan() -> None:
    """Exactly: the tree with its reasons and notes, then what was done under the plan, turn by turn."""
    episode, model = await run_of(Rooms())
    assert episode.outcome == "success"
    assert seen(model, 1) == ["go", "you stand in hall/west"]
    tree = "Plans:\n[0] the whole task\n  [1] look upstairs <- active"
    assert seen(model, 2) == [f"{tree}\nThe world last said:\nyou stand in hall/west"]
    assert seen(model, 3) == [tree, "go", "you stand in hall/west/attic"]
    assert seen(model, 4) == [
        "Plans:\n[0] the whole task\n  [1] look upstairs\n    [2] open the trunk <- active\n"
        "The world last said:\nyou stand in hall/west/attic"
    ]
    assert seen(model, 6) == [
        "Plans:\n[0] the whole task (resumed 1 times: only dust up there) <- active\n"
        "Notes:\n- the trunk is empty",
        *("go", "you stand in hall/west", "branch", "plan 1 is active."),
        "The world is back where this plan left it.",
    ]


async def test_every_call_in_view_has_its_answer() -> None:
    """Hosts refuse a call without one, and an answer without its call."""
    _, model = await run_of(Rooms())
    for request in model.history:
        asked = [call.id for one in request.messages for call in one.tool_calls]
        answered = [one.tool_call_id for one in request.messages if one.role == "tool"]
        assert asked == answered


async def test_it_is_replayed_alike_from_every_cut() -> None:
    """The tree is made of the messages: cut anywhere, nothing is done twice and all ends the same."""
    journal = MemoryJournal()
    whole, model = await run_of(Rooms(), journal=journal)
    names = list(journal.record)
    assert "restore 1" in names
    for cut in range(len(names)):
        kept = MemoryJournal({name: journal.record[name] for name in names[:cut]})
        asked = sum(name.startswith("model") for name in names[:cut])
        world = Rooms()
        episode, again = await run_of(world, SCRIPT[asked:], kept)
        assert episode.messages == whole.messages
        assert [one.messages for one in again.history] == [one.messages for one in model.history[asked:]]
        walked = [one for one in episode.messages if one.text.startswith("you stand in hall/")]
        assert world.walked <= len(walked)


async def test_what_cannot_be_put_back_is_said() -> None:
    """The plan goes on from where the world stands, and knows it."""
    script = (*SCRIPT[:6], go("cellar"), *[go("x")] * 30)
    episode, model = await run_of(OneWay(Rooms()), script)
    assert seen(model, 6)[-1] == (
        "The world was not put back: it stands as the pruned plan left it. "
        "It last said:\nyou stand in hall/west/attic/trunk"
    )
    assert episode.outcome == "failure"


async def test_wrong_ids_are_answered_with_the_right_form() -> None:
    """The tree stays as it is, and the answer says what may be written."""
    script = (branch(4, "x"), prune(0, "x"), branch(0, "a"), prune(1, "x"), prune(7, "x"), go("west"))
    episode, _ = await run_of(Rooms(), (*script, go("cellar")))
    answers = [one.text for one in episode.messages if one.role == "tool"]
    assert answers[0].startswith("there is no plan 4 to branch from; write {")
    assert answers[1].endswith("plans: none yet")
    assert answers[3].startswith("plan 1 cannot be resumed; write {")
    assert answers[4].endswith("plans: 0")
    assert [node.intent for node in told(episode.messages).forest.nodes] == ["the whole task", "a"]


async def test_a_turn_moves_the_tree_once() -> None:
    """The second branch of one turn is refused; what else is called in it stays with it."""
    both = calls(
        ("branch", {"parent": 0, "intent": "a"}),
        ("branch", {"parent": 0, "intent": "b"}),
        ("go", {"to": "west"}),
    )
    episode, model = await run_of(Rooms(), (both, go("cellar")))
    assert len(told(episode.messages).forest.nodes) == 2
    assert "one branch or prune a turn" in episode.messages[-4].text
    assert seen(model, 1)[-1].endswith("The world last said:\nyou stand in hall/west")
    assert episode.outcome == "success"


async def test_pruning_hides_the_subtree_and_what_was_branched_beside_it_later() -> None:
    """Earlier branches stay; ids are never given twice."""
    script = (
        *(branch(0, "a"), branch(1, "a1"), branch(0, "b"), branch(3, "b1"), branch(0, "c")),
        *(prune(3, "back to b"), branch(0, "d"), go("west"), prune(0, "all wrong"), go("west"), go("cellar")),
    )
    episode, model = await run_of(Rooms(), script)
    lines = seen(model, 7)[0].splitlines()
    assert [line.strip().split("]")[0] for line in lines[1:5]] == ["[0", "[1", "[2", "[3"]
    assert told(episode.messages).forest.open_ids == (0,)
    assert episode.outcome == "success"


async def test_plans_are_bounded() -> None:
    """A model that branches for ever is told to go on."""
    model = ScriptedModel([branch(0, f"plan {n}") for n in range(5)] + [go("west"), go("cellar")])
    episode = await Agent(model, None, planner=Tree(most_plans=3)).run(TASK, Rooms(), RUN)
    assert len(told(episode.messages).forest.nodes) == 3
    assert any("which is the most" in one.text for one in episode.messages)


async def test_a_plain_model_goes_turn_by_turn() -> None:
    """It reads no tools, so none are put beside the world's."""
    model = ScriptedModel(["on. > west", "on. > cellar"], style="plain")
    episode = await Agent(model, None, planner=Tree()).run(TASK, Rooms(), RUN)
    assert episode.outcome == "success"
    assert shown(episode.messages) == episode.messages
