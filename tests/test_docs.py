"""README and docs say what is so: their code runs, their commands and files exist."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.demo.host import Host

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
URL = "http://127.0.0.1:8080"


def blocks(language: str) -> list[tuple[str, str]]:
    """(page and number, code) of every fenced block of a language."""
    found = []
    for page in PAGES:
        codes = re.findall(
            rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
        )
        found += [(f"{page.name}:{number}", code) for number, code in enumerate(codes)]
    return found


def prose() -> str:
    return "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A real server on a free port with the bundled model."""
    with Host.start(tmp_path_factory.mktemp("docs"), model="local:tiny") as running:
        yield running


def run(command: list[str], code: str, host: Host, tmp_path: Path) -> str:
    """The output of a block, with the documented address and key replaced by real ones."""
    env = {**os.environ, "APPRENTICE_API_KEY": host.key("docs"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, code.replace(URL, host.url)],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize(("where", "code"), blocks("python"))
def test_python_of_the_docs_runs(where: str, code: str, host: Host, tmp_path: Path) -> None:
    """Every Python block runs as it stands and says something."""
    assert run([sys.executable, "-c"], code, host, tmp_path).strip()


@pytest.mark.parametrize(("where", "code"), [(w, c) for w, c in blocks("bash") if "curl" in c])
def test_curl_of_the_docs_runs(where: str, code: str, host: Host, tmp_path: Path) -> None:
    """Every curl block is answered without an error."""
    said = run(["bash", "-euc"], code, host, tmp_path)
    assert said.strip()
    assert '"error"' not in said.replace('"error":null', "")


def test_every_make_target_named_exists() -> None:
    """`make x` in the docs is a target of the Makefile."""
    named = set(
        re.findall(
            r"`?make ([a-z-]+)`?\b(?=[`\s#])", "\n".join(re.findall(r"(?:^|`)make [a-z-]+.*", prose(), re.M))
        )
    )
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {"demo", "test"} <= named <= targets


def test_every_command_named_exists() -> None:
    """`apprentice x` in the docs is a command of the program, and every command has help."""
    from typer.main import get_command

    from server.cli import app

    commands = set(get_command(app).commands)  # type: ignore[attr-defined]  # a click group
    named = set(re.findall(r"apprentice ([a-z]+)\b", prose()))
    assert named
    assert named <= commands


def test_every_offline_command_line_of_the_docs_runs(tmp_path: Path) -> None:
    """`.venv/bin/apprentice keys …` lines run as they stand, on a data folder of their own."""
    lines = re.findall(r"^\.venv/bin/apprentice (keys [^#\n]+)", prose(), re.MULTILINE)
    assert lines
    for line in lines:
        env = {**os.environ, "APPRENTICE_DATA_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "server", *line.split()]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


def test_every_page_stands_in_the_site() -> None:
    """And the site names no page that is not there."""
    named = set(
        re.findall(r": ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert named == {page.relative_to(ROOT / "docs").as_posix() for page in PAGES if page.name != "README.md"}


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    """With the extra `docs`; every link and every name in the reference leads somewhere."""
    pytest.importorskip("mkdocs", reason="make site")
    pytest.importorskip("mkdocstrings", reason="make site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "remember" in (tmp_path / "reference" / "memory.html").read_text(encoding="utf-8")


def test_every_file_named_exists() -> None:
    """Paths in backticks and links that look like files of this repository are files of it."""
    text = prose()
    paths = set(re.findall(r"`((?:memory|agent|distill|server|tests|docs|notebooks)/[\w/.-]+\.\w+)", text))
    for page in PAGES:
        for link in re.findall(r"\]\((?!http)([\w/.-]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
    assert paths
    assert {path for path in paths if not (ROOT / path).exists()} == set()
