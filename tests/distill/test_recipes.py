"""Every recipe, built from real episodes: what trains, what does not, and that its mechanism is why."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import pytest

from agent.models.local.chat import Chat
from agent.models.scripted import ScriptedModel
from agent.planners.admitted import ASKED as CAN_YOU
from agent.planners.team import Team
from agent.prompt import command_of
from agent.tools import ToolWorld
from agent.types import ANSWER_TOOL, Judgement, Task
from distill.build import build
from distill.bundle import Admission, Bundle
from distill.recipes import RECIPES, recipe_named
from distill.render import render
from distill.select import Everything, Success
from distill.shapes.masks import MaskErrors, Whole
from distill.signals.outcomes import Outcome, Uniform
from distill.types import Recipe, Row
from memory.errors import DistillError
from memory.types import Episode, Message, ToolCall
from tests.distill.lived import NAMESPACE, everything, lived

ADMISSION = Admission(origins=("real", "synthetic"))
GENERAL = tuple(
    Row(f"g{n}", (Message("user", f"hi {n}", weight=0.0), Message("assistant", "hello", weight=1.0)), (0, 1))
    for n in range(200)
)
STRAY = "use nothing 9"


@dataclass(frozen=True)
class Built:
    """The rows of a recipe, and the episodes they are of."""

    rows: tuple[Row, ...]
    lived: dict[str, Episode]

    def of(self, begins: str) -> list[Row]:
        """The rows of these episodes."""
        return [row for row in self.rows if row.episode.startswith(begins)]

    def weights(self, begins: str, words: str = "") -> list[float]:
        """Of the assistant's messages with these words or calls."""
        return [
            one.weight or 0.0
            for row in self.of(begins)
            for one in row.messages
            if one.role == "assistant" and words in said(one)
        ]

    @property
    def outcomes(self) -> set[str]:
        """Of the episodes of the rows."""
        return {self.lived[row.episode].outcome for row in self.rows if row.episode in self.lived}


@pytest.fixture(scope="module")
def pool() -> tuple[Episode, ...]:
    """Episodes of all planners and worlds."""
    return asyncio.run(everything())


def said(message: Message) -> str:
    return " ".join([message.text, *map(command_of, message.tool_calls)])


def targets(row: Row) -> list[str]:
    return [said(one) for one in row.messages if one.weight]


def made(pool: Sequence[Episode], recipe: Recipe) -> Built:
    dataset = build(recipe, Bundle(NAMESPACE, tuple(pool), {}), 0, ADMISSION, GENERAL)
    return Built(dataset.rows, {one.id: one for one in pool})


def step(rows: Built) -> None:
    """What the world refused is context, what was done about it trains; failures teach nothing."""
    assert rows.outcomes == {"success"}
    assert set(rows.weights("home0-mended", STRAY)) == {0.0}
    assert set(rows.weights("home0-mended", "go to")) == {1.0}


def internalise(rows: Built) -> None:
    """Only what memory helped with: without it, and with it; two general rows for each three."""
    ours = [row for row in rows.rows if row.stream != "general"]
    assert {row.episode for row in ours} == {"helped"}
    assert {row.stream: row.has_memory for row in ours} == {"main": False, "with memory": True}
    assert len(rows.rows) - len(ours) == 2
    assert any(one.kind == "memory" for one in rows.lived["helped"].messages)


def agentevol(rows: Built) -> None:
    """One success a task, the shortest."""
    tasks = [rows.lived[row.episode].task_id for row in rows.rows]
    assert len(set(tasks)) > 5
    assert len(rows.of("home1")) == 1
    assert rows.outcomes == {"success"}


def agenttuning(rows: Built) -> None:
    """A fifth is ours."""
    n_general = sum(row.stream == "general" for row in rows.rows)
    assert n_general == 4 * (len(rows.rows) - n_general)


def faft(rows: Built) -> None:
    """Failures train, and say that they are wanted; the prefix that serves is that of good rows."""
    best = recipe_named("faft").prompt_prefix or "none"
    assert rows.outcomes == {"success", "failure"}
    assert all("wanted: failure" in row.messages[0].text for row in rows.of("home0-lost"))
    assert min(rows.weights("home0-lost")) == 1.0
    assert all(row.messages[0].text.startswith(best) for row in rows.of("home0-straight"))


def synatra(rows: Built) -> None:
    """A document's demonstration that goes in the world, and none that does not."""
    assert len(rows.of("doc-true")) == 1
    assert rows.of("doc-false") == []


def world_model(rows: Built) -> None:
    """What was answered trains, and nothing else."""
    for row in rows.rows:
        (target,) = [one for one in row.messages if one.weight]
        source = rows.lived[row.episode].messages[row.indices[-1]]
        assert (source.kind, source.role, source.text) == ("observe", "tool", target.text)


def rerest(rows: Built) -> None:
    """A repaired failure twice: done, and done by who hears what was wrong."""
    alone, told = sorted(rows.of("home0-mended"), key=lambda row: len(row.messages))
    assert alone.also == told.also == ("home0-lost",)
    assert f"that was wrong: {STRAY}" in told.messages[0].text
    assert targets(alone) == targets(told)
    assert not any(STRAY in one for one in targets(alone))


def revise(rows: Built) -> None:
    """A good way on from the first error, with a thought that names it; the error is context."""
    revised = [row for row in rows.of("home0-straight") if row.also]
    assert [row.also for row in revised] == [("home0-lost",)]
    assert targets(revised[0])[0].startswith(f"that was wrong: {STRAY}")
    assert not any(said(one).endswith(f"> {STRAY}") for one in revised[0].messages if one.weight)
    assert len(rows.of("home0-straight")) == 2


def refine(rows: Built) -> None:
    """All went wrong and then right; wrong turns are context."""
    assert {row.episode for row in rows.of("home")} == {"home0-mended", "home1-mended", "home2-mended"}
    assert set(rows.weights("home", STRAY)) == {0.0}
    assert all(row.messages[-1].weight for row in rows.rows)


def self(rows: Built) -> None:
    """Critique, repair, direct."""
    assert len(rows.of("home0")) == 3
    (critique,) = rows.of("home0-lost")
    assert [one[:15] for one in targets(critique)] == ["that was wrong:"]


def srpo(rows: Built) -> None:
    """A wrong first answer is context; the critique that mended it is worth most."""
    (whole,) = [row for row in rows.of("checked") if len(targets(row)) > 1]
    lie = next(n for n, one in enumerate(whole.messages) if "vault 99" in said(one))
    assert not any(one.weight for one in whole.messages[: lie + 1])
    (critique,) = [row for row in rows.of("checked") if row is not whole]
    assert targets(critique) == ["nobody ever saw 'vault 99'"]
    assert (critique.messages[-1].weight or 0.0) >= max(one.weight or 0.0 for one in whole.messages)


def agent0vl(rows: Built) -> None:
    """The verifier's word is the weight, and its confirmed word is learned."""
    assert set(rows.weights("home0-mended", STRAY)) == {0.0}
    assert set(rows.weights("home0-mended", "go to")) == {0.9}
    (critique,) = rows.of("home0-lost")
    assert critique.messages[-1].kind == "critique"


def autosafe(rows: Built) -> None:
    """The unsafe act is nowhere but in its refusal's place; harmless work is half."""
    (safe,) = [row for row in rows.rows if row.stream == "main"]
    assert targets(safe) == [" mv photos archive"]
    assert not any("rm -rf" in said(one) for one in safe.messages)
    assert [row.stream for row in rows.rows].count("benign") == 1


def autosafe_pairs(rows: Built) -> None:
    """What is safe is preferred to what is not."""
    (pair,) = rows.rows
    assert pair.rejected is not None
    assert "rm -rf photos" in said(pair.rejected)
    assert targets(pair) == [" mv photos archive"]


def webrl(rows: Built) -> None:
    """One act a row, with an advantage of either sign."""
    last = [row.messages[-1].weight or 0.0 for row in rows.rows]
    assert min(last) < 0.0 < max(last)
    assert all(len(targets(row)) == 1 for row in rows.rows)


def awr(rows: Built) -> None:
    """Attempts that went badly from where others went well weigh less than those."""
    assert fmean(rows.weights("home0-lost")) < 0.8 * fmean(rows.weights("home0-straight"))


def read(rows: Built) -> None:
    """The stray act weighs less than the right one in the same place, also in the success."""
    (stray,), right = rows.weights("home0-mended", STRAY), rows.weights("home0-straight")[1]
    assert stray < right


def marft(rows: Built) -> None:
    """Turn by turn, each member by what it saw; what led nowhere weighs less."""
    done = rows.lived["team-done"]
    assert len(rows.of("team-done")) == done.steps
    assert all(len(targets(row)) == 1 for row in rows.rows)
    assert len({round(one, 6) for one in rows.weights("team") if one}) > 2


def comas(rows: Built) -> None:
    """The critique that found a lie out is worth more than the lie."""
    (critique,) = [row for row in rows.rows if row.messages[-1].kind == "critique"]
    assert targets(critique) == ["nobody ever saw 'vault 99'"]
    assert (critique.messages[-1].weight or 0.0) > max(rows.weights("checked", "peek"))


def mae(rows: Built) -> None:
    """What scored is worth more than what did not; the judge learns what it found, solver's words in view."""
    assert fmean(rows.weights("town1")) > 2 * fmean(rows.weights("town2"))
    (judge,) = [row for row in rows.rows if row.messages[-1].kind == "critique"]
    assert targets(judge) == ["nobody ever saw 'vault 99'"]


def malt_1(rows: Built) -> None:
    """Acts that more often than not led to the right end, and no others."""
    assert set(rows.weights("home0-mended", STRAY)) == {0.0}
    assert set(rows.weights("home0-straight", "go to")) == {1.0}
    assert set(rows.weights("home0-lost", "look")) == {0.0}


def malt(rows: Built) -> None:
    """A good act before a bad one, after the same words."""
    pair = next(row for row in rows.of("home0-straight"))
    assert pair.rejected is not None
    assert STRAY in said(pair.rejected)
    assert not any(STRAY in one for one in targets(pair))


def pilot_1(rows: Built) -> None:
    """Acts under a plan, by how near they are to it; the plan is context; what had none gets one."""
    (mended,) = rows.of("home0-mended")
    (plan,) = [one for one in mended.messages if one.kind == "plan"]
    assert not plan.weight
    for one in mended.messages:
        if one.kind == "act":
            assert bool(one.weight) is (command_of(one.tool_calls[0]) in plan.text)
    assert not rows.of("home0-lost")
    weights = rows.weights("plan-with")
    assert all(0.0 < one < 1.0 for one in weights)
    (planned,) = rows.of("plan-with")
    assert any(one.kind == "plan" and not one.weight for one in planned.messages)


def pilot_2(rows: Built) -> None:
    """Plans alone, as they are asked for; also those of hindsight."""
    assert {"plan-with", "home0-mended"} <= {row.episode for row in rows.rows}
    for row in rows.rows:
        (target,) = targets(row)
        assert {"steps"} == set(json.loads(target)) or {"goal", "query"} >= set(json.loads(target))


def pilot(rows: Built) -> None:
    """Both: the acts behind a plan, and the plan."""
    acts, plan = sorted(rows.of("home0-mended"), key=lambda row: -len(row.messages))
    assert len(targets(acts)) == len(rows.lived["home0-mended"].messages) // 2 - 1
    assert next(one for one in acts.messages if one.kind == "plan").text.startswith("Plan:")
    assert list(json.loads(targets(plan)[0])) == ["steps"]


def ssrl(rows: Built) -> None:
    """What stands between the marks is read; the rest of the message trains."""
    (row,) = rows.of("informed")
    (target,) = [one for one in row.messages if one.weight]
    assert [target.text[one.begin : one.end] for one in target.spans] == [
        "<information> Rome is old. </information>"
    ]


def researcher(rows: Built) -> None:
    """Verdicts of both kinds, noise in the place of finds; a query that found nothing is not learned."""
    answers = [json.loads(row.messages[-1].text) for row in rows.rows if len(targets(row)) == 1]
    met = [one["met"] for one in answers if "met" in one]
    assert met.count(True) == 4
    assert met.count(False) == 2 + 4
    assert {"goal": "the mayor of Ormar", "query": "the mayor of Ormar"} not in answers
    assert {"goal": "the river of Belton", "query": "the river of Belton"} in answers


def knowrl(rows: Built) -> None:
    """What can be done, by what was; what is known better weighs more."""
    answers = {rows.lived[row.episode].task_id: row.messages[-1] for row in rows.rows}
    assert all(row.messages[-2].text == CAN_YOU for row in rows.rows)
    assert answers["town-1"].text == "yes"
    assert answers["town-2"].text == "no"
    assert (answers["town-1"].weight or 0.0) > 0.0


def agent0(rows: Built) -> None:
    """The answers of most attempts, where most agree and not all; trusted the less the fewer do."""
    assert {row.episode for row in rows.rows} == {"town0-0", "town0-1"}
    assert [round(one, 3) for one in rows.weights("town0")] == [0.893, 0.893]


def agent0_proposer(rows: Built) -> None:
    """Tasks that might go either way."""
    proposed = {row.messages[-1].text: row.messages[-1].weight for row in rows.rows}
    assert "Name town 0." in proposed
    assert not {"Name town 1.", "Name town 2."} & set(proposed)


def mae_proposer(rows: Built) -> None:
    """Hard ones, but none that nobody ever did."""
    proposed = {row.messages[-1].text: row.messages[-1].weight or 0.0 for row in rows.rows}
    assert "Name town 2." not in proposed
    assert proposed["Name town 0."] == pytest.approx(1 / 3)


CHECKS: dict[str, tuple[Callable[[Built], None], Callable[[Recipe], Recipe]]] = {
    "step": (step, lambda one: replace(one, shape=Whole())),
    "internalise": (internalise, lambda one: replace(one, shape=MaskErrors())),
    "agentevol": (agentevol, lambda one: replace(one, select=Success())),
    "agenttuning": (agenttuning, lambda one: replace(one, mixture=())),
    "faft": (faft, lambda one: replace(one, shape=Whole())),
    "synatra": (synatra, lambda one: replace(one, shape=MaskErrors())),
    "world_model": (world_model, lambda one: replace(one, shape=Whole())),
    "rerest": (rerest, lambda one: replace(one, shape=MaskErrors())),
    "revise": (revise, lambda one: replace(one, shape=MaskErrors())),
    "refine": (refine, lambda one: replace(one, shape=MaskErrors())),
    "self": (self, lambda one: replace(one, shape=MaskErrors())),
    "srpo": (srpo, lambda one: replace(one, signal=Uniform())),
    "agent0vl": (agent0vl, lambda one: replace(one, signal=Uniform())),
    "autosafe": (autosafe, lambda one: replace(one, shape=Whole())),
    "autosafe_pairs": (autosafe_pairs, lambda one: replace(one, signal=Uniform())),
    "webrl": (webrl, lambda one: replace(one, signal=Outcome())),
    "awr": (awr, lambda one: replace(one, signal=Uniform())),
    "read": (read, lambda one: replace(one, signal=Uniform())),
    "marft": (marft, lambda one: replace(one, shape=Whole())),
    "comas": (comas, lambda one: replace(one, signal=Uniform())),
    "mae": (mae, lambda one: replace(one, signal=Uniform())),
    "malt.1": (malt_1, lambda one: replace(one, signal=Outcome())),
    "malt": (malt, lambda one: replace(one, signal=Uniform())),
    "pilot.1": (pilot_1, lambda one: replace(one, signal=Outcome())),
    "pilot.2": (pilot_2, lambda one: replace(one, shape=Whole())),
    "pilot": (pilot, lambda one: replace(one, shape=Whole())),
    "ssrl": (ssrl, lambda one: replace(one, shape=Whole())),
    "researcher": (researcher, lambda one: replace(one, signal=Uniform())),
    "knowrl": (knowrl, lambda one: replace(one, signal=Uniform())),
    "agent0": (agent0, lambda one: replace(one, select=Everything())),
    "agent0_proposer": (agent0_proposer, lambda one: replace(one, signal=Uniform())),
    "mae_proposer": (mae_proposer, lambda one: replace(one, select=Everything())),
}
"""What holds of each recipe's rows, and the recipe without its mechanism."""


def test_every_recipe_is_checked() -> None:
    """Names are given once, and stages follow ones that there are."""
    assert [one.name for one in RECIPES] == list(dict.fromkeys(one.name for one in RECIPES))
    assert {one.name for one in RECIPES} == set(CHECKS)
    assert all(recipe_named(one.after) for one in RECIPES if one.after)


@pytest.mark.parametrize("name", list(CHECKS))
def test_it_trains_what_the_paper_says(pool: tuple[Episode, ...], name: str) -> None:
    """From real episodes of all kinds together."""
    check, _ = CHECKS[name]
    check(made(pool, recipe_named(name)))


@pytest.mark.parametrize("name", list(CHECKS))
def test_without_its_mechanism_it_does_not(pool: tuple[Episode, ...], name: str) -> None:
    """So the check above is about the mechanism."""
    check, without = CHECKS[name]
    with pytest.raises((AssertionError, DistillError, ValueError, IndexError, KeyError, StopIteration)):
        check(made(pool, without(recipe_named(name))))


def test_the_pool_is_the_same_each_time(pool: tuple[Episode, ...]) -> None:
    """Nothing in it is drawn by chance."""
    assert asyncio.run(everything()) == pool


@pytest.mark.parametrize("name", list(CHECKS))
def test_what_is_trained_is_what_is_served(pool: tuple[Episode, ...], name: str, chat: Chat) -> None:
    """Rows of a bundled world become tokens, each served prompt a prefix of them; targets have weight."""
    try:
        rows = made([one for one in pool if one.world == "household"], recipe_named(name)).rows
    except DistillError:
        return  # a recipe of teams, plans or searches has nothing to learn there
    for row in rows:
        tokens = render(row, chat)
        assert any(tokens.weights) is not row.is_empty
        assert len(tokens.tokens) == len(tokens.weights)


def test_what_is_asked_beside_the_turns_is_asked_without_tools(
    pool: tuple[Episode, ...], base: Path, tmp_path: Path
) -> None:
    """As the planners ask; turns are told of their tools."""
    folder = Path(shutil.copytree(base, tmp_path / "full"))
    (folder / "apprentice.json").write_text('{"style": "full", "stop": ["<end>"]}', encoding="utf-8")
    chat = Chat.open(folder)
    plans = made(pool, recipe_named("pilot.2"))
    assert {row.tools for row in plans.rows} == {()}
    assert all(any(render(row, chat).weights) for row in plans.of("plan-with"))
    assert all(row.tools for row in made(pool, recipe_named("step")).of("home"))
    assert all(row.tools for row in made(pool, recipe_named("knowrl")).of("home"))


def test_the_roles_of_a_team_learn_each_its_own_part() -> None:
    """Generator, verifier and refiner, each behind what it was shown."""
    roles = ("generator", "verifier", "refiner")
    parts = {
        "roles-right": ("it is 20", "7 and 4 is 11: the last digit is 1", "21"),
        "roles-wrong": ("it is 20", "this is right", "20"),
    }
    pool = asyncio.run(_in_roles(roles, parts))
    assert [one.outcome for one in pool] == ["success", "failure"]
    by_role = made(pool, recipe_named("malt.1")).rows
    assert {row.episode for row in by_role} == {"roles-right"}
    turns = {
        one.text.split(".")[0]: targets(row)
        for row in by_role
        for one in row.messages
        if one.text.startswith("It is your turn")
    }
    assert {turn: len(said) for turn, said in turns.items()} == {
        "It is your turn, verifier": 1,
        "It is your turn, refiner": 1,
    }
    assert parts["roles-right"][1] in turns["It is your turn, verifier"][0]
    assert '"21"' in turns["It is your turn, refiner"][0]
    assert all("it is 20" in " ".join(map(said, row.messages)) for row in by_role)
    together = made(pool, replace(recipe_named("malt.1"), shape=Whole())).rows
    assert [len(targets(row)) for row in together] == [2]


@pytest.mark.parametrize(
    ("role", "good", "bad"),
    [
        ("generator", ("it is 21", "right", "21"), ("it is 20", "right", "20")),
        ("verifier", ("it is 20", "7 and 4 is 11", "21"), ("it is 20", "this is right", "20")),
        ("refiner", ("it is 20", "7 and 4 is 11", "21"), ("it is 20", "7 and 4 is 11", "20")),
    ],
)
def test_the_roles_of_a_team_are_compared_each_by_itself(
    role: str, good: tuple[str, ...], bad: tuple[str, ...]
) -> None:
    """What a role said in a good branch before what it said in a bad one, behind what it was shown."""
    roles = ("generator", "verifier", "refiner")
    pool = asyncio.run(_in_roles(roles, {"roles-right": good, "roles-wrong": bad}))
    (pair,) = made(pool, recipe_named("malt")).rows
    place = roles.index(role)
    assert good[place] in targets(pair)[0]
    assert pair.rejected is not None
    assert bad[place] in said(pair.rejected)
    shown = [one for one in pair.messages[:-1] if one.kind != "system"]
    assert shown[-1].text.startswith(f"It is your turn, {role}.")
    assert [one.text for one in shown if " says: " in one.text] == [
        f"{who} says: {what}" for who, what in zip(roles[:place], good, strict=False)
    ]
    assert not any(one.tool_calls for one in shown)
    assert pair.also == ("roles-wrong",)


async def _in_roles(roles: tuple[str, ...], parts: dict[str, tuple[str, ...]]) -> tuple[Episode, ...]:
    def check(_: Task, answer: str) -> Judgement:
        return Judgement(float(answer == "21"), answer == "21")

    def calls(said: tuple[str, ...]) -> list[Message]:
        told = [ToolCall("", "say", {"to": "everybody", "text": one}) for one in said[:-1]]
        told.append(ToolCall("", ANSWER_TOOL, {"answer": said[-1]}))
        return [Message("assistant", "", tool_calls=(call,)) for call in told]

    task = Task("sum-0", "What is 17 + 4?", "tools", "sums", max_steps=9)
    return tuple(
        [
            await lived(name, task, ToolWorld(check=check), ScriptedModel(calls(told)), planner=Team(roles))
            for name, told in parts.items()
        ]
    )
