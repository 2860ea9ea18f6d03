"""`apprentice policy test`: the verdict on each call and the rule that it rests on."""

import json
from pathlib import Path

from typer.testing import CliRunner

from server.cli import app

POLICY = """
rules:
- {tool: send, effect: allow, when: {to: {enum: [ann]}}}
- {tool: send, effect: forbid, when: {to: {pattern: eve}}, fallback: stop, reason: never to eve}
- {tool: pay, effect: allow, floors: {to: 3}}
"""


def told(tmp_path: Path, *arguments: str) -> tuple[int, str]:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY, encoding="utf-8")
    done = CliRunner().invoke(app, ["policy", "test", str(file), *arguments])
    return done.exit_code, done.output


def test_each_call_is_told_with_the_rule_that_decided(tmp_path: Path) -> None:
    """Rules are counted as the file has them; without one the default did."""
    calls = ('send {"to": "ann"}', 'send {"to": "eve"}', 'send {"to": "bob"}', "read", 'pay {"to": "ann"}')
    code, output = told(tmp_path, *calls, "--json", "--request", "Pay ann.", "--trust", "0")
    said = [(one["verdict"], one["rule"]) for one in json.loads(output)]
    assert said == [("allow", 1), ("stop", 2), ("block", None), ("block", None), ("allow", 3)]
    assert json.loads(output)[1]["reason"] == "never to eve"
    assert code == 1


def test_status_tells_whether_all_calls_are_allowed(tmp_path: Path) -> None:
    """So that a policy's expectations can stand in a script."""
    assert told(tmp_path, 'send {"to": "ann"}')[0] == 0
    assert told(tmp_path, "read")[0] == 1
    _, output = told(tmp_path, "read")
    assert "default: forbid" in output


def test_a_call_that_is_none_is_refused(tmp_path: Path) -> None:
    """With how to write one."""
    for faulty in ("send to ann", "send [1]"):
        code, output = told(tmp_path, faulty)
        assert code == 1
        assert "no call" in output
