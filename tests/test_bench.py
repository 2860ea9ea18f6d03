"""The benchmarks run and compare what they say they compare."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROWS = {
    ("recall, 1,000 items", "FAISS flat"),
    ("recall, 1,000 items", "SQLite FTS5"),
    ("recall, 10,000 items", "FAISS flat"),
    ("recall, 10,000 items", "SQLite FTS5"),
    ("start, 10,000 items", "FAISS + SQLite"),
    ("start and first recall", "FAISS + SQLite"),
    ("durable writes, 1 thread", "bare SQLite"),
}


@pytest.mark.slow
def test_every_row_has_finite_ratios(tmp_path: Path) -> None:
    """A quick run prints each comparison once, with a median ratio inside its least and greatest."""
    command = [sys.executable, "notebooks/bench.py", "--quick", "--folder", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    cells = [
        [cell.strip() for cell in line.strip("│").split("│")]
        for line in done.stdout.splitlines()
        if line.startswith("│")
    ]
    assert len(cells) == len(ROWS)
    assert {(what, rival) for what, _, rival, *_ in cells} == ROWS
    for row in cells:
        least, greatest = map(float, row[5].split("–"))
        assert 0.0 < least <= float(row[4]) <= greatest < math.inf
    assert list(tmp_path.iterdir()) == [], "it cleans up"


@pytest.mark.slow
def test_memory_is_measured_beside_bare_faiss_and_sqlite(tmp_path: Path) -> None:
    """Without peers: finds what exact search finds, loses nothing to a kill, writes its report."""
    command = [sys.executable, "notebooks/bench_memory", "--quick", "--folder", str(tmp_path / "disk")]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "out")], cwd=ROOT, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    records = [
        json.loads(line)
        for path in (tmp_path / "out" / "raw").glob("*.jsonl")
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    found = {(record["what"], record["name"]): record for record in records}
    assert [record for record in records if record["what"] == "failed"] == []
    assert found["loaded", "ours"]["recall"] >= 0.95
    assert found["killed", "ours"]["acknowledged"] > found["killed", "ours"]["lost"] == 0
    assert found["wrote", "ours"]["writes"] > 0
    assert {name for what, name in found if what == "asked"} == {
        "ours",
        "faiss-flat",
        "faiss-ivf",
        "faiss-hnsw",
    }
    assert "| ours | " in (tmp_path / "out" / "memory.md").read_text(encoding="utf-8")
    assert (tmp_path / "out" / "memory.png").stat().st_size > 10_000
