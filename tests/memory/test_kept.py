"""What is kept in memory between questions is what the truth holds at each question's own moment."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run

from memory.errors import ApprenticeError
from memory.store import engine
from memory.store.kept import Kept, Touched
from memory.store.reader import Reader
from memory.store.recalling import Keeping
from memory.types import Query
from memory.writing.forgetting import Root
from tests.memory.conftest import Say
from tests.memory.workloads import DIM, case, opened, scratch

SPACES = ("home", "work")
TEXTS = ("the mug is hot", "the plate is in cabinet 3", "the kettle is on the shelf", "no mug in cabinet 4")
QUIET = Touched(frozenset(), is_all=False)
FEW_BYTES = 6_000
"""Room for about five items: the machine makes them go all the time."""

spaces = st.sampled_from(SPACES)
texts = st.sampled_from(TEXTS)
places = st.integers(0, 5)


def _quiet(_: int) -> Touched:
    return QUIET


def test_a_thing_is_known_until_its_name_is_touched() -> None:
    kept: Kept[str] = Kept()
    assert kept.get("home", 3, ["mug", "plate"], _quiet) == {}
    kept.put("home", 3, {"mug": ("hot", 1), "plate": ("cold", 1)})
    assert kept.get("home", 3, ["mug", "plate", "kettle"], _quiet) == {"mug": "hot", "plate": "cold"}
    touched = Touched(frozenset({"mug"}), is_all=False)
    assert kept.get("home", 5, ["mug", "plate"], lambda after: touched if after == 3 else QUIET) == {
        "plate": "cold"
    }
    assert kept.get("home", 6, ["plate"], lambda _: Touched(frozenset(), is_all=True)) == {}


def test_an_earlier_moment_gets_nothing_and_leaves_nothing() -> None:
    kept: Kept[str] = Kept()
    kept.get("home", 5, [], _quiet)
    kept.put("home", 5, {"mug": ("hot", 1)})
    assert kept.get("home", 4, ["mug"], _quiet) == {}
    kept.put("home", 4, {"plate": ("of before", 1)})
    assert kept.get("home", 5, ["mug", "plate"], _quiet) == {"mug": "hot"}
    kept.forget("home", 7)
    kept.put("home", 5, {"mug": ("erased", 1)})
    assert kept.get("home", 5, ["mug"], _quiet) == kept.get("home", 7, ["mug"], _quiet) == {}


def test_the_oldest_make_room_and_other_namespaces_are_left_alone() -> None:
    kept: Kept[str] = Kept(most=10)
    kept.get("home", 1, [], _quiet)
    kept.get("work", 1, [], _quiet)
    kept.put("work", 1, {"mug": ("work's", 2)})
    kept.put("home", 1, {name: (name, 2) for name in "abcd"})
    assert kept.get("work", 1, ["mug"], _quiet) == {"mug": "work's"}
    kept.forget("home", 1)
    assert kept.get("work", 1, ["mug"], _quiet) == {"mug": "work's"}
    kept.put("home", 2, {"unasked": ("", 1)})
    kept.put("home", 1, {name: (name, 2) for name in "abcdef"})
    assert kept.get("home", 1, "abcdef", _quiet) == {name: name for name in "bcdef"}
    assert kept.get("work", 1, ["mug"], _quiet) == {}


def test_readers_of_two_moments_are_each_given_their_own(say: Say) -> None:
    """Whichever asks first, and also after a reward, which leaves version and text."""
    (mug,) = say.remember(say.case("the mug is hot"))
    store = say.memory._store
    with store.read() as before:
        key = {one.id: one.key for one in before.outlines("home")}
        assert before.items_found("home", key) == {mug.id: mug}
        say.memory.reinforce(say.episode("e1", say.recall("mug")), principal="ada")
        with store.read() as now:
            praised = now.items_found("home", key)[mug.id]
            assert praised.utility.n == 1
            assert before.items_found("home", key) == {mug.id: mug}
            assert now.items_found("home", key) == {mug.id: praised}
    with store.read() as before:
        before.head("home")
        say.memory.edit("home", mug.id, text="the mug is cold", principal="ada", channel="user")
        with store.read() as now:
            assert before.items_found("home", key) == {mug.id: praised}
            assert now.items_found("home", key)[mug.id].text == "the mug is cold"


def test_nothing_of_an_erased_text_stays_in_memory(say: Say) -> None:
    """Nor does it come back through whoever still reads from before."""
    (mug,) = say.remember(say.case("the mug is hot"))
    store = say.memory._store
    assert store._keeping is not None
    say.recall("mug")
    assert store._keeping.items._things
    say.memory.erase("home", Root("item", mug.id), principal="ada")
    assert not store._keeping.items._things
    store._keeping.items.put("home", 1, {mug.id: (mug, 1)})
    assert not store._keeping.items._things


class KeptMachine(RuleBasedStateMachine):
    """Anything is done to two namespaces; readers of now and of before are asked, and so is the truth."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = scratch("kept")
        self.stack = ExitStack()
        self.now, self.n_episodes = 1_000.0, 0
        with patch.object(engine, "Keeping", lambda: Keeping(FEW_BYTES)):
            self.memory = opened(self.folder, clock=lambda: self.now)
        self.readers: list[Reader] = []
        self.ids: dict[str, list[str]] = {space: [] for space in SPACES}
        for space in SPACES:
            for text in TEXTS[:2]:
                self.remember(space, text)

    def teardown(self) -> None:
        self.stack.close()
        self.memory.close()
        shutil.rmtree(self.folder)

    @rule(space=spaces, text=texts)
    def remember(self, space: str, text: str) -> None:
        self.now += 1.0
        (item,) = self.memory.remember(space, [case(text)], principal="ada", channel="user")
        self.ids[space].append(item.id)

    @rule(space=spaces, place=places, text=texts)
    def edit(self, space: str, place: int, text: str) -> None:
        with self.one_of(space, place) as id_:
            self.memory.edit(space, id_, text=text, principal="ada", channel="user")

    @rule(space=spaces, place=places)
    def forget(self, space: str, place: int) -> None:
        with self.one_of(space, place) as id_:
            self.memory.forget(space, id_, principal="ada")

    @rule(space=spaces, place=places)
    def erase(self, space: str, place: int) -> None:
        # The file is written anew, which waits for whoever reads.
        self.stack.close()
        self.readers = []
        with self.one_of(space, place) as id_:
            self.memory.erase(space, Root("item", id_), principal="ada")

    @rule(space=spaces, place=places)
    def restore(self, space: str, place: int) -> None:
        log = self.memory.log(space, limit=10_000)
        if log:
            with self.one_of(space, 0):
                self.memory.restore(space, log[place % len(log)].seq, principal="ada")

    @rule(space=spaces, text=texts, reward=st.sampled_from([0.0, 0.5, 1.0]))
    def live(self, space: str, text: str, reward: float) -> None:
        """An episode with an outcome that counts, and another word on it later."""
        self.now += 1.0
        self.n_episodes += 1
        recall = self.memory.recall(Query(space, text), count_tokens=len)
        episode = Say(self.memory, space).episode(f"e{self.n_episodes}", recall, reward=reward)
        self.memory.record(episode, principal="ada")
        self.memory.reinforce(episode, principal="ada")
        if self.n_episodes % 2:
            self.memory.feedback(space, episode.id, reward=1.0 - reward, principal="ada")

    @rule(space=spaces, place=places)
    def pin(self, space: str, place: int) -> None:
        with self.one_of(space, place) as id_:
            self.memory.edit(space, id_, pinned=True, principal="ada", channel="user")

    @precondition(lambda self: len(self.readers) < 3)
    @rule(space=spaces)
    def begin_to_read(self, space: str) -> None:
        reader = self.stack.enter_context(self.memory._store.read())
        # A moment begins with its first question.
        reader.head(space)
        self.readers.append(reader)

    @invariant()
    def everybody_reads_his_own_moment(self) -> None:
        with self.memory._store.read() as fresh:
            for reader in (*self.readers, fresh):
                for space in SPACES:
                    _agrees_with_the_truth(reader, space)

    @invariant()
    def recall_shows_the_truth(self) -> None:
        for space in SPACES:
            for hit in self.memory.recall(Query(space, "mug", k=50), count_tokens=len).candidates:
                assert hit.item == self.memory.get(space, hit.item.id)

    @contextmanager
    def one_of(self, space: str, place: int) -> Iterator[str]:
        """Some item, if there is one; what cannot be done to it is refused."""
        self.now += 1.0
        ids = self.ids[space] or ["nobody"]
        with suppress(ApprenticeError):
            yield ids[place % len(ids)]


def _agrees_with_the_truth(reader: Reader, space: str) -> None:
    truth, encoder = Reader(reader.connection), f"hash-{DIM}-1"
    entries = truth.outlines(space)
    keys = {entry.id: entry.key for entry in entries}
    assert reader.items_found(space, keys) == truth.items_by_id(space, list(keys))
    found = reader.vectors_found(space, encoder, {entry.id: entry.text for entry in entries})
    stored = truth.vectors(space, encoder, digests=[entry.digest for entry in entries])
    assert found.keys() == {entry.id for entry in entries if entry.digest in stored}
    assert all(
        np.array_equal(found[entry.id], stored[entry.digest]) for entry in entries if entry.id in found
    )


def test_nobody_is_given_what_does_not_hold_at_his_moment() -> None:
    run(
        KeptMachine,
        settings=settings(max_examples=10, stateful_step_count=30, derandomize=True, deadline=None),
    )


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_nobody_is_given_what_does_not_hold_at_his_moment_at_length() -> None:
    """The same, longer and at random."""
    run(KeptMachine, settings=settings(max_examples=300, stateful_step_count=60, deadline=None))
