"""What one namespace holds, no other can see, count, change or feel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memory.codec import dumps
from memory.core import Memory
from memory.errors import NotFound

Saying = Any
SECRET = "zebra"

words = st.sampled_from(["mug", "plate", "cabinet", "1", "2", "shelf", "hot"])
texts = st.lists(words, min_size=1, max_size=4).map(" ".join)


def everything(say: Saying, folder: Path, count_tokens: Callable[[str], int]) -> list[str]:
    """All that a tenant can get out of the façade, as text."""
    memory, own = say.memory, say.namespace
    said: list[str] = []
    for text in ("mug", SECRET, f"{SECRET} plate cabinet 1"):
        said += [dumps(hit) for hit in say.recall(text, k=50, kinds=("case", "principle")).candidates]
        said += [dumps(item) for item in memory.items(own, words=text)]
    said += [dumps(item) for item in memory.items(own, limit=1000)]
    said += [dumps(entry) for entry in memory.log(own)]
    said += [dumps(episode) for episode in memory.episodes(own)]
    said.append(dumps(memory.constitution(own, None, token_budget=999, count_tokens=count_tokens)))
    memory.export(own, folder)
    said += [path.read_bytes().decode("latin-1") for path in sorted(folder.iterdir())]
    return said


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(own=st.lists(texts, max_size=6), foreign=st.lists(texts, min_size=1, max_size=6))
def test_nothing_of_another_namespace_is_ever_seen(
    memory: Memory,
    say_to: Callable[..., Saying],
    count_tokens: Callable[[str], int],
    tmp_path: Path,
    own: list[str],
    foreign: list[str],
) -> None:
    """Through any call, and scores do not move by what others write: word counts are the tenant's own."""
    turn = memory.stats().log_seq
    here, there = say_to(memory, f"here {turn}"), say_to(memory, f"there {turn}")
    for text in own:
        here.remember(here.case(text))
    before = [hit.score for hit in here.recall("mug plate 1", k=50).candidates]
    for text in foreign:
        there.remember(there.case(f"{SECRET} {text}"), there.principle(f"{SECRET} rule: {text}"))
        there.memory.record(
            there.episode(f"{SECRET}-{text}-{turn}-{len(memory.log(there.namespace))}"), principal=SECRET
        )
    assert [hit.score for hit in here.recall("mug plate 1", k=50).candidates] == before
    seen = everything(here, tmp_path / f"bundle-{turn}", count_tokens)
    assert not any(SECRET in text or there.namespace in text for text in seen)
    assert any(SECRET in text for text in everything(there, tmp_path / f"other-{turn}", count_tokens))


def test_another_namespaces_ids_do_not_exist(memory: Memory, say_to: Callable[..., Saying]) -> None:
    """For every call that takes one; and nothing there has changed afterwards."""
    there, here = say_to(memory, "there"), "here"
    (item,) = there.remember(there.case("the mug is in cabinet 3"))
    memory.record(there.episode("e1", there.recall("mug")), principal="ada")
    (entry, _) = memory.log("there")
    calls: list[Callable[[], object]] = [
        lambda: memory.get(here, item.id),
        lambda: memory.history(here, item.id),
        lambda: memory.edit(here, item.id, text="x", principal="eve", channel="operator"),
        lambda: memory.forget(here, item.id, principal="eve"),
        lambda: memory.undo(here, entry.seq, principal="eve"),
        lambda: memory.items(here, after=item.id),
        lambda: memory.episode(here, "e1"),
        lambda: memory.episodes(here, after="e1"),
        lambda: memory.feedback(here, "e1", principal="eve", reward=0.0),
    ]
    for call in calls:
        with pytest.raises(NotFound):
            call()
    assert memory.get("there", item.id) == item
    assert len(memory.log("there")) == 2


def test_the_same_ids_may_live_in_two_namespaces(memory: Memory, say_to: Callable[..., Saying]) -> None:
    """Episodes, idempotency keys and imported items collide with nobody."""
    for namespace in ("here", "there"):
        say = say_to(memory, namespace)
        memory.record(say.episode("e1"), principal="ada")
        memory.remember(namespace, [say.case("mug")], principal="a", channel="user", idempotency_key="k")
    assert len({memory.items(namespace)[0].id for namespace in ("here", "there")}) == 2
    assert [memory.episode(namespace, "e1").namespace for namespace in ("here", "there")] == ["here", "there"]
