"""Acknowledged writes a second with 64 threads, each waiting for its own, on top of 10,000 items."""

from __future__ import annotations

import shutil
from dataclasses import replace

from field import Field, Notes, loaded
from plan import WRITERS, Plan

THREADS = 64


def measure(plan: Plan) -> None:
    notes = Notes(plan.notes / "writes.jsonl")
    material = plan.material(plan.writes_base, plan.writes_spare)
    seats = replace(plan, keep=False).seats(("ours", *plan.peers, *WRITERS), "writes", material, 1)
    ready = loaded(seats, notes, limit_s=plan.load_limit_s, n=plan.writes_base)
    with Field(ready, notes, n=plan.writes_base) as field:
        for repeat in range(plan.repeats + 1):
            for name, answer in field.each("write", turn=repeat, threads=THREADS, seconds=plan.seconds):
                if repeat:  # the first round does not count
                    field.note("wrote", name=name, repeat=repeat, **answer)
        field.close()
    shutil.rmtree(seats[0].folder.parent, ignore_errors=True)
