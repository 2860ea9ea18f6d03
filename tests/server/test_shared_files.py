"""Small files that servers share: what one writes, another does not undo."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from agent.mcp.definitions import Definition
from agent.mcp.known import Known
from server.suites import Declared

N = 25
TOOL = Definition("tool", "does it", {})
WRITE_SUITES = """
import sys
from pathlib import Path
from types import SimpleNamespace
from distill.suites import Suite
from server.suites import Declaration, Declared

place, who, n = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
memory = SimpleNamespace(episodes=lambda *_, **__: ())
declared = Declared(place)
print("ready", flush=True)
sys.stdin.readline()
for number in range(n):
    declared.declare(f"{who}{number}", Declaration((), (0,), who, 1.0), memory)
"""
WRITE_KNOWN = """
import sys
from pathlib import Path
from agent.mcp.definitions import Definition
from agent.mcp.definitions import Definition
from agent.mcp.known import Known

place, who, n = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
known = Known(place)
print("ready", flush=True)
sys.stdin.readline()
for number in range(n):
    known.look(f"{who}{number}", [Definition("tool", "does it", {})])
"""


def two_at_once(code: str, place: Path) -> None:
    """Run it in two processes that begin to write together."""
    command = [sys.executable, "-c", code, str(place)]
    both = [subprocess.Popen([*command, who, str(N)], stdin=subprocess.PIPE, text=True) for who in ("a", "b")]
    for one in both:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    for one in both:
        one.communicate()
        assert one.returncode == 0


def test_suites_that_two_servers_declare_are_all_kept(tmp_path: Path) -> None:
    """Each for namespaces of its own."""
    two_at_once(WRITE_SUITES, tmp_path / "suites.json")
    kept = Declared(tmp_path / "suites.json").all()
    assert set(kept) == {f"{who}{number}" for who in "ab" for number in range(N)}


def test_tools_that_two_servers_saw_first_are_all_known(tmp_path: Path) -> None:
    """Else a changed one would be taken as new, and believed."""
    two_at_once(WRITE_KNOWN, tmp_path / "mcp_known.json")
    known = Known(tmp_path / "mcp_known.json")
    seen = [known.look(f"{who}{number}", [TOOL]) for who in "ab" for number in range(N)]
    assert {one.standing for (one,) in seen} == {"known"}
