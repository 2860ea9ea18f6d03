"""What an episode goes on with is put behind it in one transaction, whoever else speaks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from memory.errors import NotFound
from memory.types import Episode, Message, Usage
from memory.writing.credit import More
from memory.writing.forgetting import Root

Saying = Any


def one(text: str) -> Message:
    return Message("user", text)


def test_of_those_that_speak_at_once_none_is_lost(say: Saying) -> None:
    """Each sees what came before it; the first begins the episode, whoever that is."""
    empty: Episode = replace(say.episode("e1", outcome="unknown"), messages=())

    def speak(number: int) -> None:
        said = one(f"said {number}")

        def more(kept: Episode) -> More:
            return More((replace(said, content=f"{said.text} after {len(kept.messages)}"),), Usage(1, 2), 1)

        first = replace(empty, messages=(replace(said, content=f"{said.text} after 0"),), usage=Usage(1, 2))
        say.memory.extend("home", "e1", more, principal="ada", first=first)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(speak, range(24)))
    kept = say.memory.episode("home", "e1")
    assert sorted(m.text.partition(" after ")[0] for m in kept.messages) == sorted(
        f"said {number}" for number in range(24)
    )
    assert [int(m.text.rpartition(" ")[2]) for m in kept.messages] == list(range(24))
    assert (kept.usage.prompt_tokens, kept.usage.completion_tokens) == (24, 48)


def test_feedback_that_comes_between_stands(say: Saying) -> None:
    """What goes on says nothing of how it went; what was cut off and goes on is cut off no more."""
    say.memory.record(replace(say.episode("e1", outcome="unknown"), error="cut"), principal="ada")
    say.memory.feedback("home", "e1", principal="ada", outcome="success", values={"ok": True})
    kept = say.memory.extend("home", "e1", lambda _: More((one("more"),)), principal="ada")
    assert (kept.outcome, kept.feedback, kept.error) == ("success", {"ok": True}, None)
    assert kept == say.memory.episode("home", "e1")


def test_a_secret_is_blotted_out_and_nothing_goes_on_that_never_began(say: Saying) -> None:
    """As where an episode is recorded whole."""
    with pytest.raises(NotFound):
        say.memory.extend("home", "e1", lambda _: More((one("more"),)), principal="ada")
    say.memory.record(say.episode("e1", outcome="unknown"), principal="ada")
    secret = "AKIA" + "IOSFODNN7EXAMPLQ"
    kept = say.memory.extend("home", "e1", lambda _: More((one(f"key {secret}"),)), principal="ada")
    assert secret not in kept.messages[-1].text
    assert secret not in say.memory.episode("home", "e1").messages[-1].text


def test_a_forgotten_episode_stays_as_it_is(say: Saying) -> None:
    """Whatever comes."""
    say.memory.record(say.episode("e1", outcome="unknown"), principal="ada")
    say.memory.forget_all("home", Root("episode", "e1"), principal="op")
    before = say.memory.episode("home", "e1")
    assert before.forgotten is not None
    assert say.memory.extend("home", "e1", lambda _: More((one("more"),)), principal="ada") == before
