"""Dials of a namespace, what the log says of them, and the signs that it learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from memory.core import Memory
from memory.dials import DialName, Dials
from memory.encoder import HashEncoder
from memory.errors import ApprenticeError, BadInput, Denied
from memory.modes import USES, mode_of, settled
from memory.pulse import Pulse, Spending
from memory.types import Channel, Draft, Episode, Mode, PrincipleBody, Usage
from tests.memory.conftest import Clock

NEVER = Pulse()


def episode(name: str, ended_at: float, tokens: int = 0, learning: int = 0) -> Episode:
    return Episode(
        *(name, "home", "t1", "wash a mug", "house", "maple 7", "g1", ()),
        outcome="success",
        usage=Usage(tokens, tokens),
        learning=Usage(learning, 1 if learning else 0),
        ended_at=ended_at,
    )


def test_a_dial_stands_where_it_was_turned(memory: Memory) -> None:
    """For its namespace alone; every turn is a row of the log, one that changes nothing is none."""
    assert memory.dials("home") == Dials()
    assert memory.turn("home", "mode", "read", principal="root", channel="operator") == Dials("frozen")
    memory.turn("home", "mode", "frozen", principal="root", channel="operator")
    assert (memory.dials("home"), memory.dials("work")) == (Dials("frozen"), Dials())
    memory.turn("home", "mode", None, principal="root", channel="operator")
    assert memory.dials("home") == Dials()
    said = [(entry.op, entry.principal, entry.before, entry.after) for entry in memory.log("home")]
    on, off = {"dial": "mode", "value": "frozen"}, {"dial": "mode", "value": None}
    assert said == [("dial", "root", off, on), ("dial", "root", on, off)]
    assert memory.check() == ()


def test_a_dial_outlives_its_server(tmp_path: Path) -> None:
    """It is in the file."""
    for expected in (Dials(), Dials("shadow")):
        with Memory.open(tmp_path / "memory.db", encoder=HashEncoder(64)) as memory:
            assert memory.dials("home") == expected
            memory.turn("home", "mode", "shadow", principal="root", channel="operator")


def test_dials_stand_beside_each_other(memory: Memory) -> None:
    """One that is put back leaves the others."""
    for name, value in (("mode", "shadow"), ("read", "lift"), ("verify", True), ("advantage_guard", False)):
        memory.turn("home", name, value, principal="root", channel="operator")  # type: ignore[arg-type]
    assert memory.dials("home") == Dials("shadow", "lift", advantage_guard=False, verify=True)
    memory.turn("home", "read", None, principal="root", channel="operator")
    assert memory.dials("home") == Dials("shadow", None, advantage_guard=False, verify=True)


@pytest.mark.parametrize(
    ("name", "value", "channel", "error"),
    [
        ("mode", "loud", "operator", BadInput),
        ("mode", 3, "operator", BadInput),
        ("read", "guess", "operator", BadInput),
        ("verify", "yes", "operator", BadInput),
        ("advantage_guard", 1, "operator", BadInput),
        ("learning_tokens_day", -1, "operator", BadInput),
        ("learning_tokens_day", True, "operator", BadInput),
        ("mode", "off", "user", Denied),
    ],
)
def test_wrong_turns_are_refused(
    tmp_path: Path, name: DialName, value: str | int, channel: Channel, error: type[ApprenticeError]
) -> None:
    """What a dial does not have, or somebody who may not; nothing is written."""
    with Memory.open(tmp_path / "memory.db", encoder=HashEncoder(64)) as memory:
        with pytest.raises(error):
            memory.turn("home", name, value, principal="ann", channel=channel)
        assert memory.log("home") == ()


@pytest.mark.parametrize("default", USES)
@pytest.mark.parametrize("dial", [None, *USES])
@pytest.mark.parametrize("asked", [None, "on", "read", *USES])
def test_the_request_goes_before_the_dial_before_the_server(
    asked: str | None, dial: Mode | None, default: Mode
) -> None:
    """But a dial at `off` wins."""
    said = None if asked is None else mode_of(asked)
    assert settled(asked, dial, default) == ("off" if dial == "off" else said or dial or default)


def test_an_unknown_mode_is_named_with_the_known_ones() -> None:
    """Aliases too."""
    with pytest.raises(BadInput, match=r"'loud' must be one of learn, frozen, shadow, off, on, read"):
        mode_of("loud")


def test_the_pulse_tells_what_was_spent_since(memory: Memory) -> None:
    """Work and learning apart; other namespaces and times before do not count."""
    assert memory.pulse("home", since=0.0) == NEVER
    for one in (episode("e1", 10.0, 5), episode("e2", 20.0, 7, 3), episode("e3", 30.0, 1)):
        memory.record(one, principal="ann")
    assert memory.pulse("home", since=0.0) == Pulse(30.0, spent=Spending(3, 26, 4))
    assert memory.pulse("home", since=15.0) == Pulse(30.0, spent=Spending(2, 16, 4))
    assert memory.pulse("home", since=99.0) == Pulse(30.0)
    assert memory.pulse("home", since=None) == Pulse(30.0)
    assert memory.pulse("work", since=0.0) == NEVER


def test_the_pulse_tells_when_principles_rose_and_fell(memory: Memory, clock: Clock) -> None:
    """And when an item was quarantined; other changes are no decisions."""
    body = PrincipleBody("global", "symbolic", 2)
    rules = [Draft("principle", f"wipe {thing}", body, status="trial") for thing in ("feet", "hands")]
    first, second = memory.remember("home", rules, principal="ann", channel="user")
    memory.edit("home", first.id, text="wipe both feet", principal="ann", channel="user")
    assert memory.pulse("home", since=0.0) == NEVER
    clock.now += 1.0
    rose = memory.edit("home", first.id, status="active", principal="root", channel="operator")
    told = memory.pulse("home", since=0.0)
    assert (told.last_promotion, told.last_retirement) == (rose.updated_at, None)
    clock.now += 1.0
    fell = memory.edit("home", second.id, status="quarantined", principal="root", channel="operator")
    assert memory.pulse("home", since=0.0) == replace(told, last_retirement=fell.updated_at)
