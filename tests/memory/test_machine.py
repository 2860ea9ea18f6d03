"""Whatever is done to a memory in whatever order, it holds what a dictionary would, and finds all of it."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule
from hypothesis.stateful import run_state_machine_as_test as run

from memory.core import Memory
from memory.index.shelves import PART, Shelves
from memory.types import (
    CaseBody,
    Draft,
    Episode,
    Evidence,
    Item,
    Lineage,
    Message,
    Outcome,
    Query,
    Recall,
    Status,
)
from memory.words import normalised, words
from tests.memory.workloads import opened, scratch

SPACES = ("home", "work")
FAMILIES = (None, "maple 7")
LIVING = {"active", "trial"}

Name = tuple[str, str]
"""Namespace and id."""

spaces = st.sampled_from(SPACES)
texts = st.lists(
    st.sampled_from(["mug", "plate", "kettle", "shelf", "hot", "3", "4"]), min_size=1, max_size=3, unique=True
).map(" ".join)
evidence = st.lists(st.sampled_from(["e1", "e2", "e3"]), max_size=2, unique=True)
rewards = st.sampled_from([0.0, 0.25, 1.0])


@dataclass(frozen=True)
class Said:
    """What an item says at one version."""

    text: str
    status: Status
    evidence: tuple[str, ...]


@dataclass
class Known:
    """What the oracle knows of an item: everything it ever said, and what episodes gave it."""

    family: str | None
    versions: list[Said]
    rewards: dict[str, float] = field(default_factory=dict)

    @property
    def now(self) -> Said:
        return self.versions[-1]

    def say(self, said: Said) -> None:
        if said != self.now:
            self.versions.append(said)

    @property
    def is_living(self) -> bool:
        return self.now.status in LIVING


def summary(item: Item) -> tuple[object, ...]:
    """What must be equal of an item and the oracle's."""
    pieces = tuple(piece.episode for piece in item.lineage.evidence)
    said = Said(item.text, item.status, pieces)
    return said, item.version, item.family, item.utility.n, round(item.utility.reward_sum, 9)


def expected(known: Known) -> tuple[object, ...]:
    given = round(sum(known.rewards.values()), 9)
    return known.now, len(known.versions), known.family, len(known.rewards), given


def draft_of(text: str, pieces: list[str], family: str | None) -> Draft:
    return Draft(
        "case",
        text,
        CaseBody(text, (), text),
        scope="namespace" if family is None else "family",
        family=family,
        outcome="success",
        lineage=Lineage(tuple(Evidence(piece, 0) for piece in pieces)),
    )


class MemoryMachine(RuleBasedStateMachine):
    """Two namespaces, one memory, one dictionary."""

    items: Bundle[Name] = Bundle("items")
    recalls: Bundle[Recall] = Bundle("recalls")
    episodes: Bundle[Name] = Bundle("episodes")
    keys: Bundle[tuple[str, str, tuple[Draft, ...], tuple[str, ...]]] = Bundle("keys")

    def __init__(self) -> None:
        super().__init__()
        self.root = scratch("machine")
        self.folder = self.root / "0"
        self.now = 1_000.0
        self.n_crashes = self.n_episodes = 0
        self.known: dict[str, dict[str, Known]] = {space: {} for space in SPACES}
        self.past: dict[str, list[tuple[int, dict[str, Said]]]] = {space: [] for space in SPACES}
        self.shown: dict[Name, tuple[str, ...]] = {}
        self.asked: list[Recall] = []
        self.memory = self.open()

    def open(self) -> Memory:
        return opened(self.folder, in_background=True, clock=lambda: self.now)

    def teardown(self) -> None:
        try:
            for recall in self.asked:
                self.replayed(recall)
            assert self.memory.check() == ()
            self.memory.close()
        finally:
            shutil.rmtree(self.root, ignore_errors=True)

    # Items

    @rule(target=items, space=spaces, said=st.lists(st.tuples(texts, evidence), min_size=1, max_size=3))
    def remember(self, space: str, said: list[tuple[str, list[str]]]) -> Any:
        """New ones get an id; what says the same as a living one is that one, with the evidence added."""
        drafts = [draft_of(text, pieces, None) for text, pieces in said]
        return multiple(*self.admitted(space, drafts))

    @rule(target=items, space=spaces, text=texts)
    def remember_in_a_family(self, space: str, text: str) -> Any:
        """Says the same only as another of that family."""
        return multiple(*self.admitted(space, [draft_of(text, [], "maple 7")]))

    @rule(target=keys, space=spaces, text=texts)
    def remember_with_a_key(self, space: str, text: str) -> Any:
        """So that it can be sent again."""
        key, drafts = f"key {self.now}", (draft_of(text, [], None),)
        names = self.admitted(space, list(drafts), key)
        return space, key, drafts, tuple(id_ for _, id_ in names)

    @rule(sent=keys)
    def send_again(self, sent: tuple[str, str, tuple[Draft, ...], tuple[str, ...]]) -> None:
        """The same answer, and nothing written."""
        space, key, drafts, ids = sent
        before = self.memory.stats().log_seq
        answer = self.memory.remember(space, drafts, principal="ada", channel="user", idempotency_key=key)
        assert tuple(item.id for item in answer) == ids
        assert self.memory.stats().log_seq == before

    def admitted(self, space: str, drafts: list[Draft], key: str | None = None) -> list[Name]:
        found = self.memory.remember(space, drafts, principal="ada", channel="user", idempotency_key=key)
        for draft, item in zip(drafts, found, strict=True):
            pieces = tuple(piece.episode for piece in draft.lineage.evidence)
            same = self.same(space, draft)
            if same is None:
                assert item.id not in self.known[space]
                self.known[space][item.id] = Known(draft.family, [Said(draft.text, "active", pieces)])
                continue
            assert item.id == same
            known = self.known[space][same]
            fresh = tuple(piece for piece in pieces if piece not in known.now.evidence)
            known.say(replace(known.now, evidence=known.now.evidence + fresh))
        return [(space, item.id) for item in found]

    def same(self, space: str, draft: Draft) -> str | None:
        for id_, known in self.known[space].items():
            is_same = (normalised(known.now.text), known.family) == (normalised(draft.text), draft.family)
            if is_same and known.now.status != "retired":
                return id_
        return None

    @rule(name=items, text=texts)
    def edit(self, name: Name, text: str) -> None:
        space, id_ = name
        body = CaseBody(text, (), text)
        self.memory.edit(space, id_, text=text, body=body, principal="ada", channel="user")
        known = self.of(name)
        known.say(replace(known.now, text=text))

    @rule(name=items, status=st.sampled_from(["quarantined", "active", "trial", "draft"]))
    def set_status(self, name: Name, status: Status) -> None:
        self.memory.edit(*name, status=status, principal="ada", channel="user")
        known = self.of(name)
        known.say(replace(known.now, status=status))

    @rule(name=items)
    def forget(self, name: Name) -> None:
        self.memory.forget(*name, principal="ada")
        known = self.of(name)
        known.say(replace(known.now, status="retired"))

    @rule(name=items)
    def undo(self, name: Name) -> None:
        """The newest change of an item; undoing the first one retires it."""
        space, id_ = name
        newest = [entry for entry in self.memory.history(space, id_) if entry.op != "reinforce"][-1]
        self.memory.undo(space, newest.seq, principal="ada")
        known = self.of(name)
        before = known.versions[-2] if len(known.versions) > 1 else replace(known.now, status="retired")
        known.versions.append(before)

    @rule(space=spaces, which=st.integers(0, 10**6))
    def restore(self, space: str, which: int) -> None:
        """A namespace as it was: what came later is retired; statistics are evidence and stay."""
        if not self.past[space]:
            return
        seq, then = self.past[space][which % len(self.past[space])]
        self.memory.restore(space, seq, principal="ada")
        for id_, known in self.known[space].items():
            known.say(then.get(id_, replace(known.now, status="retired")))

    def of(self, name: Name) -> Known:
        space, id_ = name
        return self.known[space][id_]

    # Episodes and value

    @rule(target=recalls, space=spaces, text=texts, family=st.sampled_from(FAMILIES), k=st.integers(1, 4))
    def recall(self, space: str, text: str, family: str | None, k: int) -> Recall:
        found = self.ask(space, text, family, k)
        self.asked.append(found)
        return found

    @rule(recall=recalls)
    def replay(self, recall: Recall) -> None:
        self.replayed(recall)

    @rule(target=episodes, recall=consumes(recalls), reward=rewards)
    def record(self, recall: Recall, reward: float) -> Name:
        space, id_ = recall.query.namespace, f"episode {self.n_episodes}"
        self.n_episodes += 1
        said = (Message("user", recall.query.text),)
        outcome: Outcome = "success" if reward else "failure"
        episode = Episode(
            id_, space, "t", "t", "w", "maple 7", "g", said, outcome, reward, recall=recall.record()
        )
        self.memory.record(episode, principal="ada")
        self.shown[space, id_] = tuple(hit.item.id for hit in recall.hits)
        return space, id_

    @rule(name=episodes)
    def reinforce(self, name: Name) -> None:
        episode = self.memory.episode(*name)
        self.memory.reinforce(episode, principal="ada")
        self.credit(name, episode.reward)

    @rule(name=episodes, reward=rewards)
    def feedback(self, name: Name, reward: float) -> None:
        self.memory.feedback(*name, reward=reward, principal="ada")
        self.credit(name, reward)

    def credit(self, name: Name, reward: float | None) -> None:
        assert reward is not None
        for id_ in self.shown[name]:
            self.of((name[0], id_)).rewards[name[1]] = reward

    # What happens to files

    @rule()
    def snapshot(self) -> None:
        self.memory.snapshot()

    @rule()
    def close_and_open(self) -> None:
        self.memory.close()
        self.memory = self.open()

    @rule(where=st.none() | st.floats(0.0, 1.0, exclude_max=True), which=st.integers(0, 10**6))
    def crash(self, where: float | None, which: int) -> None:
        """What a kill leaves: the files as they stand. Another process copies them: locks would be lost."""
        self.n_crashes += 1
        after = self.root / str(self.n_crashes)
        while subprocess.run(["cp", "-r", self.folder, after], check=False, capture_output=True).returncode:
            # A segment was put in the place of another meanwhile: no kill leaves half of either.
            shutil.rmtree(after)
        self.memory.close()
        shutil.rmtree(self.folder)
        self.folder = after
        if where is not None:
            self.harm(which, where)
        self.memory = self.open()

    def harm(self, which: int, where: float) -> None:
        """Turn a byte of one file of the index, or cut it there."""
        files = sorted(path for path in (self.folder / "index").rglob("*") if path.is_file())
        if not files:
            return
        path = files[which % len(files)]
        data = bytearray(path.read_bytes())
        place = int(where * len(data))
        if which % 2:
            data[place:] = b""
        elif data:
            data[place] ^= 0x40
        path.write_bytes(bytes(data))

    # What must always hold

    @invariant()
    def items_are_the_oracles(self) -> None:
        self.now += 1.0
        for space in SPACES:
            found = {item.id: summary(item) for item in self.memory.items(space, limit=10_000)}
            assert found == {id_: expected(known) for id_, known in self.known[space].items()}
            seq = max((entry.seq for entry in self.memory.log(space, limit=100_000)), default=0)
            if seq and (not self.past[space] or self.past[space][-1][0] != seq):
                self.past[space].append((seq, {id_: known.now for id_, known in self.known[space].items()}))

    @invariant()
    def recall_finds_exactly_what_lives(self) -> None:
        for space in SPACES:
            for family in FAMILIES:
                living = {id_ for id_, one in self.known[space].items() if one.is_living}
                wanted = {id_ for id_ in living if self.known[space][id_].family in {None, family}}
                if (found := self.found(space, family)) != wanted:
                    # A large index that was lost is being made: until then the newest alone are found.
                    assert found < wanted
                    if PART in self.memory.stats().index_note:
                        self.complete(space)
                    found = self.found(space, family)
                assert found == wanted

    def found(self, space: str, family: str | None) -> set[str]:
        items = [hit.item for hit in self.ask(space, "mug", family, 10_000).candidates]
        assert all(summary(item) == expected(self.known[space][item.id]) for item in items)
        return {item.id for item in items}

    def complete(self, space: str) -> None:
        shelves = self.memory._generations.present.shelves
        assert isinstance(shelves, Shelves)
        shelves.complete(space)

    @rule(space=spaces, text=texts)
    def search(self, space: str, text: str) -> None:
        """All words must occur, in living and in retired items."""
        found = {item.id for item in self.memory.items(space, words=text, limit=10_000)}
        wanted = set(words(text))
        assert found == {id_ for id_, one in self.known[space].items() if wanted <= set(words(one.now.text))}

    @rule()
    def the_log_holds(self) -> None:
        assert self.memory.check() == ()
        assert self.memory.verify_log() is None

    def ask(self, space: str, text: str, family: str | None, k: int) -> Recall:
        return self.memory.recall(Query(space, text, family=family, k=k), count_tokens=len)

    def replayed(self, recall: Recall) -> None:
        assert self.memory.replay(recall.record(), count_tokens=len) == recall


def test_a_memory_is_a_dictionary_that_finds_everything() -> None:
    """Store, index and oracle are one through edits, undos, restores, credits, crashes and harm."""
    run(
        MemoryMachine,
        settings=settings(max_examples=8, stateful_step_count=25, derandomize=True, deadline=None),
    )


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_memory_is_a_dictionary_that_finds_everything_at_length() -> None:
    """The same, longer and at random."""
    run(MemoryMachine, settings=settings(max_examples=400, stateful_step_count=60, deadline=None))
