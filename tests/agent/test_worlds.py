"""The bundled worlds: determinism, solvability, hidden facts, splits, snapshots."""

import hashlib
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.worlds.catalogue import SPLITS, SiteWorld, catalogue
from agent.worlds.domain import WORLDS
from agent.worlds.sim import Simulation, rule_sentences
from agent.worlds.site import HELD_OUT_FAMILIES, goals, held_out_sites, is_held_out, make_site, wordings
from agent.worlds.teacher import Knowledge, Teacher, full_knowledge
from memory.errors import BadInput, WorldError
from memory.types import ToolCall

SITES = held_out_sites(6)


def act(command: str) -> ToolCall:
    return ToolCall("c", "act", {"command": command})


def play(domain: str, site_name: str, seed: int, *, knows: bool) -> tuple[str, int]:
    """Outcome and steps of a teacher with full or no knowledge on one random trained family."""
    site = make_site(domain, site_name, seed)
    offers = [goal for goal in goals(site) if goal.family not in HELD_OUT_FAMILIES]
    sim = Simulation(site, random.Random(seed).choice(offers), max_steps=14, wording_seed=str(seed))
    teacher = Teacher(sim, full_knowledge(site) if knows else Knowledge())
    while True:
        _, command = teacher.decide()
        observation = sim.step(command)
        teacher.saw(command, observation.text)
        if observation.done:
            return str(observation.outcome), sim.state.steps


@pytest.mark.parametrize("domain", sorted(WORLDS))
def test_full_knowledge_solves_every_task_within_the_limit(domain: str) -> None:
    """The oracle never fails: each generated task is solvable with the hidden facts known."""
    outcomes = {play(domain, SITES[seed % 6], seed, knows=True)[0] for seed in range(300)}
    assert outcomes == {"success"}


@pytest.mark.parametrize("domain", sorted(WORLDS))
def test_ignorance_costs_most_tasks(domain: str) -> None:
    """What a site hides is worth knowing: a sensible searcher without it fails most tasks."""
    wins = sum(play(domain, SITES[seed % 6], seed, knows=False)[0] == "success" for seed in range(300))
    assert 0.05 < wins / 300 < 0.4


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(SITES), st.sampled_from(sorted(WORLDS)), st.lists(st.text(max_size=20), max_size=6))
async def test_any_command_is_answered_and_the_same_command_has_the_same_answer(
    site: str, domain: str, commands: list[str]
) -> None:
    """Two worlds given the same task and commands say the same things, whatever the commands."""
    world_kind = catalogue(domain)
    (task,) = world_kind.tasks(site=site, split="work", n=1)
    answers = []
    for world in (world_kind.make(), world_kind.make()):
        seen = [await world.reset(task)]
        seen += [await world.step(act(command)) for command in commands]
        answers.append(seen)
    assert answers[0] == answers[1]


async def test_a_snapshot_survives_json_and_restores_the_exact_state() -> None:
    """Restoring into a fresh world and going on gives the same rest of the episode."""
    kind = catalogue("household")
    for task in kind.tasks(site=SITES[0], split="work", n=12):
        world, other = kind.make(), kind.make()
        await world.reset(task)
        assert isinstance(world, SiteWorld)
        assert isinstance(other, SiteWorld)
        for _ in range(3):
            await world.step(act(world.expert()[0]))
        other.restore(task, json.loads(json.dumps(world.snapshot())))
        done = False
        while not done:
            command = world.expert()[0]
            assert other.expert() == (command,)
            first, second = await world.step(act(command)), await other.step(act(command))
            assert first == second
            done = first.done
        assert first.outcome == "success"
        assert world.expert() == ()


def test_splits_share_no_task_and_are_stable() -> None:
    """A task is in `work` or in `gate`, never both, and listing twice gives the same tasks."""
    kind = catalogue("household")
    work = {task.id for task in kind.tasks(site=SITES[1], split="work", n=60)}
    gate = {task.id for task in kind.tasks(site=SITES[1], split="gate", n=24)}
    assert not work & gate
    assert kind.tasks(site=SITES[1], split="gate", n=5) == kind.tasks(site=SITES[1], split="gate", n=5)


def test_held_out_splits_hold_what_training_never_saw() -> None:
    """`family` has only held-out families; `wording` only the last wording."""
    kind = catalogue("workshop")
    assert {t.config["family"] for t in kind.tasks(site=SITES[2], split="family", n=10)} == set(
        HELD_OUT_FAMILIES
    )
    assert {t.config["wording"] for t in kind.tasks(site=SITES[2], split="wording", n=10)} == {2}
    assert all(is_held_out(site) for site in SITES)


def test_every_configuration_round_trips() -> None:
    """A task can be rebuilt from its own configuration."""
    kind = catalogue("household")
    for split in SPLITS:
        for task in kind.tasks(site=SITES[3], split=split, n=8):
            assert kind.task(task.config) == task


@pytest.mark.parametrize("domain", sorted(WORLDS))
def test_breaking_a_house_rule_ends_the_task_and_states_the_rule(domain: str) -> None:
    """Opening the forbidden place fails the task with the rule in words."""
    site = next(s for s in (make_site(domain, SITES[0], n) for n in range(50)) if s.rules.forbidden)
    sim = Simulation(site, next(goals(site)), max_steps=14, wording_seed="w")
    sim.step(f"go to {site.rules.forbidden}")
    observation = sim.step(f"open {site.rules.forbidden}")
    assert (observation.done, observation.outcome) == (True, "failure")
    assert f"do not open {site.rules.forbidden}." in observation.text
    assert f"do not open {site.rules.forbidden}." == observation.rule
    assert f"do not open {site.rules.forbidden}." in rule_sentences(site)


def test_nonsense_is_refused_without_changing_anything() -> None:
    """Unknown commands answer `nothing happens.` with ok False and only cost a step."""
    site = make_site("household", SITES[0])
    sim = Simulation(site, next(goals(site)), max_steps=14, wording_seed="w")
    before = {**sim.dump(), "steps": None}
    for command in ("", "fly", "take", "put x in y", "heat", "open nothing 3", "go to", "take mug from"):
        if sim.state.over:
            break
        assert sim.step(command).ok is False
    assert {**sim.dump(), "steps": None} == before


def test_wordings_never_name_the_hiding_place() -> None:
    """A task text holds the thing and the target but not where the thing is kept."""
    for seed in range(20):
        site = make_site("household", SITES[0], seed)
        for goal in goals(site):
            home = site.homes[goal.things[0]]
            assert all(f"{home}." not in text or home == goal.target for text in wordings(site, goal))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: catalogue("moon"), "'moon'"),
        (lambda: catalogue("household").tasks(site="maple 7", split="work", n=1), "'maple 7'"),
        (lambda: catalogue("household").tasks(site="maple 27", split="x", n=1), "'x'"),
        (lambda: catalogue("household").tasks(site="maple 27", split="work", n=0), "n is 0"),
        (lambda: catalogue("household").tasks(site="maple 27", split="work", n=10**6), "n is 1000000"),
        (lambda: catalogue("household").task({"site": "maple 27", "family": "put"}), "'put'"),
    ],
)
def test_bad_input_is_named(call, words: str) -> None:  # type: ignore[no-untyped-def]
    """Unknown worlds, sites, splits, counts and configurations are refused by name."""
    with pytest.raises(BadInput, match=words):
        call()


async def test_a_world_without_a_task_says_so() -> None:
    """Stepping before reset is an error of the caller, not a crash."""
    with pytest.raises(WorldError, match="reset"):
        await catalogue("household").make().step(act("look"))


def test_the_sites_of_an_estate_share_rules_and_nothing_else() -> None:
    """What to do first and whether to close doors can be learned at one site for another of the same word."""
    names = [f"maple {number}" for number in range(21, 61)]
    sites = [make_site("estate", name) for name in names]
    assert len({(site.rules.entry, site.rules.close) for site in sites}) == 1
    assert len({site.rules.forbidden for site in sites}) > 5
    assert len({str(site.homes) for site in sites}) == len(sites)
    words = ("maple", "oak", "birch", "cedar", "elm", "ash", "pine", "willow", "hazel", "rowan")
    assert len({make_site("estate", f"{word} 21").rules.entry for word in words}) > 2


def test_the_worlds_that_were_trained_on_are_as_they_were() -> None:
    """Published numbers are of these sites."""
    sites = [make_site(world, name) for world in ("household", "workshop") for name in held_out_sites(20)]
    assert hashlib.sha256("".join(map(repr, sites)).encode()).hexdigest()[:16] == "4ae0307208f79582"
