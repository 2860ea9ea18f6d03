"""The four rooms come from this checkout, import without effects, and ship what they need."""

import importlib.metadata
import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("memory", "agent", "distill", "server")


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_comes_from_this_checkout(room: str) -> None:
    """No other installed distribution shadows `memory`, `agent`, `distill` or `server`."""
    spec = importlib.util.find_spec(room)
    assert spec is not None
    assert spec.origin == str(ROOT / room / "__init__.py")
    owners = importlib.metadata.packages_distributions().get(room, [])
    assert set(owners) <= {"apprentice"}


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_is_typed(room: str) -> None:
    """Each room carries the marker that makes its annotations count for others."""
    assert (ROOT / room / "py.typed").exists()


def test_light_rooms_load_no_heavy_library() -> None:
    """Naming the types, the worlds and the command line pulls in neither torch nor litellm nor faiss."""
    code = (
        "import sys, memory.types, agent.types, agent.prompt, agent.worlds.catalogue, server.cli;"
        "print([m for m in ('torch', 'transformers', 'litellm', 'faiss', 'sentence_transformers', 'dbos')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_pinned_version_is_the_installed_one() -> None:
    """The constraints file says what runs here; a drift between the two is found at once."""
    wrong = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        name, exact, version = line.partition("==")
        if not exact or line.startswith("#"):
            continue
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if installed.partition("+")[0] != version:
            wrong[name] = (installed, version)
    assert wrong == {}


def test_packages_of_the_wheel_are_the_rooms() -> None:
    """The build ships exactly the four rooms."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == list(ROOMS)


def test_no_file_is_over_the_house_limit() -> None:
    """A file over 300 lines is two files."""
    long = {
        str(path.relative_to(ROOT)): lines
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 300
    }
    assert long == {}
