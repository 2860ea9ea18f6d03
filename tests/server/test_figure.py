"""A table drawn from the command line: the model's programs run, and what they show is read off."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent.models.scripted import FunctionModel
from memory.errors import BadInput
from memory.types import Message
from server.cli import app
from server.commands.figure import read_table
from server.wiring import Parts, build
from tests.agent.test_panel import MISTAKES, PLAN, RIGHT, TABLE
from tests.server.served import serve
from tests.server.test_checks import settings


def painter(messages: tuple[Message, ...]) -> Message:
    """Sorts the numbers until the critic of numbers objects, unless it is stubborn."""
    told = messages[-1].text
    if "Plan one figure" in told:
        return Message("assistant", json.dumps(PLAN))
    is_mended = "the numeric critic says" in told and "stubborn" not in messages[0].text
    return Message("assistant", f"```python\n{RIGHT if is_mended else MISTAKES['numeric']}\n```")


def test_a_table_is_drawn_and_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong goes back; what stays wrong is told; nothing of the model's is run without a word."""
    table, out = tmp_path / "sales.csv", tmp_path / "sales.py"
    rows = zip(*TABLE.values(), strict=True)
    table.write_text("\n".join(",".join(map(str, row)) for row in (TABLE, *rows)))
    models = {"painter": FunctionModel(painter, name="painter")}
    with serve(build(settings(tmp_path / "s", model="painter"), Parts(models=models)), models) as served:
        monkeypatch.setenv("APPRENTICE_API_KEY", served.key("art"))
        monkeypatch.setenv("APPRENTICE_URL", served.url)
        words = ["figure", str(table), "--out", str(out)]
        refused = CliRunner().invoke(app, [*words, "sales by region"], input="n\n")
        assert (refused.exit_code, out.exists()) == (1, False)
        drawn = CliRunner().invoke(app, [*words, "sales by region", "--yes"])
        assert (drawn.exit_code, "2 tries" in drawn.output) == (0, True), drawn.output
        stubborn = CliRunner().invoke(
            app, [*words[:-1], str(tmp_path / "b.py"), "stubborn", "--yes", "--rounds", "1"]
        )
        assert (stubborn.exit_code, "numeric: no mark shows" in stubborn.output) == (1, True)
    assert runpy.run_path(str(out))["table"]["north"] == list(TABLE["north"])


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    """Rows that are too short; no rows; the same name twice. Words stay words."""
    for text in ("a,b\n1,2\n3", "a,b", "", "a,a\n1,2"):
        (tmp_path / "t.csv").write_text(text)
        with pytest.raises(BadInput, match="is no table"):
            read_table(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("good,sold\ntea,4\nrice,3.5\n")
    assert read_table(tmp_path / "t.csv") == {"good": ("tea", "rice"), "sold": (4.0, 3.5)}
