"""A bench in several processes."""

from __future__ import annotations

import os
import subprocess
import sys


def apart(module: str, parts: int) -> None:
    """One process a part, each with this command's own arguments."""
    command = [sys.executable, "-m", module, *sys.argv[1:], "--part"]
    running = [subprocess.Popen([*command, str(part)], env=os.environ) for part in range(parts)]
    codes = [process.wait() for process in running]
    if any(codes):
        raise SystemExit("a part of the bench failed: what it had done stays; run it again to go on")
