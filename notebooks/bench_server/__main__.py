"""`make bench-server`: what our server adds to a chat, beside LiteLLM's proxy, in one run."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

from notebooks.bench_server import chats, report, soak, streams
from notebooks.bench_server.plan import ROOT, Plan

PHASES: Mapping[str, Callable[[Plan], None]] = {
    "chats": chats.measure,
    "streams": streams.measure,
    "soak": soak.measure,
}


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few requests: does it run?")
    parser.add_argument(
        "--folder", type=Path, default=ROOT / "data" / "bench-server", help="for data and logs"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "bench", help="where the report goes")
    parser.add_argument("--phases", nargs="*", choices=list(PHASES), default=["chats", "streams"])
    parser.add_argument(
        "--proxy",
        type=Path,
        default=ROOT / "data" / "bench-proxy-venv" / "bin" / "litellm",
        help="its command",
    )
    options = parser.parse_args()
    plan = Plan(options.folder, options.out / "raw", options.proxy)
    if options.quick:
        plan = plan.quick
    for phase in options.phases:
        plan.notes(phase).unlink(missing_ok=True)  # one run: what was measured before is no part of it
        PHASES[phase](plan)
    report.write(options.out)


if __name__ == "__main__":
    main()
