"""Full disks, failing disks, torn files, clocks that jump back, no file descriptors left, two owners."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from memory.core import Memory
from memory.encoder import HashEncoder
from memory.errors import ApprenticeError, DiskFull, StoreError, StoreLocked
from tests.memory.children import in_a_child
from tests.memory.soundness import half_there, namespaces, state_of, unsound
from tests.memory.workloads import ask, case, empty, furnish, opened, remember, scratch

ROOT = Path(__file__).parents[2]
Prepare = Callable[[Path], None]


def is_whole(folder: Path) -> bool:
    """Opens, and everything is in order."""
    with opened(folder) as memory:
        problems = unsound(memory, namespaces(folder / "memory.db"))
    assert problems + half_there(folder / "memory.db") == []
    return True


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    folder = scratch("faults")
    in_a_child(lambda: furnish(folder))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def furnished(template: Path) -> Iterator[Path]:
    """A folder with a closed memory in it."""
    folder = scratch("faults")
    shutil.copytree(template, folder, dirs_exist_ok=True)
    yield folder
    shutil.rmtree(folder)


# The disk


def test_a_file_that_may_not_grow_fails_the_write_and_nothing_else(furnished: Path) -> None:
    """The system refuses SQLite's own writes (EFBIG): told as StoreError; what was acknowledged stays."""

    def run() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        memory = opened(furnished)
        largest = max(path.stat().st_size for path in furnished.iterdir() if path.is_file())
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest + 40_000, resource.RLIM_INFINITY))
        kept: list[str] = []
        try:
            for n in range(10_000):
                kept += [item.id for item in remember(memory, case(f"{n} " + "x" * 5_000))]
        except StoreError:
            pass
        else:
            raise AssertionError("nothing was refused")
        (furnished / "kept").write_text("\n".join(kept), encoding="utf-8")
        assert {item.id for item in memory.items("home", limit=10_000)} >= set(kept)
        assert memory.recall(ask(memory, "mug"), count_tokens=len).hits
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        kept += [item.id for item in remember(memory, case("there is room again"))]
        (furnished / "kept").write_text("\n".join(kept), encoding="utf-8")

    in_a_child(run)
    kept = set((furnished / "kept").read_text(encoding="utf-8").split("\n"))
    assert is_whole(furnished)
    with opened(furnished) as memory:
        assert len(kept) > 1
        assert {item.id for item in memory.items("home", limit=10_000)} >= kept


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, call: str, code: int, after: int) -> Iterator[list[int]]:
    """Calls of `os.<call>` fail from one on; yields how many did."""
    failed: list[int] = []
    made = [0]
    original = getattr(os, call)

    def fails(*args: Any, **rest: Any) -> Any:
        made[0] += 1
        if made[0] > after:
            failed.append(made[0])
            raise OSError(code, os.strerror(code))
        return original(*args, **rest)

    with monkeypatch.context() as patched:
        patched.setattr(os, call, fails)
        yield failed


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize(("call", "after"), [("fsync", 0), ("fsync", 2), ("rename", 0), ("rename", 1)])
def test_an_index_that_cannot_be_saved_stops_nothing(
    furnished: Path, monkeypatch: pytest.MonkeyPatch, call: str, after: int, code: int
) -> None:
    """Saving fails, the memory goes on and closes; the next start has all, from whatever index is whole."""
    memory = opened(furnished)
    remember(memory, case("written before the disk failed"))
    memory.recall(ask(memory, "mug"), count_tokens=len)
    with failing(monkeypatch, call, code, after) as failed:
        with pytest.raises(OSError, match=os.strerror(code)):
            memory.snapshot()
        remember(memory, case("written while it failed"))
        found = memory.recall(ask(memory, "written", k=50), count_tokens=len).hits
        assert {"written before the disk failed", "written while it failed"} <= {
            hit.item.text for hit in found
        }
        memory.close()
        assert failed
    assert is_whole(furnished)
    with opened(furnished) as again:
        assert {"written before the disk failed", "written while it failed"} <= {
            hit.item.text for hit in again.recall(ask(again, "written", k=50), count_tokens=len).hits
        }


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_an_export_onto_a_failing_disk_leaves_no_bundle(
    furnished: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """The folder appears whole or not at all; what was left is no hindrance to the next try."""
    with opened(furnished) as memory:
        with failing(monkeypatch, "rename", code, 0), pytest.raises(OSError, match=os.strerror(code)):
            memory.export("home", furnished / "out")
        assert not (furnished / "out").exists()
        memory.export("home", furnished / "out")
        assert memory.import_("other", furnished / "out", principal="root", channel="operator")


def test_a_full_disk_in_the_middle_of_making_the_schema_leaves_nothing_half_made(tmp_path: Path) -> None:
    """A bound that the schema does not fit in: refused, and once there is room all goes on."""
    in_a_child(lambda: empty(tmp_path))

    def run() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, resource.RLIM_INFINITY))
        try:
            opened(tmp_path)
        except StoreError:
            return
        raise AssertionError("a database of that schema cannot fit")

    in_a_child(run)
    with opened(tmp_path) as memory:
        assert remember(memory, case("there is room again"))
    assert is_whole(tmp_path)


def test_a_file_with_no_room_left_says_so(furnished: Path) -> None:
    """SQLITE_FULL by its own bound: DiskFull names the remedy; reading goes on, closing works."""
    pages = 60 + (furnished / "memory.db").stat().st_size // 4096
    memory = Memory.open(furnished / "memory.db", encoder=HashEncoder(64), max_pages=pages)

    def fill() -> None:
        for n in range(10_000):
            remember(memory, case(f"{n} " + "x" * 3_000))

    with pytest.raises(DiskFull, match="free space and retry"):
        fill()
    memory.snapshot()
    assert memory.items("home")
    memory.close()
    assert is_whole(furnished)


# Torn snapshots


KINDS_OF_HARM = ("cut", "turned", "zeros")


def harmed(path: Path, kind: str, share: float) -> None:
    data = bytearray(path.read_bytes())
    place = min(int(share * len(data)), len(data) - 1)
    if kind == "cut":
        data = data[:place]
    elif kind == "turned":
        data[place] ^= 0x20
    else:
        data[place:] = bytes(len(data) - place)
    path.write_bytes(bytes(data))


def torn(furnished: Path, kept: Path, kind: str, shares: Sequence[float], every: int) -> None:
    """Harm every so-manyth file of the index at these shares of its length; recall must not change."""
    with opened(furnished) as memory:
        before = found_in(memory)
    shutil.copytree(furnished / "index", kept)
    files = sorted(
        path.relative_to(kept) for path in kept.rglob("*") if path.is_file() and path.stat().st_size
    )
    assert len(files) > 5
    for file in files[::every]:
        for share in shares:
            shutil.rmtree(furnished / "index")
            shutil.copytree(kept, furnished / "index")
            harmed(furnished / "index" / file, kind, share)
            with opened(furnished) as memory:
                assert found_in(memory) == before, (file, kind, share)


def found_in(memory: Memory) -> dict[str, float | None]:
    """Ids and cosines: they are taken from the database, whatever the index proposed."""
    recall = memory.recall(ask(memory, "mug of table 3", k=50), count_tokens=len)
    return {hit.item.id: hit.score.dense for hit in recall.candidates}


@pytest.mark.parametrize("kind", KINDS_OF_HARM)
def test_a_torn_index_is_never_believed(furnished: Path, tmp_path: Path, kind: str) -> None:
    """Recall finds the same as before, from the segment before or from the database."""
    torn(furnished, tmp_path / "kept", kind, [0.5], every=3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS_OF_HARM)
def test_an_index_torn_anywhere_is_never_believed(furnished: Path, tmp_path: Path, kind: str) -> None:
    """Every file of it, at many places."""
    torn(furnished, tmp_path / "kept", kind, [0.0, 0.02, 0.1, 0.3, 0.5, 0.8, 0.97, 1.0], every=1)


# The clock


def test_a_clock_that_jumps_back_confuses_nobody(tmp_path: Path) -> None:
    """Versions, log order, undo and the chain go by position; validity by the clock, whatever it says."""
    times = iter([5_000.0, 4_000.0, 1.0, 3.0, 2.0])
    now = [10_000.0]
    memory = Memory.open(tmp_path / "memory.db", encoder=HashEncoder(64), clock=lambda: now[0])
    (item,) = remember(memory, case("the mug is in cabinet 1"))
    for n, time in enumerate(times, start=2):
        now[0] = time
        edited = memory.edit("home", item.id, text=f"mug {n}", principal="ada", channel="user")
        assert (edited.version, edited.updated_at) == (n, time)
    assert [entry.version for entry in memory.history("home", item.id)] == list(range(1, 7))
    assert [entry.seq for entry in memory.log("home")] == list(range(1, 7))
    assert memory.undo("home", 6, principal="ada").text == "mug 5"
    assert not memory.recall(ask(memory, "mug"), count_tokens=len).hits
    now[0] = 10_000.0
    recall = memory.recall(ask(memory, "mug"), count_tokens=len)
    assert [hit.item.text for hit in recall.hits] == ["mug 5"]
    now[0] = 0.0
    assert memory.replay(recall.record(), count_tokens=len) == recall
    assert memory.check() == ()
    assert memory.verify_log() is None
    memory.close()


# Owners and descriptors


def has_ended(process: subprocess.Popen[bytes], within_s: float) -> bool:
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def test_a_second_owner_is_refused_and_the_first_unharmed(furnished: Path) -> None:
    """Tried again and again from another process while the first one writes; then the first is killed."""
    code = (
        "import sys; from pathlib import Path\n"
        "from tests.memory.workloads import opened\n"
        "from memory.errors import StoreLocked\n"
        "for _ in range(5):\n"
        "    try: opened(Path(sys.argv[1]))\n"
        "    except StoreLocked: continue\n"
        "    sys.exit('a second owner was let in')\n"
    )

    def run() -> None:
        memory = opened(furnished)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        other = subprocess.Popen([sys.executable, "-c", code, str(furnished)], env=environment)
        kept = []
        while not has_ended(other, 0.05):
            kept += [item.id for item in remember(memory, case(f"said {len(kept)}"))]
        assert other.returncode == 0
        with pytest.raises(StoreLocked):
            opened(furnished)
        (furnished / "kept").write_text("\n".join(kept), encoding="utf-8")

    in_a_child(run)
    assert is_whole(furnished)
    with opened(furnished) as memory:
        kept = (furnished / "kept").read_text(encoding="utf-8").split("\n")
        assert {item.id for item in memory.items("home", limit=10_000)} >= set(kept)


def test_without_descriptors_writing_fails_or_works_but_never_lies(furnished: Path) -> None:
    """Every descriptor taken: a call either answers or raises; given back, all goes on."""

    def run() -> None:
        memory = opened(furnished)
        kept = [item.id for item in remember(memory, case("before they ran out"))]
        resource.setrlimit(resource.RLIMIT_NOFILE, (128, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        taken = []
        while True:
            try:
                taken.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                break
        for n in range(5):
            try:
                kept += [item.id for item in remember(memory, case(f"without a descriptor {n}"))]
                memory.recall(ask(memory, "mug"), count_tokens=len)
                memory.snapshot()
            except (ApprenticeError, OSError):
                continue
        for descriptor in taken:
            os.close(descriptor)
        kept += [item.id for item in remember(memory, case("after they came back"))]
        assert {item.id for item in memory.items("home", limit=10_000)} >= set(kept)
        memory.close()

    in_a_child(run)
    assert is_whole(furnished)


def test_a_folder_that_cannot_be_written_is_named(furnished: Path) -> None:
    """A mount that only reads: the error names the file; nothing there has changed."""
    if os.geteuid() == 0:
        pytest.skip("the superuser may write anywhere")
    before = state_of(furnished / "memory.db")
    furnished.chmod(0o500)
    try:
        with pytest.raises(StoreError, match=r"memory\.db"):
            opened(furnished)
    finally:
        furnished.chmod(0o700)
    assert state_of(furnished / "memory.db") == before


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    """As it would be when the path was mistyped."""
    (tmp_path / "data").write_text("not a folder", encoding="utf-8")
    with pytest.raises(StoreError, match="data"):
        opened(tmp_path / "data")
