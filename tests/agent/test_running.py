"""Programs in a process of their own: limits of time, memory and output, nothing left behind."""

import asyncio
from pathlib import Path

import pytest

from agent.deliberate.running import Limited

RUN = Limited(seconds=120.0)


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("while True:\n    pass", "limit of 0.5 s"),
        ("x = bytearray(1 << 31)", "MemoryError"),
        ("import os\nos._exit(3)", "status 3"),
        ("1 / 0", "ZeroDivisionError"),
        ("def f(:", "SyntaxError"),
        ("while True:\n    print('x' * 100000)", "File too large"),
    ],
)
async def test_a_program_that_breaks_hangs_or_takes_too_much_is_ended_and_says_why(
    program: str, reason: str
) -> None:
    """In a process of its own, within limits of time, memory and output."""
    ran = await Limited(seconds=0.5 if "limit" in reason else 120.0, written_bytes=1 << 20)(program)
    assert not ran.ok
    assert reason in ran.error


async def test_what_a_program_started_ends_with_it() -> None:
    """A child that would go on for an hour is gone when the program is."""
    ran = await RUN("import subprocess\nprint(subprocess.Popen(['sleep', '3600']).pid)")
    state = Path(f"/proc/{int(ran.out)}/stat")
    # A killed process stands there as Z until somebody asks for its end.
    while state.exists() and state.read_text(encoding="utf-8").split()[2] != "Z":
        await asyncio.sleep(0)


async def test_a_program_that_computes_for_ever_is_ended_by_the_processor() -> None:
    """However long that takes by the clock."""
    ran = await Limited(seconds=600.0, cpu_s=1)("while True:\n    pass")
    assert not ran.ok
    assert "status -" in ran.error


async def test_a_program_sees_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys live there."""
    monkeypatch.setenv("SECRET_KEY", "s3cret")
    ran = await RUN("import os\nprint(sorted(os.environ))")
    assert "SECRET_KEY" not in ran.out
