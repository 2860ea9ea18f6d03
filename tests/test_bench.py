"""The benchmarks run and compare what they say they compare."""

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
    ("durable writes, 32 threads", "bare SQLite"),
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
