"""Recall with the vector given: how fast, alone and with 16 readers and a writer, and how right."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
from field import Field, Notes, loaded
from material import Material
from plan import RAW, Plan

MODES = ((1, False), (1, True), (16, True))
"""Readers, and is a writer running?"""


def measure(plan: Plan) -> None:
    notes = Notes(plan.notes / "recall.jsonl")
    reopened = Notes(plan.notes / "reopen.jsonl")
    given_up: dict[str, int] = {}
    for n, n_spaces in plan.cells:
        material = plan.material(n)
        seats = plan.seats(("ours", *plan.peers, *RAW), "recall", material, n_spaces)
        exact = Material(material, n_spaces).exact
        limit_s = plan.load_limit_s * (4.0 if n > 100_000 else 1.0)
        tried = [seat for seat in seats if given_up.get(seat.name, n) >= n]
        ready = loaded(tried, notes, limit_s=limit_s, exact=exact, n=n, spaces=n_spaces)
        for seat in seats:
            if seat not in tried:
                why = f"not tried, as it could not load {given_up[seat.name]:,}"
                notes.add(what="failed", n=n, spaces=n_spaces, name=seat.name, do="load", why=why)
            elif seat not in ready:
                given_up.setdefault(seat.name, n)
        with Field(ready, notes, n=n, spaces=n_spaces) as field:
            for _ in field.each("ask", count=10, first=0, threads=1, writing=False, seconds=plan.seconds):
                pass  # the first round does not count
            for mode in MODES:
                _fast(field, plan, *mode)
            field.close()
            left = [seat for seat in ready if seat.name in field.children]
        if n == max(size for size, _ in plan.cells) and n_spaces == 1:
            _reopen(plan, left, reopened, n)
        if not plan.keep:
            shutil.rmtree(seats[0].folder.parent, ignore_errors=True)


def _fast(field: Field, plan: Plan, threads: int, writing: bool) -> None:
    for repeat in range(plan.repeats):
        order: dict[str, Any] = {"count": plan.questions * threads, "first": repeat * plan.questions}
        order |= {"threads": threads, "writing": writing, "seconds": plan.seconds}
        for name, answer in field.each("ask", turn=repeat, **order):
            times = np.array(answer["times"])
            field.note(
                "asked",
                name=name,
                threads=threads,
                writing=writing,
                repeat=repeat,
                n_asked=len(times),
                p50=float(np.quantile(times, 0.5)),
                p95=float(np.quantile(times, 0.95)),
                cpu=answer["cpu"] / len(times),
            )


def _reopen(plan: Plan, seats: list[Any], notes: Notes, n: int) -> None:
    """From a new process to the first answer, and what it then holds; the page cache is warm."""
    for repeat in range(plan.starts):
        turn = repeat % max(len(seats), 1)
        for seat in seats[turn:] + seats[:turn]:
            with Field([seat], notes, n=n) as field:
                first = dict(field.each("ask", count=1, first=repeat, threads=1, writing=False, seconds=0.0))
                after = dict(field.each("memory"))
                dict(field.each("ask", count=100, first=0, threads=1, writing=False, seconds=5.0))
                later = dict(field.each("memory"))
                if seat.name in field.children:
                    field.note(
                        "reopened",
                        name=seat.name,
                        repeat=repeat,
                        **field.opened[seat.name],
                        first_s=first[seat.name]["times"][0],
                        rss_first=after[seat.name]["rss"],
                        rss=later[seat.name]["rss"],
                        anonymous=later[seat.name]["anonymous"],
                    )
                    field.close()
