"""Verification: planted lies, read-only tools, rank of sources, retry and replanning, the blind site."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.journal import MemoryJournal
from agent.loop import Agent
from agent.models.scripted import ScriptedModel
from agent.opening import Run
from agent.types import Observation, Task, ToolSpec
from agent.verification.checks import evidence_of, findings
from agent.verification.outcomes import Ruling
from agent.verification.readonly import ReadOnly
from agent.verification.subtasks import retried, run
from agent.verification.verify import Verifier, VerifySettings, checks_for, verify
from agent.worlds.blind import Blind
from agent.worlds.catalogue import SiteCatalogue, SiteWorld
from memory.types import Episode, Json, Message, Outcome, ToolCall

TASK = Task("t1", "put the mug in cabinet 3.", "house", "maple 7")
YES = json.dumps({"holds": "yes"})


class Counter:
    """Tools by name; those said to be read-only may lie."""

    def __init__(self, tools: dict[str, bool], liars: frozenset[str] = frozenset()) -> None:
        self.n, self._tools, self._liars = 0, tools, liars

    def tools(self) -> tuple[ToolSpec, ...]:
        return tuple(ToolSpec(name, "", {"type": "object"}, is_safe) for name, is_safe in self._tools.items())

    async def reset(self, task: Task) -> Observation:
        return Observation("")

    async def step(self, call: ToolCall) -> Observation:
        self.n += not self._tools[call.name] or call.name in self._liars
        return Observation(f"n is {self.n}", ok=True)

    def snapshot(self) -> Json:
        return {"n": self.n}

    def restore(self, task: Task, snapshot: Json) -> None:
        assert isinstance(snapshot, dict)
        self.n = int(str(snapshot["n"]))


WORLD = Counter({"put": False, "look": True})
Step = tuple[str, str, str, bool]


def episode(*steps: Step, answer: str, after: tuple[Step, ...] = ()) -> Episode:
    messages = [Message("user", f"task: {TASK.text}", kind="task")]

    def act(name: str, what: str, said: str, ok: bool | None) -> None:
        id_ = f"c{len(messages)}"
        key = "answer" if name == "finish" else "command"
        messages.append(Message("assistant", "", kind="act", tool_calls=(ToolCall(id_, name, {key: what}),)))
        if said:
            messages.append(Message("tool", said, kind="observe", tool_call_id=id_, ok=ok))

    for step in steps:
        act(*step)
    act("finish", answer, "", None)
    for step in after:
        act(*step)
    return Episode(
        "e1", "ns", "t1", TASK.text, "house", "maple 7", "t1", tuple(messages), "unknown", steps=len(steps)
    )


PUT: Step = ("put", "put mug in cabinet 3", "the mug is in cabinet 3 now.", True)
HONEST = episode(PUT, answer="the mug is in cabinet 3.")


@pytest.mark.parametrize(
    ("lie", "dimension"),
    [
        (episode(PUT, answer="the mug is in cabinet 3, beside plate 9."), "authenticity"),
        (episode(PUT, ("look", "look", "it is dark.", False), answer="the mug is in cabinet 3."), "process"),
        (
            replace(episode(("put", "put mug away", "fine.", True), answer="it is there.")),
            "deliverable",
        ),
        (episode(PUT, answer="the mug is in cabinet 3.", after=(PUT,)), "integrity"),
        (
            episode(
                PUT, ("put", "lock door", "refused.", False), PUT, answer="the mug is put, door lock done."
            ),
            "integrity",
        ),
    ],
)
async def test_each_dimension_finds_its_planted_lie(lie: Episode, dimension: str) -> None:
    """One finding of that dimension, no other, and the ruling is failure without a model."""
    found = findings(evidence_of(lie, TASK, WORLD.tools()))
    assert [one.dimension for one in found] == [dimension]
    assert (await verify(lie, TASK, WORLD)).outcome == "failure"


async def test_the_honest_twin_is_left_alone() -> None:
    """No finding; without a model nothing proves success either. Admitting a failure is honest too."""
    admitted = episode(("put", "lock door", "refused.", False), PUT, answer="could not lock door.")
    for honest in (HONEST, admitted):
        assert findings(evidence_of(honest, TASK, WORLD.tools())) == ()
        assert (await verify(honest, TASK, WORLD)).outcome == "unknown"


@given(
    tools=st.dictionaries(st.text("abc", min_size=1, max_size=3), st.booleans(), min_size=1, max_size=6),
    calls=st.lists(st.text("abc", min_size=1, max_size=3), max_size=8),
    data=st.data(),
)
async def test_only_read_only_tools_run_and_nothing_changes(
    tools: dict[str, bool], calls: list[str], data: st.DataObject
) -> None:
    """Whatever is called, lying tools too, the snapshot after is the snapshot before."""
    liars = data.draw(st.frozensets(st.sampled_from(sorted(tools))))
    world = Counter(tools, liars)
    door = ReadOnly(world, TASK)
    for name in calls:
        seen = await door.step(ToolCall("c", name, {}))
        assert (seen.ok is not False) == (tools.get(name, False) and name not in liars)
        assert world.n == 0


async def test_the_model_looks_and_rules() -> None:
    """Its plan is cut to what the difficulty allows; its name is in the ruling; writes are refused."""
    touch = Message("assistant", "", tool_calls=(ToolCall("x", "put", {}), ToolCall("y", "look", {})))
    model = ScriptedModel([json.dumps({"checks": ["a", "b", "c"]}), touch, YES, YES], name="judge-model")
    world = Counter({"put": False, "look": True})
    ruling = await verify(HONEST, TASK, world, model=model)
    assert (ruling.outcome, ruling.by, ruling.model, model.left) == ("success", "verifier", "judge-model", 0)
    assert (world.n, ruling.usage.calls) == (0, 4)
    told = [m.text for m in model.history[2].messages if m.role == "tool"]
    assert told[0].startswith("refused")
    assert told[1] == "n is 0"


async def test_a_check_that_fails_or_cannot_be_read() -> None:
    """`no` is a failure; words without form are `unknown`, as is a ninth action."""
    no = ScriptedModel(["no plan", json.dumps({"holds": "no", "reason": "empty"})])
    assert (await verify(HONEST, TASK, WORLD, model=no)).outcome == "failure"
    garbled = ScriptedModel(["no plan", "hm", YES])
    assert (await verify(HONEST, TASK, WORLD, model=garbled)).outcome == "unknown"
    look = Message("assistant", "", tool_calls=(ToolCall("y", "look", {}),))
    tireless = ScriptedModel(["no plan", *[look] * 9, YES])
    assert (await verify(HONEST, TASK, WORLD, model=tireless)).outcome == "unknown"
    assert tireless.left == 0


@pytest.mark.parametrize(("steps", "checks"), [(1, 2), (5, 2), (6, 4), (12, 4), (13, 6)])
def test_checks_grow_with_difficulty(steps: int, checks: int) -> None:
    """Two, four or six."""
    assert checks_for(replace(HONEST, steps=steps), VerifySettings()) == checks


@pytest.mark.parametrize(
    ("said", "bold"), [("success", [False]), ("unknown", [False]), ("failure", [False, True])]
)
async def test_exactly_one_retry(said: Outcome, bold: list[bool]) -> None:
    """Only where the verifier says no, and then exploring."""
    tried: list[bool] = []

    async def attempt(part: str, explore: bool) -> Ruling:
        tried.append(explore)
        return Ruling(said, "verifier")

    await retried("wash", attempt)
    assert tried == bold


async def test_replanned_after_every_part() -> None:
    """A prompt for success, one for failure, one for completeness; the new plan is followed."""
    plans = [["wash", "dry"], ["put away"], [], ["wipe"], [], []]
    model = ScriptedModel([json.dumps({"parts": parts}) for parts in plans])

    async def attempt(part: str, explore: bool) -> Ruling:
        return Ruling("failure" if part == "put away" else "success", "verifier")

    parts = await run("tidy", model.complete, attempt)
    assert [(part.text, part.is_done) for part in parts] == [
        ("wash", True),
        ("put away", False),
        ("wipe", True),
    ]
    asked = [request.messages[0].text for request in model.history]
    assert ["What is left" in text for text in asked] == [False, True, False, False, True, False]
    assert "failed twice" in asked[2]
    assert "whole task" in asked[3]
    assert "whole task" in asked[5]


async def test_blind_site_hides_how_it_went_and_look_changes_nothing() -> None:
    """The expert's way succeeds in truth; no observation says so; looking leaves the snapshot as it was."""
    tasks = SiteCatalogue("household")
    (task,) = tasks.tasks(site="maple 27", split="work", n=1)
    site = SiteWorld(tasks)
    world = Blind(site)
    await world.reset(task)
    said = []
    while commands := site.expert():
        seen = await world.step(ToolCall("c", "act", {"command": commands[0]}))
        said.append(seen.text)
        assert (seen.reward, seen.outcome) == (None, None)
    assert world.truth == "success"
    assert not any("the task is" in text for text in said)
    before = world.snapshot()
    looked = await ReadOnly(world, task).step(ToolCall("c", "look", {}))
    assert looked.ok
    assert looked.text
    assert "the task" not in looked.text
    assert world.snapshot() == before
    ended = await world.step(ToolCall("c", "finish", {"answer": "done"}))
    assert (ended.done, ended.outcome, ended.reward) == (True, "unknown", None)


async def test_the_loop_asks_the_verifier_only_where_nobody_knows() -> None:
    """A lie in the answer makes a blind run a failure by the verifier; without one it stays unknown."""
    tasks = SiteCatalogue("household")
    (task,) = tasks.tasks(site="maple 27", split="work", n=1)
    lie = Message("assistant", "", tool_calls=(ToolCall("x", "finish", {"answer": "it is in vault 99."}),))
    outcomes = []
    for verifier in (None, Verifier()):
        agent = Agent(ScriptedModel([lie]), None, verifier=verifier)
        journal = MemoryJournal()
        place = Run("ns", "ann", "e1")
        done = await agent.run(task, Blind(SiteWorld(tasks)), place, journal)
        outcomes.append((done.outcome, done.reward, done.outcome_by))
        again = await agent.run(task, Blind(SiteWorld(tasks)), place, journal)
        assert again == done
    assert outcomes == [("unknown", None, None), ("failure", 0.0, "verifier")]


@pytest.mark.parametrize(("holds", "by"), [("yes", "verifier"), ("no", "rule"), ("unknown", "rule")])
async def test_out_of_steps_is_a_failure_unless_a_verifier_finds_it_done(holds: str, by: str) -> None:
    """Steps that a guard sent back leave fewer than the world allows: what was done may still be whole."""
    put = Message("assistant", "", tool_calls=(ToolCall("x", "put", {"thing": "mug", "in": "cabinet 3"}),))
    checks = json.dumps({"checks": ["Is the mug there?"]})
    verifier = Verifier(ScriptedModel([checks, json.dumps({"holds": holds})]))
    agent = Agent(ScriptedModel([put]), None, verifier=verifier)
    world = Counter({"put": False, "look": True})
    done = await agent.run(replace(TASK, max_steps=1), world, Run("ns", "ann", "e1"))
    assert done.outcome_by == by
    assert (done.outcome, done.error) == (
        ("success", None) if by == "verifier" else ("failure", "no steps are left of 1")
    )
