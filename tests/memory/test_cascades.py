"""Cascades against their definition: an item falls when everything it rests on has fallen."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from memory.core import Memory
from memory.encoder import HashEncoder
from memory.types import Draft, Episode, Evidence, Lineage, Message, NoteBody
from memory.writing.forgetting import Root

EPISODES = ("e0", "e1", "e2")
Support = tuple[frozenset[str], frozenset[int]]
"""Episodes that one item rests on, and earlier items by how many places before it they are."""
SUPPORTS = st.lists(
    st.tuples(
        st.frozensets(st.sampled_from(EPISODES), max_size=2), st.frozensets(st.integers(1, 3), max_size=2)
    ),
    min_size=6,
    max_size=10,
)


def draft(n: int, support: Support, ids: list[str]) -> Draft:
    episodes, before = support
    evidence = tuple(Evidence(episode, 0) for episode in sorted(episodes))
    lineage = Lineage(evidence, tuple(ids[n - places] for places in sorted(before) if places <= n))
    text = f"thing {n} is on shelf {n}"
    return Draft("tool_note", text, NoteBody(f"{n}", text), lineage=lineage)


def expected(supports: list[Support], forgotten: set[str]) -> dict[int, str]:
    """What the definition says, item by item: parents come before what is made of them."""
    fates: dict[int, str] = {}
    for n, (episodes, before) in enumerate(supports):
        parents = {n - places for places in before if places <= n}
        lost_parents = {parent for parent in parents if fates.get(parent) == "retired"}
        if not (episodes & forgotten or lost_parents):
            continue
        rests_on_nothing = episodes <= forgotten and parents == lost_parents
        fates[n] = "retired" if rests_on_nothing else "trimmed"
    return fates


@settings(max_examples=15, deadline=None)
@given(supports=SUPPORTS, forgotten=st.lists(st.sampled_from(EPISODES), min_size=1, max_size=2, unique=True))
def test_what_falls_is_what_rests_on_nothing(supports: list[Support], forgotten: list[str]) -> None:
    """Whatever the lineage, in whatever order episodes are forgotten; the trimmed keep only what stands."""
    with (
        TemporaryDirectory() as folder,
        Memory.open(Path(folder) / "m.db", encoder=HashEncoder(), clock=lambda: 1.0) as memory,
    ):
        for name in EPISODES:
            message = Message("user", "look around")
            episode = Episode(name, "home", "t", "look", "w", "f", "g", (message,), "success")
            memory.record(episode, principal="ada")
        ids: list[str] = []
        for n, support in enumerate(supports):
            one = draft(n, support, ids)
            ids.append(memory.remember("home", [one], principal="ada", channel="user")[0].id)
        for name in forgotten:
            memory.forget_all("home", Root("episode", name), principal="o")
        fates = expected(supports, set(forgotten))
        for n, id_ in enumerate(ids):
            item = memory.get("home", id_)
            assert (item.status == "retired") == (fates.get(n) == "retired")
            if item.status == "active":
                assert {piece.episode for piece in item.lineage.evidence} == supports[n][0] - set(forgotten)
                assert all(memory.get("home", parent).status == "active" for parent in item.lineage.items)
        assert memory.check() == ()
