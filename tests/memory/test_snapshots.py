"""Large indexes on disk: read when whole, rebuilt and told when not, brought into shape beside readers."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from threading import Event, Thread, current_thread, main_thread
from time import sleep
from typing import Any

import numpy as np
import pytest

from memory.core import Memory
from memory.encoder import CachedEncoder, HashEncoder
from memory.entry import Entry, Found, Vector, digest_of
from memory.index import snapshots
from memory.index.layers import Layers
from memory.index.segments import Segments, Sizes
from memory.index.shelf import Shelf
from memory.index.shelves import Shelves
from memory.recall.generations import Generation, Generations
from memory.recall.rank import RecallSettings
from memory.store.engine import Store
from memory.types import CaseBody, Draft, Query
from memory.writing.forgetting import Root

SMALL = Sizes(large=60, merge=20, share=0.1, stride=40)
DIM = 64


class Home:
    """A memory whose indexes become large early, and a short way to fill and ask it."""

    def __init__(self, folder: Path, *, dim: int = DIM, in_background: bool = False) -> None:
        self.store = Store.open(folder / "memory.db")
        encoder = HashEncoder(dim)
        self.shelves = Shelves(self.store, encoder.generation, dim, folder / "index", SMALL)
        if not in_background:
            self.shelves._following.close()
            self.shelves._upkeep.close()
        generations = Generations(self.store, Generation(CachedEncoder(encoder), self.shelves))
        self.memory = Memory(self.store, generations, RecallSettings(pool=500), lambda: 1000.0)

    def fill(self, start: int, end: int, namespace: str = "home") -> None:
        drafts = [self.case(f"the mug number {n} is in cabinet {n % 7}") for n in range(start, end)]
        self.memory.remember(namespace, drafts, principal="ada", channel="user")

    @staticmethod
    def case(text: str) -> Draft:
        return Draft(kind="case", text=text, body=CaseBody(text, ("look",), text, None), outcome="success")

    def found(self, text: str = "mug", namespace: str = "home") -> set[str]:
        recall = self.memory.recall(Query(namespace, text), count_tokens=len)
        return {hit.item.text for hit in recall.candidates}

    def index(self, namespace: str = "home") -> Layers | Shelf:
        index = self.shelves._of(namespace).index
        assert isinstance(index, Layers | Shelf)
        return index

    def settle(self, namespace: str = "home") -> Layers:
        """Bring the index into shape now, not soon."""
        self.shelves.look(namespace, lambda *_: None)
        self.shelves._improve(namespace, even_so=True)
        index = self.index(namespace)
        assert isinstance(index, Layers)
        return index

    def close(self) -> None:
        self.memory.close()


OpenHome = Callable[..., Home]


@pytest.fixture
def open_home(tmp_path: Path) -> Iterator[OpenHome]:
    opened: list[Home] = []

    def open_(**rest: object) -> Home:
        home = Home(tmp_path, **rest)  # type: ignore[arg-type]
        opened.append(home)
        return home

    yield open_
    for home in opened:
        home.close()


def until(is_so: Callable[[], bool]) -> None:
    """Wait for the background."""
    for _ in range(3000):
        if is_so():
            return
        sleep(0.01)
    raise AssertionError("it never came to be")


def expected(*numbers: int) -> set[str]:
    return {f"the mug number {n} is in cabinet {n % 7}" for n in numbers}


def spaces(folder: Path) -> list[Path]:
    return sorted((folder / "index").glob("*/*"))


def segments(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "index").glob("*/*/segment-*"))


def test_a_small_namespace_is_exact_and_writes_nothing(open_home: OpenHome, tmp_path: Path) -> None:
    """It is read from the database at the first question."""
    home = open_home()
    home.fill(0, 50)
    assert home.found() == expected(*range(50))
    assert home.shelves.look("home", lambda index, *_: index.search(_ask()).exact)
    home.close()
    again = open_home()
    assert again.found() == expected(*range(50))
    assert (again.shelves.origin, spaces(tmp_path)) == ("none", [])


def _ask() -> object:
    from memory.index.ask import Ask

    return Ask(HashEncoder(DIM).encode(["mug"])[0], "mug", ("case",), frozenset(), 5)


def test_a_namespace_that_grows_becomes_a_segment_in_the_background(
    open_home: OpenHome, tmp_path: Path
) -> None:
    """Answers say that they are approximate from then on; nothing is lost."""
    home = open_home(in_background=True)
    home.fill(0, 50)
    assert home.found() == expected(*range(50))
    home.fill(50, 100)
    assert home.found() == expected(*range(100))
    until(lambda: isinstance(home.index(), Layers))
    assert not home.shelves.look("home", lambda index, *_: index.search(_ask()).exact)
    home.fill(100, 110)
    assert home.found() == expected(*range(110))
    assert segments(tmp_path) == ["segment-00000001"]


def test_the_first_question_after_a_load_builds_nothing(
    open_home: OpenHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index followed while it was written, into a segment; what is left is less than a stride."""
    home = open_home(in_background=True)
    taken: list[int] = []
    for start in range(0, 400, 20):
        home.fill(start, start + 20)
    until(lambda: home.shelves.applied_seq == 400 and isinstance(home.index(), Layers))
    home.fill(400, 420)
    put = Shelf.put

    def counted(shelf: Shelf, entries: Iterable[Entry]) -> None:
        entries = list(entries)
        if current_thread() is main_thread():
            taken.append(len(entries))
        put(shelf, entries)

    monkeypatch.setattr(Shelf, "put", counted)
    assert home.found() == expected(*range(420))
    assert taken in ([20], [])  # the follower's last turn may have seen them before the question did


def test_what_is_small_waits_for_its_first_question(open_home: OpenHome) -> None:
    """A namespace that nobody asks costs no memory until much is written to it."""
    home = open_home(in_background=True)
    for n in range(3):
        home.fill(0, 39, f"space-{n}")
    assert home.shelves._guarded == {}
    assert home.shelves._following._thread is None


def test_saving_levels_what_is_in_use(open_home: OpenHome) -> None:
    """Also what no question has seen yet; the next start reads all of it from disk."""
    home = open_home()
    home.fill(0, 100)
    home.found()
    home.fill(100, 150)
    home.memory.snapshot()
    index = home.index()
    assert isinstance(index, Layers)
    assert (index.segment.n_rows, index.tail.n_rows) == (150, 0)


def test_a_large_namespace_goes_to_disk_at_its_first_question(open_home: OpenHome, tmp_path: Path) -> None:
    """Page by page from the database; the next start maps what is there."""
    home = open_home()
    home.fill(0, 200)
    assert home.found() == expected(*range(200))
    assert isinstance(home.index(), Layers)
    home.close()
    again = open_home()
    assert again.shelves.origin == "snapshot"
    assert again.found() == expected(*range(200))
    assert (again.shelves.origin, again.shelves.note) == ("snapshot", "")
    assert segments(tmp_path) == ["segment-00000001"]


def test_a_question_does_not_wait_for_a_large_index_to_be_made(
    open_home: OpenHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest items are found until then, and answers say that they are not exact; then all are."""
    home = open_home()
    home.fill(0, 200)
    home.close()
    may_go_on = Event()
    from_nothing = Segments._from_nothing

    def waiting(*args: object) -> object:
        may_go_on.wait()
        return from_nothing(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(Segments, "_from_nothing", waiting)
    again = open_home(in_background=True)
    assert again.found() == expected(*range(140, 200))
    first, *_ = again.memory.items("home")
    again.memory.edit("home", first.id, text="the kettle is hot", principal="ada", channel="user")
    assert again.found("mug kettle") == expected(*range(140, 200)) | {"the kettle is hot"}
    assert not again.shelves.look("home", lambda index, *_: index.search(_ask()).exact)
    may_go_on.set()
    until(lambda: isinstance(again.index(), Layers))
    assert again.found("mug kettle") == expected(*range(1, 200)) | {"the kettle is hot"}


def test_a_large_index_that_cannot_be_made_is_asked_for_ever_more_seldom(
    open_home: OpenHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest items are found all the while."""
    home = open_home()
    home.fill(0, 100)
    home.close()
    tries: list[int] = []

    def fail(*_: object) -> None:
        tries.append(1)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(snapshots, "_write_manifest", fail)
    again = open_home(in_background=True)
    for n in range(100):
        assert again.found() == expected(*range(40, 100))
        if n < 2:
            until(lambda: again.shelves._of("home").patience == 2 ** len(tries) > 1)
    until(lambda: not again.shelves._upkeep._waiting)
    assert len(tries) <= 8


def test_an_erasure_is_proved_by_the_whole_index(open_home: OpenHome) -> None:
    """Not by the newest items, which serve while it is made."""
    home = open_home()
    home.fill(0, 200)
    home.close()
    again = open_home(in_background=True)
    again.found()
    first, *_ = again.memory.items("home", limit=1)
    assert again.memory.erase("home", Root("item", first.id), principal="o").remains.total == 0
    assert len(again.index()) == 199


def test_what_changed_since_a_segment_is_caught_up(open_home: OpenHome) -> None:
    """Edits, retirements and additions of a session that ended without saving."""
    home = open_home()
    home.fill(0, 100)
    home.found()
    home.settle()
    first, second, *_ = home.memory.items("home")
    home.memory.edit("home", first.id, text="the kettle is hot", principal="ada", channel="user")
    home.memory.forget("home", second.id, principal="ada")
    home.fill(100, 105)
    home.close()
    again = open_home()
    assert again.found("mug kettle") == expected(*range(2, 105)) | {"the kettle is hot"}
    assert again.memory.stats().applied_seq == again.memory.stats().log_seq


def test_a_tail_is_merged_when_it_has_grown(open_home: OpenHome, tmp_path: Path) -> None:
    """And at the end of a session, so that the next start need not read it again; two segments are kept."""
    home = open_home()
    home.fill(0, 100)
    home.found()
    for start in (100, 150, 200):
        home.fill(start, start + 50)
        assert home.settle().tail.n_rows == 0
    home.fill(250, 300)
    assert home.found() == expected(*range(300))
    home.close()
    assert len(segments(tmp_path)) == 2
    again = open_home()
    assert again.found() == expected(*range(300))
    index = again.index()
    assert isinstance(index, Layers)
    assert (index.segment.n_rows, index.tail.n_rows) == (300, 0)


def test_cells_are_laid_out_anew_when_outgrown(open_home: OpenHome) -> None:
    """Four times the rows they were made for."""
    home = open_home()
    home.fill(0, 70)
    home.settle()
    home.fill(70, 400)
    assert home.settle().segment.n_trained == 400
    assert home.found() == expected(*range(400))


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed memory with two segments, of 100 and 150 rows."""
    folder = tmp_path_factory.mktemp("template")
    home = Home(folder)
    home.fill(0, 50)
    home.found()
    home.fill(50, 100)
    home.settle()
    home.fill(100, 150)
    home.settle()
    home.close()
    return folder


@pytest.fixture
def two_segments(template: Path, tmp_path: Path) -> Path:
    """A copy of the template; the folder of its namespace."""
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    (space,) = spaces(tmp_path)
    assert (space / "CURRENT").read_text(encoding="utf-8") == "segment-00000002"
    return space


@pytest.mark.parametrize("harm", [damage, cut_short, Path.unlink])
@pytest.mark.parametrize("name", ["cells.faiss", "table-ids.npy", "postings-rows.npy", "manifest.json"])
def test_a_corrupt_segment_gives_way_to_the_one_before(
    two_segments: Path,
    open_home: OpenHome,
    caplog: pytest.LogCaptureFixture,
    harm: Callable[[Path], None],
    name: str,
) -> None:
    """Whatever is wrong with whichever file: everything is still found, and it is told."""
    harm(two_segments / "segment-00000002" / name)
    again = open_home()
    with caplog.at_level(logging.WARNING):
        assert again.found() == expected(*range(150))
    assert again.memory.stats().index == "previous"
    assert "segment-00000002" in again.memory.stats().index_note
    assert any("segment-00000002" in record.message for record in caplog.records)


def test_with_no_good_segment_the_index_is_rebuilt(
    two_segments: Path, open_home: OpenHome, caplog: pytest.LogCaptureFixture
) -> None:
    """From the database, and it is told."""
    for n in (1, 2):
        damage(two_segments / f"segment-0000000{n}" / "cells.faiss")
    again = open_home()
    with caplog.at_level(logging.WARNING):
        assert again.found() == expected(*range(150))
    assert again.memory.stats().index == "rebuilt"
    assert any("index rebuilt" in record.message for record in caplog.records)


def test_a_crash_before_the_pointer_moved_is_no_hindrance(two_segments: Path, open_home: OpenHome) -> None:
    """The older segment and the log hold everything; so do a pointer to nowhere and a half-written folder."""
    (two_segments / "CURRENT").write_text("segment-00000001", encoding="utf-8")
    (two_segments / ".building-00000003-1").mkdir()
    one = open_home()
    assert one.found() == expected(*range(150))
    assert one.shelves.origin == "snapshot"
    one.settle()
    one.close()
    assert not list(two_segments.glob(".building-*"))
    (two_segments / "CURRENT").write_text("segment-00000099", encoding="utf-8")
    other = open_home()
    assert other.found() == expected(*range(150))
    assert other.shelves.origin == "previous"


def test_a_segment_of_another_past_is_not_used(open_home: OpenHome, tmp_path: Path) -> None:
    """A database that went back to a backup has other rows at the same log positions."""
    home = open_home()
    home.fill(0, 100)
    home.memory.backup(tmp_path / "backup.db")
    home.fill(100, 150)
    home.found()
    home.settle()
    home.close()
    for left in tmp_path.glob("memory.db*"):
        left.unlink()
    shutil.copy(tmp_path / "backup.db", tmp_path / "memory.db")
    again = open_home()
    again.fill(500, 550)
    assert again.found() == expected(*range(100), *range(500, 550))
    assert "another past" in again.shelves.note


def test_generations_keep_apart(open_home: OpenHome, tmp_path: Path) -> None:
    """Each encoder has its own folder; without vectors of its own a namespace is found by words."""
    home = open_home()
    home.fill(0, 100)
    home.settle()
    home.close()
    other = open_home(dim=32)
    assert other.found() == expected(*range(100))
    recall = other.memory.recall(Query("home", "mug"), count_tokens=len)
    assert {hit.score.dense for hit in recall.candidates} == {None}
    assert len(spaces(tmp_path)) == 2
    other.memory.reencode()
    other.settle()
    recall = other.memory.recall(Query("home", "mug"), count_tokens=len)
    assert None not in {hit.score.dense for hit in recall.candidates}


def test_a_purge_leaves_no_file(open_home: OpenHome, tmp_path: Path) -> None:
    """And the next question builds the index again, of what the database still has."""
    home = open_home()
    home.fill(0, 100)
    home.fill(0, 90, "away")
    home.settle()
    home.settle("away")
    assert len(spaces(tmp_path)) == 2
    home.shelves.purge("home")
    assert len(spaces(tmp_path)) == 1
    assert home.found() == expected(*range(100))
    assert home.found(namespace="away") == expected(*range(90))


def test_a_segment_of_before_a_purge_is_thrown_away(
    open_home: OpenHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is being written while its namespace is purged never comes into use."""
    home = open_home()
    home.fill(0, 100)
    home.shelves.look("home", lambda *_: None)
    home.shelves.purge("home")
    home.shelves.look("home", lambda *_: None)
    home.fill(100, 130)
    home.shelves.look("home", lambda *_: None)
    rename = snapshots._rename

    def purge_first(*args: object) -> None:
        home.shelves.purge("home")
        rename(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(snapshots, "_rename", purge_first)
    home.shelves._improve("home", even_so=True)
    assert spaces(tmp_path) == []
    monkeypatch.undo()
    assert home.found() == expected(*range(130))


def test_an_erasure_that_was_cut_short_is_finished_at_the_next_start(
    open_home: OpenHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between commit and purge: no file of before stays, asked or not; others keep theirs."""
    home = open_home()
    home.fill(0, 100)
    home.fill(0, 90, "away")
    home.settle()
    home.settle("away")
    first = cut_short_erasure(home, monkeypatch)
    home.close()
    assert len(spaces(tmp_path)) == 2
    for space in spaces(tmp_path):
        (space / ".building-00000009-1").mkdir()
    again = open_home()
    (left,) = spaces(tmp_path)
    assert not list(left.glob(".building-*"))
    assert again.found() == expected(*range(1, 100))
    assert again.memory.erase("home", Root("item", first), principal="o").remains.total == 0
    assert again.found(namespace="away") == expected(*range(90))
    assert again.shelves.note == ""


def test_an_erasure_that_was_cut_short_is_finished_by_asking_again(
    open_home: OpenHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a restart."""
    home = open_home()
    home.fill(0, 100)
    home.settle()
    first = cut_short_erasure(home, monkeypatch)
    assert len(spaces(tmp_path)) == 1
    report = home.memory.erase("home", Root("item", first), principal="o")
    assert (report.items, report.remains.total) == ((first,), 0)
    assert spaces(tmp_path) == []
    assert home.found() == expected(*range(1, 100))


def test_a_segment_of_before_an_erasure_is_refused(
    open_home: OpenHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that appears while the memory is open, and one that does not say what it is of."""
    home = open_home()
    home.fill(0, 100)
    home.settle()
    cut_short_erasure(home, monkeypatch)
    (space,) = spaces(tmp_path)
    shutil.copytree(space, tmp_path / "kept")
    for harm in (lambda _: None, damage):
        home.shelves.purge("home")
        shutil.copytree(tmp_path / "kept", space)
        harm(space / "segment-00000001" / "manifest.json")
        assert home.found() == expected(*range(1, 100))
        assert home.index().segment.n_rows == 99  # type: ignore[union-attr]


def cut_short_erasure(home: Home, monkeypatch: pytest.MonkeyPatch) -> str:
    """Erase the first item up to the commit; its id."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    first, *_ = home.memory.items("home", limit=1)
    with monkeypatch.context() as patched:
        patched.setattr(Generations, "purge", killed)
        with pytest.raises(KeyboardInterrupt):
            home.memory.erase("home", Root("item", first.id), principal="o")
    return first.id


def test_a_disk_that_fails_leaves_the_index_as_it_was(
    open_home: OpenHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be written is not asked for at every question, and no part of it stays."""
    home = open_home()
    home.fill(0, 59)
    home.found()
    home.fill(59, 70)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(snapshots, "_write_manifest", fail)
    with pytest.raises(OSError, match="space"):
        home.shelves._improve("home", even_so=True)
    assert home.found() == expected(*range(70))
    assert segments(tmp_path) == []
    assert not list((tmp_path / "index").glob("*/*/.building-*"))
    assert home.shelves._of("home").patience == 2


def test_what_the_first_release_left_goes(open_home: OpenHome, tmp_path: Path) -> None:
    """Its snapshots held vectors that the database has as well."""
    old = tmp_path / "index" / "snapshot-00000003"
    old.mkdir(parents=True)
    (old / "manifest.json").write_text(json.dumps({"format": 1}), encoding="utf-8")
    open_home()
    assert not old.exists()


def test_recall_writes_and_merges_at_once_are_safe_and_consistent(open_home: OpenHome) -> None:
    """Searches beside adds and swaps neither crash nor see a write behind or ahead of their own moment."""
    home = open_home(in_background=True)
    home.fill(0, 80)
    home.settle()
    stop = Event()
    wrong: list[str] = []

    def read() -> None:
        while not stop.is_set():
            recall = home.memory.recall(Query("home", "mug"), count_tokens=len)
            if len(recall.candidates) != recall.log_seq:
                wrong.append(f"{len(recall.candidates)} candidates at seq {recall.log_seq}")

    readers = [Thread(target=read) for _ in range(3)]
    for thread in readers:
        thread.start()
    for n in range(80, 240):
        home.fill(n, n + 1)
    stop.set()
    for thread in readers:
        thread.join()
    assert wrong == []
    assert home.found() == expected(*range(240))
    assert home.settle().segment.n_rows == 240


def test_two_namespaces_are_asked_at_one_moment(open_home: OpenHome) -> None:
    """One large, one small, both level with the one reader while somebody writes to both."""
    home = open_home()
    home.fill(0, 100)
    home.fill(0, 5, "away")
    stop = Event()

    def write() -> None:
        n = 100
        while not stop.is_set():
            home.fill(n, n + 1)
            home.fill(n, n + 1, "away")
            n += 1

    writer = Thread(target=write)
    writer.start()

    def use(indexes: Mapping[str, object], reader: object, seq: int) -> tuple[int, int, int]:
        sizes = [len(home.shelves._of(name).index) for name in ("home", "away")]
        assert set(indexes) == {"home", "away"}
        return sizes[0], sizes[1], seq

    for _ in range(20):
        large, small, seq = home.shelves.look_at(["home", "away"], use)
        assert large + small == seq
    stop.set()
    writer.join()


def test_cosines_are_near_those_of_the_stored_vectors(open_home: OpenHome) -> None:
    """A large index scores by its own quantised vectors, and leaves the stored ones where they are."""
    home = open_home()
    home.fill(0, 100)
    home.settle()

    def use(index: Any, reader: Any, seq: int) -> list[tuple[Found, Vector]]:
        found = index.search(_ask()).found
        digests = {
            item.id: digest_of(item.text)
            for item in reader.items_by_id("home", [one.id for one in found]).values()
        }
        vectors = reader.vectors("home", HashEncoder(DIM).generation, digests=list(digests.values()))
        return [(one, vectors[digests[one.id]]) for one in found]

    asked = HashEncoder(DIM).encode(["mug"])[0]
    scored = home.shelves.look("home", use)
    assert scored
    for one, vector in scored:
        assert one.vector is None
        assert one.dense == pytest.approx(float(np.dot(vector.astype(float), asked.astype(float))), abs=5e-3)


def test_a_recall_from_a_large_index_is_replayed_to_the_bit(open_home: OpenHome) -> None:
    """Cosines are those of the record, and what is shown is compared by its stored vectors both times."""
    home = open_home()
    home.fill(0, 100)
    home.settle()
    recall = home.memory.recall(Query("home", "mug", k=8), count_tokens=len)
    assert recall.proposed is not None
    assert home.memory.replay(recall.record(), count_tokens=len).candidates == recall.candidates
