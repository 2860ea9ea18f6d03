"""`make bench-learning`: does it learn, by what, at what price; against systems as published, in one run."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from notebooks.apart import apart
from notebooks.bench_learning import ablations, cooperative, cost, lanes, null, planted, poison, report
from notebooks.bench_learning.plan import ROOT, Plan

PHASES = {
    "curves": lanes,
    "planted": planted,
    "poison": poison,
    "null": null,
    "cooperative": cooperative,
    "ablations": ablations,
    "cost": cost,
}
"""In this order: `null` takes rewards that `poison` lived."""


def main() -> None:
    """Measure what is not there yet, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two sites, one seed: does it run?")
    parser.add_argument("--folder", type=Path, default=ROOT / "data" / "bench-learning", help="for databases")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "bench", help="where the report goes")
    parser.add_argument("--phases", nargs="*", choices=list(PHASES), default=list(PHASES), help="some only")
    parser.add_argument("--parts", type=int, default=1, help="processes that share the work")
    parser.add_argument("--part", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    plan = Plan(options.folder / str(options.part or 0), options.out / "raw")
    plan = replace(plan, part=(options.part or 0, options.parts))
    if options.quick:
        plan = plan.quick
    if options.part is None and options.parts > 1:
        apart("notebooks.bench_learning", options.parts)
    else:
        for phase in options.phases:
            PHASES[phase].measure(plan)
    if options.part is None:
        report.write(options.out)


if __name__ == "__main__":
    main()
