"""A new encoder takes over while memory goes on: by namespace, at once, and never half."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from memory.encoder import HashEncoder
from memory.entry import Matrix
from memory.errors import EncoderError
from memory.types import GLOBAL, Recall

Saying = Any
OLD, NEW = HashEncoder(64), HashEncoder(128)


class Gate(HashEncoder):
    """Lets a number of batches through, then waits to be opened."""

    def __init__(self, n_free: int) -> None:
        super().__init__(128)
        self._left = n_free
        self.opened = threading.Event()

    def encode(self, texts: Sequence[str]) -> Matrix:
        if len(texts) > 1:
            self._left -= 1
            if self._left < 0:
                assert self.opened.wait(30)
        return super().encode(texts)


def filled(open_memory: Any, say_to: Callable[..., Saying], *names: str, n: int = 3) -> None:
    memory = open_memory(encoder=OLD)
    for name in names:
        say = say_to(memory, name)
        say.remember(*(say.case(f"the mug is in cabinet {place}") for place in range(n)))
    memory.close()


def dense(recall: Recall) -> set[bool]:
    return {hit.score.dense is not None for hit in recall.candidates}


def test_the_old_vectors_serve_until_the_new_are_made(
    open_memory: Any, say_to: Callable[..., Saying], count_tokens: Callable[[str], int]
) -> None:
    """Also for what is written meanwhile; the record says by which it was recalled, and replays by it."""
    filled(open_memory, say_to, "home")
    memory = open_memory(encoder=NEW, previous=OLD)
    say = say_to(memory)
    (fresh,) = say.remember(say.case("the mug is in cabinet 7"))
    memory.edit("home", fresh.id, text="the mug is in the barn", principal="ada", channel="user")
    before = say.recall("where is the mug", k=9)
    assert (before.encoder, dense(before), len(before.hits)) == ("hash-64-1", {True}, 4)
    memory.record(say.episode("e1", before), principal="ada")
    assert memory.stats().previous == "hash-64-1"
    assert memory.reencode() == 3
    after = say.recall("where is the mug", k=9)
    assert (after.encoder, dense(after), len(after.hits)) == ("hash-128-1", {True}, 4)
    assert memory.replay(before.record(), count_tokens=count_tokens) == before
    assert memory.reencode() == 0
    assert memory.stats().previous is None
    memory.close()
    alone = open_memory(encoder=NEW)
    assert say_to(alone).recall("where is the mug", k=9).candidates == after.candidates
    assert alone.replay(before.record(), count_tokens=count_tokens) == before


def test_every_namespace_turns_by_itself(open_memory: Any, say_to: Callable[..., Saying]) -> None:
    """One that is done uses the new vectors while the next waits; a stop between batches loses nothing."""
    filled(open_memory, say_to, "a", "b")
    memory = open_memory(encoder=NEW, previous=OLD)
    answers = iter([False, True])
    assert memory.reencode(stop=lambda: next(answers)) == 3
    assert [say_to(memory, name).recall("mug").encoder for name in "ab"] == ["hash-128-1", "hash-64-1"]
    memory.close()
    memory = open_memory(encoder=NEW, previous=OLD)
    assert [say_to(memory, name).recall("mug").encoder for name in "ab"] == ["hash-128-1", "hash-64-1"]
    assert memory.reencode() == 3
    assert [say_to(memory, name).recall("mug").encoder for name in "ab"] == ["hash-128-1"] * 2


def test_a_new_namespace_never_knows_the_old_vectors(open_memory: Any, say_to: Callable[..., Saying]) -> None:
    """Nothing has to be made anew there; but what holds for all keeps its readers back until it is done."""
    filled(open_memory, say_to, "home")
    memory = open_memory(encoder=NEW, previous=OLD)
    say = say_to(memory, "young")
    say.remember(say.case("the mug is in cabinet 1"))
    assert say.recall("mug").encoder == "hash-128-1"
    memory.close()
    shared = [replace(say.case("every mug is washed"), scope="global")]
    memory = open_memory(encoder=OLD)
    memory.remember(GLOBAL, shared, principal="root", channel="operator")
    memory.close()
    memory = open_memory(encoder=NEW, previous=OLD)
    assert say_to(memory, "young").recall("mug").encoder == "hash-64-1"
    memory.reencode()
    assert say_to(memory, "young").recall("mug").encoder == "hash-128-1"


def test_it_can_go_on_in_the_background(open_memory: Any, say_to: Callable[..., Saying]) -> None:
    """Questions and writes go on; closing ends it between batches, and the next start goes on from there."""
    filled(open_memory, say_to, "home", n=600)
    gate = Gate(n_free=1)
    memory = open_memory(encoder=gate, previous=OLD)
    say = say_to(memory)
    memory.reencode_in_background()
    memory.reencode_in_background()
    say.remember(say.case("the kettle is on the stove"))
    recall = say.recall("kettle on the stove")
    assert (recall.encoder, recall.hits[0].item.text) == ("hash-64-1", "the kettle is on the stove")
    closing = threading.Thread(target=memory.close)
    closing.start()
    gate.opened.set()
    closing.join(30)
    assert not closing.is_alive()
    memory = open_memory(encoder=NEW, previous=OLD)
    assert say_to(memory).recall("kettle").encoder == "hash-64-1"
    assert 0 < memory.reencode() < 600
    assert say_to(memory).recall("kettle").encoder == "hash-128-1"


def test_a_failing_encoder_leaves_the_old_vectors_in_use(
    open_memory: Any, say_to: Callable[..., Saying]
) -> None:
    """And says why, to who waits for it and to who asks how the memory is."""

    class Broken(HashEncoder):
        def encode(self, texts: Sequence[str]) -> Matrix:
            raise EncoderError("the model is gone")

    filled(open_memory, say_to, "home")
    memory = open_memory(encoder=Broken(128), previous=OLD)
    with pytest.raises(EncoderError, match="the model is gone"):
        memory.reencode()
    assert say_to(memory).recall("mug").encoder == "hash-64-1"
    memory.reencode_in_background()
    while not memory.stats().encoder_note:
        threading.Event().wait(0.01)
    assert (memory.stats().encoder_note, memory.stats().previous) == ("the model is gone", "hash-64-1")
