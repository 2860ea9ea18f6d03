"""Does an acknowledged write survive SIGKILL, and is it synced before it is acknowledged?

Four threads write and say every acknowledgement; the process is killed at a random moment; a new process
looks for every acknowledged row by its own vector. Syncs are counted by strace over writes of one thread, for
a kill leaves the page cache alone and cannot show what a power cut would lose.
"""

from __future__ import annotations

import random
import shutil
from dataclasses import replace
from pathlib import Path

from field import BULK, Field, Notes, loaded
from plan import Plan
from protocol import Child, ContenderFailed, Seat

BASE = 1_000
SPARE = 60_000
"""More than anybody writes before it is killed."""
SYNCS = ("fsync(", "fdatasync(", "sync_file_range(", "msync(")


def measure(plan: Plan) -> None:
    plan = replace(plan, keep=False)
    notes = Notes(plan.notes / "durable.jsonl")
    material = plan.material(BASE, SPARE)
    unlocked = tuple(f"{name}-unlocked" for name in plan.peers if name.startswith("mem0-"))
    chance = random.Random(7)
    for seat in plan.seats(("ours", *plan.peers, "queue"), "durable", material, 1):
        for kill in range(plan.kills):
            try:
                _kill(replace(seat, folder=seat.folder / str(kill)), notes, chance.uniform(0.3, 1.5))
            except ContenderFailed as error:
                notes.add(what="failed", name=seat.name, do="kill", why=str(error))
        if shutil.which("strace"):
            _count_syncs(replace(seat, folder=seat.folder / "traced"), notes)
        shutil.rmtree(seat.folder, ignore_errors=True)
    ready = loaded(plan.seats(unlocked, "unlocked", material, 1), notes, limit_s=plan.load_limit_s)
    with Field(ready, notes, n=BASE) as field:
        for name, answer in field.each("write", within_s=30.0, threads=64, seconds=plan.seconds):
            field.note("wrote", name=name, **answer)
    for phase in ("durable", "unlocked"):
        shutil.rmtree(plan.folder / phase, ignore_errors=True)


def _kill(seat: Seat, notes: Notes, after_s: float) -> None:
    with Child(seat) as child:
        child.call("open")
        child.call("load", size=BULK, limit_s=60.0)
        child.send("write", threads=4, seconds=60.0, tell=True)
        acknowledged = _acknowledged(child, after_s)
    with Child(seat) as child:
        child.call("open")
        lost = child.call("has", rows=acknowledged)["lost"]
        child.close()
    notes.add(what="killed", name=seat.name, acknowledged=len(acknowledged), lost=len(lost))


def _acknowledged(child: Child, after_s: float) -> list[int]:
    """Kill it `after_s` seconds after its first acknowledgement; all that it said before is in the pipe."""
    first = child.line(60.0)
    if first is None or "ack" not in first:
        raise ContenderFailed(f"{child.seat.name} wrote nothing: {first}")
    child.kill_after(after_s)
    rows = [first["ack"]]
    while (said := child.line(10.0)) is not None and "ack" in said:
        rows.append(said["ack"])
    return rows


def _count_syncs(seat: Seat, notes: Notes) -> None:
    trace = seat.folder.parent / "trace"
    seat.folder.mkdir(parents=True, exist_ok=True)
    wrapper = ("strace", "-f", "-qq", "-e", "trace=fsync,fdatasync,sync_file_range,msync", "-o", str(trace))
    try:
        with Child(seat, wrapper) as child:
            child.call("open")
            child.call("load", size=BULK, limit_s=60.0)
            before = _syncs(trace)
            written = child.call("write", threads=1, seconds=2.0)["writes"]
            notes.add(what="synced", name=seat.name, writes=written, syncs=_syncs(trace) - before)
    except ContenderFailed as error:
        notes.add(what="failed", name=seat.name, do="count syncs", why=str(error))


def _syncs(trace: Path) -> int:
    lines = trace.read_text(encoding="utf-8", errors="replace").splitlines()
    return sum(any(f" {call}" in line or line.startswith(call) for call in SYNCS) for line in lines)
