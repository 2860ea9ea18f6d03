"""`python -m distill JOB_DIR`: runs `job.json`, appends `progress.jsonl`, writes `report.json`.

Exit codes: 0 done, 2 refused (the report has `error`), 3 stopped by SIGTERM or SIGINT (it also has
`cancelled`; running the job again goes on), anything else is a crash.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import warnings
from pathlib import Path

from distill.case_policy import CASE_POLICY, fit_case_policy
from distill.dry import dry_json
from distill.prepare import prepare
from distill.progress import Cancelled, Progress
from distill.spec import read_job
from memory.errors import ApprenticeError
from memory.types import Json

DONE, REFUSED, STOPPED = 0, 2, 3


def main(folder: Path) -> int:
    """Run one job; returns the exit code."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    # One thread an operation is fastest for small models, and nothing here may ask the network.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    # What the libraries will rename in their next version is no news to whoever reads this log.
    warnings.filterwarnings("ignore", category=FutureWarning)
    progress = Progress(folder / "progress.jsonl")
    try:
        form = read_job(folder)
        if form.recipe == CASE_POLICY:
            _report(folder, fit_case_policy(form, folder, progress))
            return DONE
        prepared = prepare(form, folder, progress)
        # Ten seconds of imports, which a job that is refused or asked for its data alone need not wait for.
        if form.dry_run:
            progress.tell("done", 1, 1, "nothing was trained: a dry run")
            _report(folder, dry_json(prepared.stages))
            return DONE
        from distill.job import Job, run_job

        _report(folder, run_job(Job(form, prepared, folder, progress, stop.is_set)))
    except Cancelled as error:
        progress.tell("cancelled", 0, 1, str(error))
        _report(folder, {"error": str(error), "cancelled": True})
        return STOPPED
    except ApprenticeError as error:
        progress.tell("refused", 0, 1, str(error))
        _report(folder, {"error": str(error), "kind": type(error).__name__})
        return REFUSED
    return DONE


def _report(folder: Path, report: dict[str, Json]) -> None:
    """Written beside and renamed, so that whoever waits for it never reads half."""
    beside = folder / "report.json.new"
    beside.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    beside.replace(folder / "report.json")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m distill", description=__doc__)
    parser.add_argument("folder", type=Path, help="the job's folder, with job.json")
    sys.exit(main(parser.parse_args().folder.resolve()))
