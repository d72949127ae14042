"""docs/quickstart.ipynb runs from its first cell to its last, with fewer scenes and iterations."""

import nbformat
from nbclient import NotebookClient

from tests.conftest import REPOSITORY

SMALL = "SCENES, ITERATIONS, BURN_IN = 4, 4, 2"


def notebook():
    return nbformat.read(REPOSITORY / "docs/quickstart.ipynb", as_version=4)


def test_it_is_committed_without_outputs():
    for cell in notebook().cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None


def test_it_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("DETECTRON2_DATASETS", raising=False)
    content = notebook()
    (parameters,) = [cell for cell in content.cells if "parameters" in cell.metadata.get("tags", ())]
    parameters.source = SMALL
    NotebookClient(content, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert (tmp_path / "output/quickstart/report.html").is_file()
    pictures = [output for cell in content.cells for output in cell.get("outputs", ()) if "image/png" in output.get("data", {})]
    assert len(pictures) == 1
