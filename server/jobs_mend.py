"""Takes up jobs whose end could not be written, as on a full disk, once it can be."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Collection, Container
from functools import partial

from dbos import DBOS

from memory import errors
from server.jobs_calls import plain, resume

log = logging.getLogger("apprentice.jobs")


class Mender:
    """Knows which jobs ended in this process, and looks after a while whether their end was recorded."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._ended: dict[str, float] = {}
        self._stopped: set[str] = set()
        """Jobs that failed because a file could not be written."""

    def ended(self, key: str) -> None:
        """A job's handler has returned or raised."""
        self._ended[key] = time.monotonic()

    def failed(self, key: str, error: BaseException) -> None:
        """It raised this."""
        if is_of_disk(error):
            self._stopped.add(key)

    async def run(self, running: Container[str]) -> None:
        """Look again and again; `running` are the keys of jobs at work now."""
        while True:
            await asyncio.sleep(self._every_s)
            # Those that ended just now may still be being written.
            due = time.monotonic() - self._every_s
            ended = [key for key, at in self._ended.items() if at < due and key not in running]
            if not ended:
                continue
            try:
                await plain(partial(mend, ended, self._stopped.intersection(ended)))
            except Exception as error:  # noqa: BLE001 - the disk may still be full: look again later
                log.warning("jobs without a recorded end cannot be taken up yet: %s", error)
                continue
            for key in ended:
                del self._ended[key]
                self._stopped.discard(key)


def mend(ended: Collection[str], stopped: Collection[str]) -> None:
    """Let jobs go on that ended here but still count as running, and the `stopped` that count as failed.

    A step that could not be recorded leaves its job running; where space comes back a moment later, the
    engine has time to record the failure, which is not the job's.
    """
    for status in DBOS.list_workflows(workflow_ids=list(ended), load_input=False, load_output=False):
        if status.status == "PENDING":
            DBOS.resume_workflow(status.workflow_id)
        elif status.status == "ERROR" and status.workflow_id in stopped:
            resume(status.workflow_id, failed=True)


def is_of_disk(error: BaseException) -> bool:
    """Did a database file fail because it could not be written, as on a full disk?"""
    chain: BaseException | None = error
    while chain is not None:
        cause = getattr(chain, "orig", chain)
        code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
        if isinstance(cause, errors.DiskFull) or code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}:
            return True
        chain = chain.__cause__ or chain.__context__
    return False
