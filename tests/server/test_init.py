"""A settings file: begun by `apprentice init`, read below environment and flags, strict about its words."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from server.cli import app
from server.settings import Settings
from server.settings_file import commented, is_secret

runner = CliRunner()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("APPRENTICE_CONFIG", "APPRENTICE_PORT", "APPRENTICE_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_what_it_writes_changes_nothing_until_it_is_changed(here: Path) -> None:
    """Every setting but the secrets, with its meaning; uncommented it is what holds anyway."""
    before = Settings()
    result = runner.invoke(app, ["init"])
    assert result.exit_code == 0, result.output
    text = (here / "apprentice.toml").read_text("utf-8")
    assert tomllib.loads(text) == {}
    assert Settings() == before
    for name, field in Settings.model_fields.items():
        assert (f"\n# {name} =" in text) != is_secret(field)
    said = [line.removeprefix("# ") for line in text.splitlines() if _sets(line)]
    (here / "apprentice.toml").write_text("\n".join(said), "utf-8")
    assert Settings() == before


def _sets(line: str) -> bool:
    name, equals, value = line.removeprefix("# ").partition(" = ")
    return bool(equals and value) and name in Settings.model_fields


def test_a_file_that_is_there_stays(here: Path) -> None:
    """But for who says so."""
    (here / "mine.toml").write_text("port = 1", "utf-8")
    refused = runner.invoke(app, ["init", "mine.toml"])
    assert refused.exit_code == 1
    assert (here / "mine.toml").read_text("utf-8") == "port = 1"
    assert runner.invoke(app, ["init", "mine.toml", "--force"]).exit_code == 0
    assert (here / "mine.toml").read_text("utf-8") == commented(Settings)


def test_file_then_environment_then_flags(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last wins."""
    (here / "apprentice.toml").write_text('port = 1\nmodel = "file"\ntools = ["a:b", "c:d"]\n', "utf-8")
    assert (Settings().port, Settings().tools) == (1, ("a:b", "c:d"))
    (here / ".env").write_text("APPRENTICE_PORT=2", "utf-8")
    assert (Settings().port, Settings().model) == (2, "file")
    monkeypatch.setenv("APPRENTICE_PORT", "3")
    assert Settings().port == 3
    assert Settings(port=4).port == 4


def test_another_file_is_named_by_the_environment(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has to be there."""
    (here / "other.toml").write_text("port = 9", "utf-8")
    monkeypatch.setenv("APPRENTICE_CONFIG", "other.toml")
    assert Settings().port == 9
    monkeypatch.setenv("APPRENTICE_CONFIG", "none.toml")
    with pytest.raises(ValueError, match=r"none\.toml"):
        Settings()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prot = 1", "did you mean 'port'"),
        ("port = ", "cannot be read"),
        ('port = "high"', "port"),
    ],
)
def test_what_a_file_may_not_say_is_named(here: Path, text: str, words: str) -> None:
    """A misspelt setting would otherwise be a default that nobody chose."""
    (here / "apprentice.toml").write_text(text, "utf-8")
    with pytest.raises((ValueError, ValidationError), match=words):
        Settings()
    result = runner.invoke(app, ["serve"])
    assert result.exit_code == 1
    assert "Traceback" not in result.output


def test_secrets_are_refused_in_the_file(here: Path) -> None:
    """With the ways that are left."""
    secret = next(name for name, field in Settings.model_fields.items() if is_secret(field))
    (here / "apprentice.toml").write_text(f'{secret} = "x"', "utf-8")
    with pytest.raises(ValueError, match="APPRENTICE_SECRETS_DIR"):
        Settings()
