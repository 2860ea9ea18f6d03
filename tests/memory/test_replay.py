"""An earlier recall can be run again, bit for bit, whatever happened since."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memory.codec import dumps, loads
from memory.core import Memory
from memory.encoder import CachedEncoder, HashEncoder
from memory.errors import BadInput, EncoderError, NotFound
from memory.index.segments import Sizes
from memory.index.shelves import Shelves
from memory.recall.choosing import RecallSettings
from memory.recall.generations import Generation, Generations
from memory.store.engine import Store
from memory.types import GLOBAL, Evidence, Proposed, Recall, RecallRecord
from memory.writing.forgetting import Root

Saying = Any


def later(say: Saying, chance: random.Random, turn: int) -> None:
    """One of the many things that can happen to a memory."""
    items = say.memory.items(say.namespace, limit=1000)
    item = chance.choice(items)
    change = {"principal": "ada", "channel": "operator"}
    match chance.randrange(7):
        case 0:
            say.remember(say.case(f"the mug and the plate are on shelf {turn}"))
        case 1:
            say.memory.edit(say.namespace, item.id, text=f"the mug moved to shelf {turn}", **change)
        case 2:
            say.memory.forget(say.namespace, item.id, principal="ada")
        case 3:
            say.memory.edit(say.namespace, item.id, status="active", pinned=True, **change)
        case 4:
            outcome = chance.choice(["success", "failure"])
            recall = say.recall("where is the mug")
            say.memory.reinforce(say.episode(f"later-{turn}", recall, outcome=outcome), principal="ada")
        case 5:
            say.memory.record(say.episode(f"task-{turn}", task_id="t1"), principal="ada")
        case _:
            evidence = (Evidence(f"later-{turn}", 0),)
            say.remember(replace(say.case(item.text), lineage=replace(item.lineage, evidence=evidence)))


def as_proposed(recall: Recall) -> Recall:
    """The same recall, had its search been approximate."""
    proposed = [
        Proposed(hit.item.id, hit.score.dense, hit.score.lexical, hit.score.coverage)
        for hit in recall.candidates
    ]
    return replace(recall, proposed=tuple(proposed))


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), n_before=st.integers(1, 12), n_after=st.integers(1, 12))
def test_a_replay_is_exact_after_any_changes(
    memory: Memory,
    say_to: Callable[..., Saying],
    count_tokens: Callable[[str], int],
    seed: int,
    n_before: int,
    n_after: int,
) -> None:
    """Items, versions, statistics, corpus counts, ties, coins: all as they were."""
    say = say_to(memory, f"namespace {memory.stats().log_seq}")
    chance = random.Random(seed)
    evidence = (Evidence("task-1", 0),)
    say.remember(
        *(say.case(f"the mug is in cabinet {n}") for n in range(5)),
        say.case("the plate is in the sink", evidence=evidence),
        say.case("the plate is in oven 3", family="maple 7", outcome="failure", cause="hot"),
    )
    for turn in range(n_before):
        later(say, chance, turn)
    ask = {"family": "maple 7", "k": 3, "drop_rate": 0.3, "seed": seed, "exclude_task": "t1"}
    recalls = [say.recall(text, **ask) for text in ("where is the mug", "plate", "shelf 3")]
    for turn in range(n_before, n_before + n_after):
        later(say, chance, turn)
    for recall in recalls:
        assert memory.replay(recall.record(), count_tokens=count_tokens) == recall
        found = as_proposed(recall)
        assert memory.replay(found.record(), count_tokens=count_tokens) == found


def test_a_replay_survives_a_restart_and_a_new_encoder(
    open_memory: Any, say_to: Callable[..., Saying], count_tokens: Callable[[str], int]
) -> None:
    """The question's vector is kept with the episode, old item vectors are never overwritten."""
    memory = open_memory()
    say = say_to(memory)
    say.remember(say.case("the mug is in cabinet 3"), say.case("the plate is in cabinet 4"))
    recall = say.recall("where is the mug")
    episode = say.episode("e1", recall)
    memory.record(episode, principal="ada")
    memory.close()
    other = open_memory(encoder=HashEncoder(64))
    other.reencode()
    kept = other.episode("home", "e1").recall
    assert kept is not None
    assert other.replay(kept, count_tokens=count_tokens) == replace(recall)
    never_kept = replace(kept, query=replace(kept.query, text="where is the plate"))
    with pytest.raises(EncoderError, match="encoder 'hash-1024-1'"):
        other.replay(never_kept, count_tokens=count_tokens)


def test_a_replay_does_not_see_vectors_of_its_future(
    open_memory: Any, say_to: Callable[..., Saying], count_tokens: Callable[[str], int]
) -> None:
    """A recall made by words alone, before re-encoding, is replayed by words alone."""
    memory = open_memory()
    say = say_to(memory)
    say.remember(say.case("the mug is in cabinet 3"), say.case("the plate is in cabinet 4"))
    memory.close()
    memory = open_memory(encoder=HashEncoder(64))
    recall = say_to(memory).recall("mug in the cabinet")
    assert {hit.score.dense for hit in recall.candidates} == {None}
    assert [hit.item.text for hit in recall.hits] == ["the mug is in cabinet 3"]
    assert memory.reencode() == 2
    assert memory.reencode() == 0
    assert memory.replay(recall.record(), count_tokens=count_tokens) == recall
    again = say_to(memory).recall("mug in the cabinet")
    assert None not in {hit.score.dense for hit in again.candidates}


def test_validity_is_judged_at_the_time_of_asking(
    say: Saying, clock: Any, count_tokens: Callable[[str], int]
) -> None:
    """What has run out since is still there in the replay."""
    say.remember(say.case("the mug is in cabinet 3", valid_to=1_100.0))
    recall = say.recall("mug")
    clock.now = 2_000.0
    assert say.recall("mug").hits == ()
    assert say.memory.replay(recall.record(), count_tokens=count_tokens) == recall
    timeless = replace(recall.record(), query=replace(recall.query, at=None))
    with pytest.raises(BadInput, match="has no time"):
        say.memory.replay(timeless, count_tokens=count_tokens)


@pytest.fixture
def large(tmp_path: Path, clock: Any) -> Iterator[Memory]:
    """A memory whose namespaces count as large, and are searched approximately, from 30 items on."""
    store = Store.open(tmp_path / "large.db")
    encoder = CachedEncoder(HashEncoder(64))
    sizes = Sizes(large=30, merge=10, share=0.1)
    shelves = Shelves(store, encoder.inner.generation, 64, tmp_path / "index", sizes)
    generations = Generations(store, Generation(encoder, shelves))
    with Memory(store, generations, RecallSettings(), clock) as memory:
        yield memory


def test_a_replay_of_an_approximate_search_is_exact_too(
    large: Memory, say_to: Callable[..., Saying], count_tokens: Callable[[str], int]
) -> None:
    """The record keeps what was proposed, from both namespaces; the index may change as it likes."""
    say = say_to(large)
    things = ("mug", "plate", "kettle", "garden")
    say.remember(*(say.case(f"the {things[n % 4]} {n} is in cabinet {n}") for n in range(60)))
    shared = replace(say.case("every mug is washed by hand"), scope="global")
    large.remember(GLOBAL, [shared], principal="root", channel="operator")
    large.snapshot()
    recalls = [say.recall(f"where is the {thing}", drop_rate=0.3, seed=n) for n, thing in enumerate(things)]
    assert all(recall.proposed for recall in recalls)
    assert any(one.shared for one in recalls[0].proposed or ())
    for n in range(40):
        say.remember(say.case(f"the mug {n + 100} is in the barn"))
        change: Any = {"principal": "ada", "channel": "operator"}
        (item,) = large.items("home", limit=1)
        large.edit("home", item.id, text=f"the garden mug {n}", **change)
    large.reinforce(say.episode("e1", recalls[0]), principal="ada")
    large.snapshot()
    for recall in recalls:
        record = loads(RecallRecord, dumps(recall.record()))
        assert large.replay(record, count_tokens=count_tokens) == recall


def test_a_replay_says_what_was_erased(
    say: Saying, large: Memory, say_to: Callable[..., Saying], count_tokens: Callable[[str], int]
) -> None:
    """By name, for both kinds of search; a recall that never saw it can still be replayed."""
    for saying in (say, say_to(large)):
        before = saying.recall("where is the mug")
        items = saying.remember(*(saying.case(f"the mug {n} is in cabinet {n}") for n in range(80)))
        recall = saying.recall("where is the mug 7 in cabinet 7")
        gone = recall.hits[0].item.id
        (other,) = [item.id for item in items if item.id not in {h.item.id for h in recall.candidates}][:1]
        saying.memory.erase("home", Root("item", gone), principal="root")
        with pytest.raises(NotFound, match=f"1 were erased since .{gone}"):
            saying.memory.replay(recall.record(), count_tokens=count_tokens)
        after = saying.recall("where is the mug")
        for one in (before, after):
            assert saying.memory.replay(one.record(), count_tokens=count_tokens) == one
        assert saying.memory.get("home", other)
