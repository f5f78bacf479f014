"""Experiments from Python, such as a notebook: run with a Config, and load a run folder.

from experiments.gradient_norm import EXPERIMENT
from experiments.gradient_norm.run import Config
from hw1_jax.runs import notebook

result = notebook.run_config(EXPERIMENT, Config(num_runs=2), workdir="results/mine")
result = notebook.load("results/mine")             # result.loss: [M, E]
notebook.load_dataset("results/mine").loss.mean("M")   # xarray, if installed: axes by name
"""

import contextlib
import importlib
import importlib.util
import io
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from hw1_jax.errors import UserError
from hw1_jax.runs import axes, main
from hw1_jax.runs.experiment import Experiment
from hw1_jax.runs.files import read_result
from hw1_jax.runs.folder import RunFolder, default_style
from hw1_jax.runs.options import Options
from hw1_jax.runs.progress import in_notebook


def run_config(
  experiment: Experiment,
  config: Any,
  *,
  workdir: str | Path | None = None,
  show: bool | None = None,
  **options: Any,
) -> Any:
  """Returns the Result of an experiment, run or resumed in its folder as its command does.

  Args:
    experiment: such as `experiments.gradient_norm.EXPERIMENT`.
    config: its Config.
    workdir: the run folder; results/notebook/NAME by default.
    show: whether to show the figures below the cell; by default in a notebook only.
    options: further fields of `Options`: `overwrite`, `manual_dir`, `tensorboard`, ...

  An interrupted cell ends in `Interrupted` after the chunk under way; the same call resumes.

  Raises:
    UserError: wrong options, or a folder that holds a run with other settings.
    RunFailed: training met NaN or infinity, or ended where nothing can be measured.
  """
  folder = Path(workdir or Path("results", "notebook", experiment.name))
  chosen = Options(workdir=folder, **options)
  argv = [experiment.name, f"--flagfile={folder / 'run.flags'}"]
  with jax.enable_x64(experiment.x64), _signals_kept():
    main.execute(experiment, config, chosen, argv)
  result = load(folder, experiment)
  if in_notebook() if show is None else show:
    with default_style():
      for figure in experiment.draw(config, result).values():
        show_figure(figure)
  return result


def show_figure(figure: Any) -> None:
  """Shows a matplotlib figure below a notebook's cell; elsewhere nothing is shown.

  A kernel shows the figures of pyplot by itself. These are drawn without pyplot, which would open
  windows elsewhere, so they are handed over as pictures.
  """
  if not in_notebook():
    return
  from IPython.display import Image, display  # a notebook has it

  picture = io.BytesIO()
  figure.savefig(picture, format="png", dpi=100)
  display(Image(picture.getvalue()))


def load(folder: str | Path, experiment: Experiment | None = None) -> Any:
  """Returns the Result in a run folder: a NamedTuple of NumPy arrays, or of dicts of arrays.

  The folder says which experiment it is; one that is not among ours is to be given. UserError
  for a folder that holds no finished result, or a damaged one.
  """
  path = Path(folder)
  run = RunFolder(path)
  if experiment is None:
    experiment = _find(str(run.provenance().get("experiment")), path)
  run.verify(("config.json", "result.npz"))
  return read_result(path / "result.npz", experiment.result)


def load_dataset(folder: str | Path, experiment: Experiment | None = None) -> Any:
  """Returns the result in a run folder as an xarray.Dataset with named axes: `axes.to_dataset`.

  Arguments and errors of `load`; UserError also where xarray is not installed.
  """
  return axes.to_dataset(load(folder, experiment))


def load_config(folder: str | Path, experiment: Experiment | None = None) -> Any:
  """Returns the Config of a run folder; arguments and errors of `load`."""
  run = RunFolder(Path(folder))
  if experiment is None:
    experiment = _find(str(run.provenance().get("experiment")), run.path)
  return main.saved_config(experiment, run)


def _find(name: str, path: Path) -> Experiment:
  """Returns the experiment called `name`: hw1_jax.experiments where installed, else ours here."""
  for package in ("hw1_jax.experiments", "experiments"):
    if name.isidentifier() and importlib.util.find_spec(package) is not None:
      with contextlib.suppress(ModuleNotFoundError):
        return importlib.import_module(f"{package}.{name}").EXPERIMENT
  raise UserError(
    f"{path} holds a run of {name!r}, which is not among the experiments here",
    remedy="pass its EXPERIMENT as the second argument",
  )


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
  """Puts the kernel's own signal handlers back; elsewhere than in the main thread none are set."""
  if threading.current_thread() is not threading.main_thread():
    yield
    return
  numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
  kept = {number: signal.getsignal(number) for number in numbers}
  try:
    yield
  finally:
    for number, handler in kept.items():
      signal.signal(number, handler)
