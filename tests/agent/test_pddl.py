"""Planning problems: what can be said of them without a planner. With one, see test_every_world."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.worlds.pddl import problems, world
from agent.worlds.pddl.words import FACTS, told
from memory.errors import BadInput

FOLDER = Path(problems.__file__).parent
drawn = st.tuples(
    st.sampled_from(sorted(problems.DOMAINS)), st.sampled_from(problems.LEVELS), st.integers(0, 10**6)
)


def facts(text: str) -> set[str]:
    return set(re.findall(r"\(([^()]+)\)", text))


@given(drawn)
def test_a_problem_is_the_same_each_time_and_not_solved_yet(of: tuple[str, int, int]) -> None:
    """Its goal does not hold; it speaks of its objects and in words of its domain alone."""
    text = problems.problem(*of)
    assert problems.problem(*of) == text
    objects, rest = text.partition("(:objects ")[2].split(")", 1)
    begun, goal = map(facts, rest.split("(:goal"))
    assert goal
    assert not goal <= begun
    domain = (FOLDER / f"{of[0]}.pddl").read_text("utf-8")
    for fact in begun | goal:
        name, *arguments = fact.split()
        assert f"({name} " in domain or f"({name})" in domain
        assert set(arguments) <= set(objects.split())
        assert all(one in told(name, tuple(arguments)) for one in arguments)


@given(drawn, st.integers(0, 10**6))
def test_problems_that_say_the_same_are_of_one_split(of: tuple[str, int, int], other: int) -> None:
    """Whatever their seeds."""
    says, theirs = world._says(*of), world._says(of[0], of[1], other)
    assert (says == theirs) <= (world._split(says) == world._split(theirs))
    assert world._split(says) in world.SPLITS


def test_every_fact_of_the_domains_has_words() -> None:
    """And every word a fact."""
    named = set()
    for domain in problems.DOMAINS:
        text = (FOLDER / f"{domain}.pddl").read_text("utf-8")
        predicates = text.partition("(:predicates")[2].partition("(:action")[0]
        named |= set(re.findall(r"\(([\w-]+)", predicates))
    assert named == set(FACTS)


def test_bad_configurations_are_named() -> None:
    for config, match in (
        ({"domain": "chess", "level": 1, "seed": 1}, "no domain is called 'chess'; there are barman"),
        ({"domain": "gripper", "level": 9, "seed": 1}, "a `level` from 1 to 3"),
        ({}, "is no task of pddl"),
    ):
        with pytest.raises(BadInput, match=match):
            world._read(config)


@pytest.mark.skipif(find_spec("unified_planning") is not None, reason="the package is here")
def test_without_its_package_the_error_names_the_command() -> None:
    with pytest.raises(BadInput, match="pip install unified_planning"):
        world.Pddl()
