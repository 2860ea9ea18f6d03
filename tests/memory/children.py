"""Processes of their own, for what cannot be undone in this one: limits, hooks, kills."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable


def in_a_child(run: Callable[[], None], timeout_s: int = 60) -> None:
    """Run it there; fails as it fails, unless it ended itself by SIGKILL."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(timeout_s)
        code = 1
        try:
            run()
            code = 0
        except BaseException as error:  # noqa: BLE001 - the child must end here, whatever it met
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) in {0, -signal.SIGKILL}
