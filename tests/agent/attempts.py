"""Attempts to get out of the sandbox, made from inside it, and what they met."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping

import pytest

from agent.forge import confine
from agent.forge.sandbox import Limits, Sandbox

isolated = pytest.mark.skipif(bool(confine.lacking()), reason="; ".join(confine.lacking()))
x86 = pytest.mark.skipif(platform.machine() != "x86_64", reason="calls by their numbers on x86_64")

TRY = """
import ctypes, json, os
_libc = ctypes.CDLL(None, use_errno=True)
def syscall(*numbers):
    done = _libc.syscall(*[ctypes.c_long(n) if isinstance(n, int) else n for n in numbers])
    if done < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return done
def opened(number):
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
LINE = [n for n in range(3, 64) if opened(n)][0]
def attempt(name, code):
    try:
        exec(code, {"syscall": syscall, "ctypes": ctypes, "os": os, "opened": opened, "LINE": LINE})
    except BaseException as error:
        return type(error).__name__
    return "ESCAPED"
print(json.dumps({name: attempt(name, code) for name, code in ATTEMPTS.items()}))
"""


async def tried(attempts: Mapping[str, str], **limits: int) -> dict[str, str]:
    """What became of each attempt: the name of the error that it met, or ESCAPED."""
    ran = await Sandbox(Limits(**limits)).run(f"ATTEMPTS = {dict(attempts)!r}\n{TRY}")
    assert ran.ok, ran
    found: dict[str, str] = json.loads(ran.out)
    return found


async def all_refused(attempts: Mapping[str, str], *errors: str) -> None:
    """Each must meet a refusal of the kernel's: a mistake in an attempt is not a wall."""
    expected = errors or ("PermissionError",)
    found = await tried(attempts)
    assert {name: error for name, error in found.items() if error not in expected} == {}
    assert len(found) == len(attempts)
