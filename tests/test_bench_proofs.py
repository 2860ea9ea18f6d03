"""The proofs of the learning bench measure what they say they measure."""

import asyncio
import math
from pathlib import Path
from random import Random

import pytest

from agent.models.scripted import FunctionModel
from agent.types import Request
from agent.worlds.site import make_site
from memory.core import Memory
from memory.encoder import HashEncoder
from memory.types import Draft, Episode, Evidence, Lineage, Message, PrincipleBody
from memory.value.lift import Toss, lift_of, verdict
from notebooks.bench_learning import ablations, cooperative, null, planted, poison, scenes
from notebooks.bench_learning.blind import holds
from notebooks.bench_learning.notes import Records
from notebooks.bench_learning.null import NullRun
from notebooks.bench_learning.plan import Plan
from notebooks.bench_learning.redrawn import expected, redrawn, tossed
from notebooks.bench_learning.scenes import Kind, Scene
from notebooks.bench_learning.stage import Echo

STORY = "You check the work of another. Task: {}\nobserve: {}"


async def test_an_echo_asks_once() -> None:
    model = FunctionModel(lambda messages: f"heard {messages[-1].text}")
    echo = Echo(model)
    asked = [Request((Message("user", text),)) for text in ("a", "b", "a")]
    replies = await asyncio.gather(*(echo.complete(request) for request in asked))
    assert [reply.message.text for (reply,) in replies] == ["heard a", "heard b", "heard a"]
    assert len(model.history) == 2


def test_redrawn_coins_are_weighed_as_memory_weighs_them() -> None:
    """The same coins and rewards, one episode after the other, give the same decisions."""
    rng = Random("rewards")
    rewards = [float(rng.random() < 0.4) for _ in range(40)]
    found = redrawn(rewards, runs=12, principles=3, rate=0.5, seed=1)
    coins = tossed(12, 3, len(rewards), 0.5, 1)
    for run, decided in enumerate(found):
        for place in range(3):
            tosses = [
                Toss(bool(coins[run, place, n]), 0.5, reward, expected(rewards[:n]))
                for n, reward in enumerate(rewards)
            ]
            said = [verdict(lift_of(tosses[: n + 1]), place + 1) for n in range(len(tosses))]
            first = next((one for one in said if one in {"promote", "retire"}), None)
            assert (place + 1 in decided.promoted) == (first == "promote")
            assert (place + 1 in decided.retired) == ("retire" in said)


def test_coins_that_change_nothing_seldom_promote() -> None:
    """Over rewards that drift, at any time one looks."""
    rng = Random("drift")
    rewards = [float(rng.random() < 0.1 + 0.8 * n / 80) for n in range(80)]
    for rate in null.RATES:
        found = redrawn(rewards, runs=400, principles=10, rate=rate, seed=2)
        assert sum(bool(one.promoted) for one in found) <= 0.05 * len(found)


async def test_the_court_promotes_what_helps(tmp_path: Path) -> None:
    """Or a null that promotes nothing would say nothing."""
    with Memory.open(tmp_path / "memory.db", encoder=HashEncoder()) as memory:
        decided = await null.live(memory, NullRun(0, 0.5, 2, 60, "first helps"))
    assert decided.promoted == (1,)


def test_poison_is_planted_where_the_probe_says() -> None:
    """Three easy things, the one that loses most by a lie first; hard ones of other things."""
    rows = [
        {"thing": thing, "machine": machine, "n": 4, "nothing": nothing, "right": right, "wrong": wrong}
        for thing, machine, nothing, right, wrong in (
            ("pen", False, 4, 4, 3),
            ("mug", False, 4, 4, 0),
            ("cup", False, 3, 4, 2),
            ("mug", True, 0, 1, 0),
            ("egg", True, 0, 2, 0),
            ("pan", True, 0, 4, 0),
        )
    ]
    assert scenes.scene("maple 21", rows) == Scene(
        "maple 21", (Kind("mug", False), Kind("cup", False), Kind("pen", False)), (Kind("egg", True),)
    )
    assert scenes.scene("maple 21", [{**row, "wrong": 4} for row in rows]) is None


def test_what_is_run_was_not_probed() -> None:
    kinds = [Kind(thing, False) for thing in make_site("household", "maple 21").homes]
    here = Scene("maple 21", tuple(kinds[:3]), tuple(kinds[3:5]))
    order = scenes.order(here, 1, 40)
    probed = {task.id for task, _ in scenes.tasks_of("maple 21", "probe")}
    assert not probed & {task.id for task in order}
    things = [str(task.config["things"]) for task in order[::2]]
    assert things.count(str([here.easy[0].thing])) == 5, "one easy task in four is what is lied about"


def test_the_share_of_honest_cases_above_the_poison() -> None:
    rows = [
        {"name": name, "lift": lift} for name, lift in (("poison", 0.1), ("a", 0.2), ("b", 0.1), ("c", 0.0))
    ]
    assert poison.ranked_below(rows, "lift") == 0.5


@pytest.mark.parametrize(
    ("task", "seen", "scene", "said"),
    [
        (
            "put the mug in cabinet 3.",
            "the mug is in cabinet 3 now.",
            "in cabinet 3 you see mug, pen.",
            "yes",
        ),
        ("put the mug in cabinet 3.", "nothing happens.", "in cabinet 3 you see pen.", "no"),
        ("put the mug in cabinet 3.", "nothing happens.", "in cabinet 13 you see mug.", "no"),
        ("put the hot mug on desk 3.", "the mug is hot now.", "on desk 3 you see mug.", "yes"),
        ("put the hot mug on desk 3.", "you put the mug on desk 3.", "on desk 3 you see mug.", "no"),
        ("look at the pen under lamp 9.", "you look at the pen under lamp 9.", "you are at lamp 9.", "yes"),
        ("look at the pen under lamp 9.", "nothing happens.", "you are at lamp 9.", "no"),
        ("put the mug on desk 3.", "you broke a house rule: wipe feet.", "on desk 3 you see mug.", "no"),
        ("count the spoons.", "", "on desk 3 you see spoon.", "unknown"),
    ],
)
def test_the_inspector_reads_log_and_look(task: str, seen: str, scene: str, said: str) -> None:
    assert holds(task, STORY.format(task, seen), scene) == said


@pytest.mark.parametrize("word", cooperative.WORDS)
def test_constitutions_are_served_where_none_was_built(word: str) -> None:
    """At sites of the same owner, who wants something done first."""
    built, served = cooperative.sites_of(word)
    assert (len(built), len(served)) == (3, 2)
    assert not set(built) & set(served)
    rules = {make_site("estate", site).rules.entry for site in (*built, *served)}
    assert len(rules) == 1
    assert None not in rules


def test_only_what_several_sites_showed_is_cut_to(tmp_path: Path) -> None:
    """One principle of each text."""
    said = (
        ("wipe feet", "x", "a"),
        ("wipe feet again", "x", "b"),
        ("ring bell", "x", "b"),
        ("ring bell", "y", "c"),
    )
    drafts = [
        Draft(
            "principle",
            text,
            PrincipleBody("family", "symbolic"),
            scope="family",
            family=family,
            lineage=Lineage((Evidence(episode, 0),)),
        )
        for text, family, episode in said
    ]
    lived = [
        Episode(name, "home", "t", "do", "none", family, "g", (), "success")
        for name, family in (("a", "x"), ("b", "x"), ("c", "y"))
    ]
    with Memory.open(tmp_path / "memory.db", encoder=HashEncoder()) as memory:
        items = memory.remember("home", drafts, principal="ada", channel="user")
    assert [item.text for item in cooperative.seen_far(items, lived)] == ["ring bell"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_proof_runs_and_has_its_tables(tmp_path: Path) -> None:
    """Small: numbers are finite, what is done is not done again."""
    plan = Plan(tmp_path / "folder", tmp_path / "out").quick
    for proof in (planted, poison, null, cooperative, ablations):
        proof.measure(plan)
    kept = {path.name: path.read_text(encoding="utf-8") for path in plan.out.glob("*.jsonl")}
    for proof in (planted, poison, null, cooperative, ablations):
        proof.measure(plan)
        records = Records.of(plan.out)
        parts = proof.tables(records)
        assert parts[0].startswith("## ")
        assert any(part.startswith("|") for part in parts)
        assert all(len(goal) == 3 for goal in proof.goals(records))
        assert not any(str(math.nan) in part for part in parts)
    assert {path.name: path.read_text(encoding="utf-8") for path in plan.out.glob("*.jsonl")} == kept
