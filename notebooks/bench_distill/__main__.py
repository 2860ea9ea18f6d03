"""`make bench-distill`: what weights learn of memory by which recipe, in one run."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from notebooks.apart import apart
from notebooks.bench_distill import report, service
from notebooks.bench_distill.plan import ROOT, Plan
from notebooks.bench_distill.studies import CREDIT, MASKS, MIXTURE, measure

PHASES: Mapping[str, Callable[[Plan], None]] = {
    **{study.name: partial(measure, study) for study in (MASKS, CREDIT, MIXTURE)},
    "internalise": service.internalise,
    "poison": service.poison,
}


def main() -> None:
    """Measure what is not there yet, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one site, few updates: does it run?")
    parser.add_argument("--folder", type=Path, default=ROOT / "data" / "bench-distill", help="for adapters")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "bench", help="where the report goes")
    parser.add_argument("--phases", nargs="*", choices=list(PHASES), default=list(PHASES), help="some only")
    parser.add_argument("--parts", type=int, default=1, help="processes that share the work")
    parser.add_argument("--part", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    plan = Plan(options.folder / str(options.part or 0), options.out / "raw")
    plan = replace(plan, part=(options.part or 0, options.parts))
    if options.quick:
        plan = plan.quick
    if options.part is None and options.parts > 1:
        apart("notebooks.bench_distill", options.parts)
    else:
        for phase in options.phases:
            PHASES[phase](plan)
    if options.part is None:
        report.write(options.out)


if __name__ == "__main__":
    main()
