"""The notebooks run from top to bottom on a fresh kernel, and are saved with their plots."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import nbclient
import nbformat
import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def outputs(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def pictures(notebook: nbformat.NotebookNode) -> int:
    return sum("image/png" in output.get("data", {}) for output in outputs(notebook))


each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@each_notebook
def test_notebook_is_saved_with_its_plots(path: Path) -> None:
    """As it was run from top to bottom, without warnings, errors or folders of whoever ran it."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert pictures(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert {output.get("name", "plot") for output in outputs(notebook)} <= {"stdout", "plot"}
    assert not re.search(r"/(tmp|root|home|usr|work)/", str(outputs(notebook)))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], nbformat.NotebookNode]:
    """Runs a notebook on a fresh kernel, without settings or histories of whoever runs this."""
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))

    def execute(path: Path) -> nbformat.NotebookNode:
        notebook = nbformat.read(path, as_version=4)
        resources = {"metadata": {"path": str(tmp_path)}}
        nbclient.NotebookClient(notebook, timeout=240, kernel_name="python3", resources=resources).execute()
        return notebook

    return execute


@pytest.mark.parametrize("path", NOTEBOOKS[1:], ids=lambda path: path.stem)
def test_notebook_runs(path: Path, run: Callable[[Path], nbformat.NotebookNode]) -> None:
    """From top to bottom; it draws as many pictures as are saved with it."""
    assert pictures(run(path)) == pictures(nbformat.read(path, as_version=4))


def test_tour_of_memory_and_learning_runs(run: Callable[[Path], nbformat.NotebookNode]) -> None:
    """The tour explains a recall, takes an edit back, draws two pictures and shows what the agent learned."""
    notebook = run(NOTEBOOKS[0])
    shown = outputs(notebook)
    printed = "".join(output.text for output in shown if output.get("name") == "stdout")
    assert pictures(notebook) == 2
    for fate in ("kept", "limit", "floor", "status"):
        assert f"\n{fate} " in printed
    assert "version 3: 'put a clean mug on shelf 2'" in printed
    assert printed.count(" cases shown | ") == 6
    assert "success: " in printed or "failure: " in printed, "it learned no case"
