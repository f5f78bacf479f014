"""The tutorial: its script runs, its notebook has the same cells; a kernel's backend is no harm."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT, NOTEBOOK = (ROOT / "docs" / f"tutorial.{suffix}" for suffix in ("py", "ipynb"))


def cells_of_script():
  """Returns [(kind, text)] of the cells, as the percent format has them."""
  found = []
  for part in re.split(r"^# %%", SCRIPT.read_text(), flags=re.MULTILINE)[1:]:
    first, _, text = part.partition("\n")
    markdown = "[markdown]" in first
    lines = [re.sub(r"^# ?", "", line) if markdown else line for line in text.splitlines()]
    found.append(("markdown" if markdown else "code", "\n".join(lines).strip()))
  return found


def test_the_notebook_has_the_cells_of_the_script():
  cells = json.loads(NOTEBOOK.read_text())["cells"]
  assert [(cell["cell_type"], "".join(cell["source"]).strip()) for cell in cells] == (
    cells_of_script()
  )


@pytest.mark.slow
def test_the_tutorial_runs_in_a_kernels_environment(tmp_path):
  done = subprocess.run(
    [sys.executable, str(SCRIPT)], cwd=ROOT, capture_output=True, text=True, timeout=500,
    env={**os.environ, "JAX_PLATFORMS": "cpu", "TMPDIR": str(tmp_path)},
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  before, after = map(float, re.search(r"gradient norm (\S+) -> (\S+)", done.stdout).groups())
  assert after < before / 10
  ratio = float(re.search(r"minimal ratio: (\S+)", done.stdout)[1])
  assert 0 < ratio <= 1
  assert "loss [runs, epochs]: (2, " in done.stdout


@pytest.mark.slow
def test_the_notebook_runs_in_a_kernel_and_shows_its_figures(monkeypatch):
  nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
  nbformat = pytest.importorskip("nbformat")
  pytest.importorskip("ipykernel", reason="ipykernel is not installed")
  monkeypatch.setenv("JAX_PLATFORMS", "cpu")
  notebook = nbformat.read(NOTEBOOK, as_version=4)
  client = nbclient.NotebookClient(
    notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}}
  )
  client.execute()  # an error in a cell is raised
  outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
  printed = "".join(output.get("text", "") for output in outputs)
  assert "loss [runs, epochs]: (2, " in printed
  drawn = [output for output in outputs if "image/png" in output.get("data", {})]
  assert len(drawn) >= 2  # the surface, and the experiment's


@pytest.mark.parametrize("backend", ["inline", "module://not_installed.backend"])
def test_a_command_ignores_the_backend_of_the_kernel_that_starts_it(backend):
  done = subprocess.run(
    [sys.executable, "-m", "experiments.gradient_norm", "--help"], cwd=ROOT, text=True,
    capture_output=True, env={**os.environ, "JAX_PLATFORMS": "cpu", "MPLBACKEND": backend},
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  assert "--num_epochs" in done.stdout
