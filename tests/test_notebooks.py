"""The notebooks run from top to bottom on a fresh kernel, and are kept without outputs."""

import os
from pathlib import Path

import nbclient
import nbformat
import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def outputs(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_kept_without_outputs(path: Path) -> None:
    """A notebook holds no results of one machine, which would age and bloat every change."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert outputs(notebook) == []
    assert {cell.execution_count for cell in notebook.cells if cell.cell_type == "code"} == {None}


def test_tour_of_memory_and_learning_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tour explains a recall, takes an edit back, draws two pictures and shows what the agent learned."""
    # Neither settings nor histories of whoever runs this.
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    notebook = nbformat.read(ROOT / "notebooks" / "01_memory_and_learning.ipynb", as_version=4)
    nbclient.NotebookClient(
        notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    shown = outputs(notebook)
    printed = "".join(output.text for output in shown if output.get("name") == "stdout")
    assert sum("image/png" in output.get("data", {}) for output in shown) == 2
    for fate in ("kept", "limit", "floor", "status"):
        assert f"\n{fate} " in printed
    assert "version 3: 'put a clean mug on shelf 2'" in printed
    assert printed.count(" cases shown | ") == 6
    assert "success: " in printed or "failure: " in printed, "it learned no case"
