"""The live database file is opened by SQLite alone.

Closing any other descriptor of it drops all locks that SQLite holds on it in that process: they belong to a
process and a file, not to a descriptor. The next reader elsewhere then thinks it is the last, and removes the
write-ahead log with what was acknowledged in it. Source: https://sqlite.org/howtocorrupt.html, 2.2.
"""

from __future__ import annotations

import ast
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from memory.core import Memory
from tests.memory.children import in_a_child
from tests.memory.tenants import ORDER, OVER_ALL, Tenant
from tests.memory.workloads import ask, case, opened, remember, scratch

ROOT = Path(__file__).parents[2]

OPENERS = {
    *("open", "read_bytes", "read_text", "write_bytes", "write_text", "touch", "fdopen", "memmap", "mmap"),
    *("copy", "copy2", "copyfile", "copytree", "move", "fromfile", "tofile", "loadtxt", "save", "load"),
    *("read_index", "write_index", "sendfile", "FileResponse", "make_archive"),
}
"""Calls that open files, by their last name."""
MODULES = {"os", "shutil", "np", "numpy", "faiss", "io", "mmap", "tarfile", "zipfile", "codecs", "builtins"}
MAY_OPEN = {
    "memory/moving/packing.py": "writes bundles into a folder that is made for them",
    "memory/moving/bundle.py": "reads bundles",
    "memory/moving/signing.py": "the key that bundles are signed with",
    "memory/encoder.py": "hashes the model's own files",
    "memory/value/neural.py": "the weights of a critic that was fitted offline",
    "memory/index/snapshots.py": "manifests and pointers of index segments",
    "memory/index/segment.py": "a segment's columns",
    "memory/index/vectors.py": "a segment's cells, through FAISS",
    "memory/store/lock.py": "the lock file beside the database",
    "server/auth.py": "the file of keys",
    "server/key_use.py": "when keys were last used, in a file of its own",
    "server/backing.py": "manifests of backups; databases are copied by what has them open",
    "server/settings_file.py": "settings in a file that a user wrote",
    "server/commands/init.py": "begins one",
    "server/shelf.py": "makes its own database's file, which nobody else may read",
    "server/suites.py": "the tasks that are kept for gates, in a file of their own",
    "server/vllm.py": "tokenizers of models",
    "server/client.py": "the key of the one who calls",
    "server/distilling.py": "what jobs say of themselves, in folders of their own",
    "server/demo/host.py": "the log of the demo's server",
    "server/demo/story.py": "what the demo prints, in its own folder",
    "server/commands/api.py": "a body in a file that the user named",
    "server/commands/wired.py": "the same",
    "server/commands/constitution.py": "a constitution in a file that the user named",
    "server/commands/figure.py": "a table and a picture that a user named",
    "server/commands/flow.py": "a flow in a file that the user named",
    "server/commands/seeing.py": "a report in a file that the user named",
    "server/commands/moving.py": "bundles and logs that a user named, in the process of the command",
    "server/routes/moving.py": "bundles in folders made for them",
}
"""Modules that open files at all, and which; none of these is the database. A new one needs a reason."""


def opens(path: Path) -> list[int]:
    """Lines of a module that open a file otherwise than through SQLite."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name, of = called(node.func)
        is_ours = name == "open" and of in {
            "Memory",
            "Store",
            "Sqlite",
            "Postgres",
            "Cells",
            "cls",
            "self",
            "core",
            "quotas",
        }
        is_loose = name in {"copy", "move", "load", "save", "touch"} and of not in MODULES
        if name in OPENERS and not is_ours and not is_loose:
            found.append(node.lineno)
    return found


def called(func: ast.expr) -> tuple[str, str]:
    """Last name of a call, and what it is a method of where that is a plain name."""
    if isinstance(func, ast.Name):
        return func.id, ""
    if isinstance(func, ast.Attribute):
        of = func.value
        return func.attr, of.id if isinstance(of, ast.Name) else getattr(of, "attr", "")
    return "", ""


def test_only_modules_with_a_reason_open_files() -> None:
    """A lint: whoever opens a file is listed with what it opens, and whoever is listed does."""
    found = {
        str(path.relative_to(ROOT))
        for room in ("memory", "server")
        for path in (ROOT / room).rglob("*.py")
        if opens(path)
    }
    assert found == set(MAY_OPEN)


def test_the_lint_sees_what_it_looks_for(tmp_path: Path) -> None:
    """Each way of opening a file is found; SQLite's own is not."""
    bad = tmp_path / "bad.py"
    bad.write_text(
        "open(p)\nos.open(p, 0)\np.open('rb')\np.read_bytes()\nshutil.copy(p, q)\nnp.memmap(p)\n"
        "sqlite3.connect(p)\nMemory.open(p)\ndict.copy()\n",
        encoding="utf-8",
    )
    assert opens(bad) == [1, 2, 3, 4, 5, 6]


@pytest.fixture
def folder() -> Iterator[Path]:
    made = scratch("live")
    yield made
    shutil.rmtree(made)


def everything(memory: Memory, folder: Path) -> None:
    """Every public call there is."""
    tenant = Tenant(memory, "home", ["mug in cabinet 1", "plate 3 is hot"], folder / "bundle")
    for name in ORDER:
        tenant.called(name)
    for name in sorted(OVER_ALL.keys() - {"open", "close", "signer"}):
        call: Callable[..., object] = getattr(memory, name)
        call(folder / "backup.db") if name == "backup" else call()


def test_no_call_opens_the_live_file(folder: Path) -> None:
    """Watched through the interpreter's audit of opening: database, log and shared memory never appear.

    FAISS opens its own files without telling; it is given paths below `index/` alone.
    """

    def run() -> None:
        seen: list[str] = []

        def watch(event: str, args: tuple[object, ...]) -> None:
            if event in {"open", "shutil.copyfile", "shutil.move", "os.truncate"} and args:
                seen.extend(str(arg) for arg in args[:2] if isinstance(arg, str | Path))

        sys.addaudithook(watch)
        memory = opened(folder)
        everything(memory, folder)
        memory.close()
        opened(folder).close()
        live = {str(folder / f"memory.db{end}") for end in ("", "-wal", "-shm", "-journal")}
        assert not live & set(seen), live & set(seen)
        assert str(folder / "memory.db.lock") in seen
        (folder / "memory.db").open("rb").close()
        assert live & set(seen)

    in_a_child(run)


# Why: the loss itself

READ = (
    "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]);"
    "c.execute('SELECT count(*) FROM item').fetchall(); c.close()"
)


def look_from_outside(path: Path) -> None:
    """Another program reads the database and goes away, as somebody's shell would."""
    subprocess.run([sys.executable, "-c", READ, str(path)], check=True)


def killed_after(folder: Path, between: Callable[[Memory], None]) -> int:
    """Two acknowledged writes, something and an outside reader between them, a SIGKILL: how many are left."""

    def run() -> None:
        memory = opened(folder)
        remember(memory, case("the first thing"))
        between(memory)
        look_from_outside(folder / "memory.db")
        remember(memory, case("the second thing"))
        os.kill(os.getpid(), signal.SIGKILL)

    in_a_child(run)
    with opened(folder) as memory:
        return len(memory.items("home", limit=10_000))


def test_a_raw_open_loses_an_acknowledged_write(folder: Path) -> None:
    """The danger is real: if this fails one day, the rule may go."""

    def peek(memory: Memory) -> None:
        with (folder / "memory.db").open("rb") as file:
            file.read(16)

    assert killed_after(folder, peek) < 2


def test_none_of_our_calls_loses_anything_under_an_outside_reader(folder: Path) -> None:
    """The same reader after every one of our calls, backup and check among them: both writes are there."""

    def use(memory: Memory) -> None:
        memory.snapshot()
        memory.backup(folder / "backup.db")
        memory.export("home", folder / "out")
        memory.recall(ask(memory, "thing"), count_tokens=len)
        memory.stats()
        assert memory.check() == ()
        assert memory.verify_log() is None

    assert killed_after(folder, use) == 2


def test_the_reader_after_each_of_our_calls_harms_none_of_them(folder: Path) -> None:
    """Somebody looks in after each: all that was written is there after a kill."""

    def run() -> None:
        memory = opened(folder)
        tenant = Tenant(memory, "home", ["mug in cabinet 1", "plate 3 is hot"], folder / "bundle")
        for name in ORDER[:8]:
            tenant.called(name)
            look_from_outside(folder / "memory.db")
        (folder / "seen").write_text(str(memory.stats().log_seq), encoding="utf-8")
        os.kill(os.getpid(), signal.SIGKILL)

    in_a_child(run)
    with opened(folder) as memory:
        assert memory.stats().log_seq == int((folder / "seen").read_text(encoding="utf-8"))
        assert memory.check() == ()
