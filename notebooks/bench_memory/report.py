"""The report: `memory.md` and `memory.png` from the raw results beside them."""

from __future__ import annotations

import os
import platform
import sqlite3
from importlib.metadata import version
from pathlib import Path

import plot
import tables
from protocol import HERE
from records import Records

HEAD = """# Memory beside its peers

Written by `make bench-memory`; the raw results are in `raw/`, one JSON object a line. {machine}
{load}

Every contender runs in a process of its own, is alive in every repeat and takes its turn in rotating order;
ratios are taken within a repeat and shown as median (least–greatest). Under 1 ours is the faster where times
are compared, over 1 where rates are.

![Recall, writes, reopening and quality](memory.png)

## What was asked for

{goals}
"""


def write(out: Path) -> None:
    """Write both files into `out`."""
    records = Records(out / "raw")
    plot.draw(records, out / "memory.png")
    parts = [HEAD.format(machine=_machine(), load=_load(records), goals=tables.goals(records))]
    parts += ["## Recall with the vector given", *tables.recall_tables(records)]
    parts += ["## Acknowledged writes with 64 threads", tables.write_table(records)]
    parts += ["## What survives SIGKILL", tables.durable_table(records)]
    parts += ["## Reopening", tables.reopen_table(records)]
    parts += ["## Evidence found, no model asked", *tables.quality_tables(records)]
    failed = "\n".join(f"- {line}" for line in tables.failures(records)) or "Nothing."
    parts += ["## Not run, or failed", failed, tables.unlocked(records)]
    parts += [(HERE / "remarks.md").read_text(encoding="utf-8").strip()]
    (out / "memory.md").write_text(
        "\n\n".join(part.strip() for part in parts if part) + "\n", encoding="utf-8"
    )


def _load(records: Records) -> str:
    load = records.load()
    if load is None:
        return ""
    cores = os.cpu_count() or 1
    plain = "" if load.middle <= cores else " **The machine was busy: read ratios and CPU, not wall clocks.**"
    return f"Load average while times were taken: {load.said(1)}.{plain}"


def _machine() -> str:
    return (
        f"{os.cpu_count()} shared cores, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, FAISS {version('faiss-cpu')}, NumPy {version('numpy')}; "
        "peers as pinned in `notebooks/bench_memory/peers.txt`."
    )
