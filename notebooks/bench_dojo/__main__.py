"""`make bench-dojo`: what the guard `privilege` stops and what it costs, on AgentDojo without a model."""

from __future__ import annotations

import argparse
from pathlib import Path

from notebooks.bench_dojo import plan, report

ROOT = Path(__file__).parent.parent.parent


def main() -> None:
    """Measure, keep the raw results, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "bench", help="where the report goes")
    parser.add_argument("--suites", nargs="*", choices=plan.SUITES, default=plan.SUITES, help="some only")
    options = parser.parse_args()
    raw = options.out / "raw" / "dojo.jsonl"
    raw.parent.mkdir(parents=True, exist_ok=True)
    plan.keep(plan.measured(options.suites), raw)
    (options.out / "dojo.md").write_text(report.written(plan.kept(raw)), encoding="utf-8")


if __name__ == "__main__":
    main()
