"""The notebooks of docs, executed from their first cell to the last."""

import os
import pathlib

import pytest

from tests.compiling import ONE_DEVICE
from tests.conftest import drilled
from tests.drawn_pictures import draw_pictures

NOTEBOOKS = sorted((pathlib.Path(__file__).parents[1] / "docs" / "notebooks").glob("*.ipynb"))


def _opened(path):
    nbformat = pytest.importorskip("nbformat", reason="nbclient runs notebooks: pip install -e '.[test]'")
    return nbformat.read(path, as_version=4)


# tests/test_readme.py trains in CI, and the tour holds in CI that notebooks are run.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Jupyter's own
@pytest.mark.parametrize(
    "path", [drilled(path) if path.stem.startswith("train") else path for path in NOTEBOOKS], ids=lambda path: path.stem
)
def test_notebook_runs(path, tmp_path, monkeypatch):
    notebook = _opened(path)
    nbclient = pytest.importorskip("nbclient", reason="nbclient runs notebooks: pip install -e '.[test]'")
    _validate_on_small_pictures(notebook, tmp_path)
    root = str(path.parents[2])
    for name, value in {"PYTHONPATH": root, "XLA_FLAGS": ONE_DEVICE, "IPYTHONDIR": str(tmp_path)}.items():
        monkeypatch.setitem(os.environ, name, value)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs), "nothing to look at"


def _validate_on_small_pictures(notebook, folder):
    """Of a notebook that trains: a minute less than with three whole photographs at eight widths."""
    for cell in notebook.cells:
        if "config_lib.validate(config)" in cell.source:
            draw_pictures(folder / "pictures")
            small = f"config.validation.update(source='folder', root={str(folder / 'pictures')!r}, crop=64)\n"
            cell.source = cell.source.replace("config_lib.validate(config)", small + "config_lib.validate(config)")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_names_no_folder_of_a_machine(path):
    text = path.read_text()
    assert "/home/" not in text and "/tmp/" not in text
    assert len(_opened(path).cells) <= 20, "short ones are read"
