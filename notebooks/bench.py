"""Side-by-side benchmarks in one run: `make bench`; `python notebooks/bench.py --quick` takes few repeats.

Peers, large memories and many threads: `make bench-memory`.

Every contender is timed in every repeat, in rotating order, so that whatever else the machine does hits all
of them alike. What counts are ratios within a repeat and their spread; absolute numbers are for orientation.

Recall does all it does in service: words to vector, both rankers, the truth read from the database, fusion,
value, caps, budget. FAISS is given the question as a vector and returns row numbers; FTS5 is given its words
and returns texts. Nothing is scoped to a site: each recall chooses among all items.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from agent.worlds.domain import SITE_WORDS
from agent.worlds.site import SITE_NUMBERS, goals, make_site, wordings
from memory.codec import dumps
from memory.core import Memory
from memory.encoder import HashEncoder
from memory.types import CaseBody, Draft, Query, Recall
from memory.words import content_words, searchable

ROOT = Path(__file__).parent.parent
SIZES = (1_000, 10_000)
K = 4
NAMESPACE = "bench"
BEST = "SELECT rowid, text FROM item WHERE item MATCH ? ORDER BY rank LIMIT ?"
OURS = """
from pathlib import Path
from memory.core import Memory
from memory.encoder import HashEncoder
memory = Memory.open(Path({path!r}), encoder=HashEncoder())
"""
OUR_FIRST = """
from memory.types import Query
assert memory.recall(Query({namespace!r}, {text!r}), count_tokens=len).candidates
"""
THEIRS = """
import faiss, sqlite3
index = faiss.read_index({index!r})
fts = sqlite3.connect({fts!r})
"""
THEIR_FIRST = """
index.search(index.reconstruct(0).reshape(1, -1), {k})
assert fts.execute({best!r}, ({match!r}, {k})).fetchall()
"""
Contender = Callable[[], float]
"""One timed round; returns seconds per operation."""
Times = NDArray[np.float64]
"""Seconds per operation, (repeats,)."""
Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Amount:
    """How much is measured."""

    repeats: int
    questions: int
    """Recalls in a round."""
    writes: int
    """Writes in a round."""
    starts: int
    """Processes of each kind."""


FULL = Amount(repeats=9, questions=25, writes=32, starts=5)
QUICK = Amount(repeats=2, questions=10, writes=4, starts=1)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description="Side-by-side benchmarks, as ratios with their spread.")
    parser.add_argument("--quick", action="store_true", help="few repeats: does it run?")
    parser.add_argument("--folder", type=Path, default=ROOT / "data", help="on the disk to measure")
    options = parser.parse_args()
    amount = QUICK if options.quick else FULL
    options.folder.mkdir(parents=True, exist_ok=True)
    # Two OpenMP threads on busy cores are many times slower than one; the started processes inherit it.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    faiss.omp_set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    # One warning an opened store, about the version of SQLite, would hide the table.
    logging.getLogger("memory").setLevel(logging.ERROR)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="bench-") as name:
        folder = Path(name)
        for size in SIZES:
            rows += recall_rows(folder / str(size), size, amount)
        rows += start_rows(folder / str(SIZES[-1]), SIZES[-1], amount)
        rows += write_rows(folder / "writes", amount)
    show(rows)


def show(rows: Iterable[Row]) -> None:
    """The table, as wide as the terminal or 100 columns where there is none."""
    console = Console(width=None if sys.stdout.isatty() else 100)
    table = Table(title=f"Times as long as the rival takes (under 1 is faster), {os.cpu_count()} cores")
    for title in ("what", "Apprentice", "rival", "rival's", "ratio", "min–max"):
        table.add_column(title, justify="left" if title in {"what", "rival"} else "right")
    for row in rows:
        table.add_row(*row)
    console.print(table, highlight=False)


def recall_rows(folder: Path, size: int, amount: Amount) -> list[Row]:
    """Recall over `size` items against each of its halves alone; leaves all three on disk."""
    folder.mkdir()
    encoder = HashEncoder()
    tasks = list(islice(_tasks(), size))
    cases = [case for case, _ in tasks]
    index = _flat(folder / "flat.faiss", encoder, cases)
    fts = _full_text(folder / "fts.db", cases)
    # Each question is asked once, in other words than the stored ones, so that no cache of vectors helps.
    asked = random.Random(size).sample(tasks, amount.questions * (amount.repeats + 1))
    turns = [iter([question for _, question in asked]) for _ in range(3)]
    with Memory.open(folder / "memory.db", encoder=encoder) as memory:
        memory.remember(NAMESPACE, cases, principal="bench", channel="operator")
        assert memory.stats().items == size, "two of the cases say the same"

        def recall() -> float:
            return _each(lambda text: _recall(memory, text), islice(turns[0], amount.questions))

        def by_vector() -> float:
            vectors = [encoder.encode([text]) for text in islice(turns[1], amount.questions)]
            return _each(lambda vector: index.search(vector, K), vectors)

        def by_words() -> float:
            matches = [_match(text) for text in islice(turns[2], amount.questions)]
            return _each(lambda match: fts.execute(BEST, (match, K)).fetchall(), matches)

        times = interleaved([recall, by_vector, by_words], amount.repeats)
    fts.close()
    what = f"recall, {size:,} items"
    return [
        _row(what, "FAISS flat", times[:, 0], times[:, 1], _ms),
        _row(what, "SQLite FTS5", times[:, 0], times[:, 2], _ms),
    ]


def start_rows(folder: Path, size: int, amount: Amount) -> list[Row]:
    """Imports and opening in a new process, then also a first answer, without the interpreter's own start."""
    _, question = next(_tasks())
    ours = OURS.format(path=str(folder / "memory.db"))
    theirs = THEIRS.format(index=str(folder / "flat.faiss"), fts=str(folder / "fts.db"))
    query = OUR_FIRST.format(namespace=NAMESPACE, text=question)
    search = THEIR_FIRST.format(best=BEST, match=_match(question), k=K)
    codes = [ours, theirs, ours + query, theirs + search]
    times = interleaved([partial(_start, code) for code in codes], amount.starts)
    return [
        _row(f"start, {size:,} items", "FAISS + SQLite", times[:, 0], times[:, 1], _ms),
        _row("start and first recall", "FAISS + SQLite", times[:, 2], times[:, 3], _ms),
    ]


def write_rows(folder: Path, amount: Amount) -> list[Row]:
    """One `remember` of one case at a time against one insert and one commit; threads: `bench_memory`."""
    folder.mkdir()
    supply = (case for case, _ in _tasks())
    bare = _bare(folder / "bare.db")
    bare.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, namespace TEXT, text TEXT, body TEXT)")
    with Memory.open(folder / "memory.db", encoder=HashEncoder()) as memory:
        remember = partial(memory.remember, NAMESPACE, principal="bench", channel="operator")
        remember(list(islice(supply, SIZES[0])))

        def insert(case: Draft) -> None:
            with bare:
                row = (NAMESPACE, case.text, dumps(case.body))
                bare.execute("INSERT INTO item (namespace, text, body) VALUES (?, ?, ?)", row)

        def timed(write: Callable[[Draft], object]) -> float:
            return _each(write, islice(supply, amount.writes))

        contenders = [lambda: timed(lambda case: remember([case])), lambda: timed(insert)]
        times = interleaved(contenders, amount.repeats)
    bare.close()
    return [_row("durable writes, 1 thread", "bare SQLite", times[:, 0], times[:, 1], _per_second)]


def interleaved(contenders: Sequence[Contender], n_repeats: int) -> NDArray[np.float64]:
    """Seconds per operation (n_repeats, contenders), after one round that does not count."""
    for contender in contenders:
        contender()
    times = np.zeros((n_repeats, len(contenders)))
    for repeat in range(n_repeats):
        for place in np.roll(np.arange(len(contenders)), repeat).tolist():
            times[repeat, place] = contenders[place]()
    return times


def _tasks() -> Iterator[tuple[Draft, str]]:
    """Cases of all tasks of all household sites, each different, and the same task in other words."""
    plan = ("go to cabinet 3", "take it", "go to shelf 2", "put it")
    for number in SITE_NUMBERS:
        for word in SITE_WORDS:
            site = make_site("household", f"{word} {number}")
            for goal in goals(site):
                said, other, *_ = (f"{site.name}: {text}" for text in wordings(site, goal))
                body = CaseBody(said, plan, "it is kept there")
                yield Draft("case", said, body, family=site.name, outcome="success"), other


def _flat(path: Path, encoder: HashEncoder, cases: Sequence[Draft]) -> Any:
    index = faiss.IndexFlatIP(encoder.dim)
    index.add(encoder.encode([case.text for case in cases]))
    faiss.write_index(index, str(path))
    return index


def _full_text(path: Path, cases: Iterable[Draft]) -> sqlite3.Connection:
    fts = _bare(path)
    with fts:
        fts.execute("CREATE VIRTUAL TABLE item USING fts5(words, text UNINDEXED, tokenize = 'ascii')")
        rows = [(searchable(case.text), case.text) for case in cases]
        fts.executemany("INSERT INTO item (words, text) VALUES (?, ?)", rows)
    return fts


def _bare(path: Path) -> sqlite3.Connection:
    """As the store opens its own connections."""
    connection = sqlite3.connect(path, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def _recall(memory: Memory, text: str) -> Recall:
    return memory.recall(Query(NAMESPACE, text, k=K), count_tokens=lambda said: len(said.split()))


def _match(question: str) -> str:
    return " OR ".join(f'"{word}"' for word in searchable(" ".join(content_words(question))).split())


def _each(act: Callable[[Any], object], arguments: Iterable[Any]) -> float:
    ready = list(arguments)
    begun = time.perf_counter()
    for argument in ready:
        act(argument)
    return (time.perf_counter() - begun) / len(ready)


def _start(code: str) -> float:
    timed = f"import time; begun = time.perf_counter()\n{code}\nprint(time.perf_counter() - begun)"
    done = subprocess.run([sys.executable, "-c", timed], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return float(done.stdout)


def _row(what: str, rival: str, ours: Times, theirs: Times, show: Callable[[float], str]) -> Row:
    """Both medians, the median ratio of times within a repeat, its least and greatest."""
    ratios = ours / theirs
    medians = [show(float(np.median(times))) for times in (ours, theirs)]
    spread = f"{ratios.min():.2f}–{ratios.max():.2f}"
    return what, medians[0], rival, medians[1], f"{np.median(ratios):.2f}", spread


def _ms(seconds: float) -> str:
    return f"{1000.0 * seconds:,.2f} ms"


def _per_second(seconds: float) -> str:
    return f"{1.0 / seconds:,.0f}/s"


if __name__ == "__main__":
    main()
