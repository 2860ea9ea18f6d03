"""`make bench-memory`: our memory beside its peers, in one run, on one machine."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import durable
import quality
import recall
import report
import writes
from plan import PEERS, Plan
from protocol import ROOT

PHASES = {"quality": quality, "durable": durable, "writes": writes, "recall": recall}


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="1,000 items, no peers: does it run?")
    parser.add_argument(
        "--folder", type=Path, default=ROOT / "data" / "bench-memory", help="on the disk to measure"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "bench", help="where the report goes")
    parser.add_argument("--phases", nargs="*", choices=list(PHASES), help="some only; the others' notes stay")
    parser.add_argument("--cells", nargs="*", default=[], help="as items/namespaces, e.g. 100000/1")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS), help="some only")
    parser.add_argument("--keep", action="store_true", help="keep loaded databases, and take what was kept")
    options = parser.parse_args()
    plan = Plan(options.folder, options.out / "raw", peers=tuple(options.peers), keep=options.keep)
    if options.cells:
        pairs = (cell.split("/") for cell in options.cells)
        plan = replace(plan, cells=tuple((int(n), int(n_spaces)) for n, n_spaces in pairs))
    if options.quick:
        plan = plan.quick
    phases = options.phases if options.phases is not None else ["durable", "writes", "recall"]
    if options.phases is None and not options.quick:
        phases.insert(0, "quality")
    for phase in phases:
        PHASES[phase].measure(plan)
    report.write(options.out)


if __name__ == "__main__":
    main()
