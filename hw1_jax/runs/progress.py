"""The progress bar: on a terminal, however narrow, or below a notebook's cell."""

import importlib
import importlib.util
import shutil
import sys
import warnings
from typing import Any, cast

from hw1_jax.runs.terminal import CalmStream, shows_bars

NARROW = 60  # columns; below them a bar has no room beside the loop's name and the time left
SHORT = "{percentage:3.0f}%, {remaining} left{postfix}"


def in_notebook() -> bool:
  """Returns whether this is the kernel of a notebook."""
  if "ipykernel" not in sys.modules or importlib.util.find_spec("IPython") is None:
    return False
  from IPython.core.getipython import get_ipython

  shell = get_ipython()
  return shell is not None and "IPKernelApp" in shell.config


def make_bar(label: str, unit: str, *, total: int, done: int, hidden: bool = False) -> Any:
  """Returns a tqdm bar that says "compiling" until `advance` is called.

  It draws on a terminal and in a notebook, elsewhere nothing. `hidden` draws nothing anywhere.
  """
  notebook = in_notebook()
  if notebook:
    with warnings.catch_warnings():
      warnings.simplefilter("ignore")  # without ipywidgets tqdm draws text, and says so
      bars = importlib.import_module("tqdm.auto")
  else:
    bars = importlib.import_module("tqdm")
  narrow = not notebook and shutil.get_terminal_size().columns < NARROW
  bar = bars.tqdm(
    file=None if notebook else cast(Any, CalmStream(sys.stderr)),
    total=total,
    initial=done,
    desc=label,
    unit=f" {unit}",
    disable=hidden or not (notebook or shows_bars()),
    leave=False,
    dynamic_ncols=True,
    bar_format=SHORT if narrow else None,
  )
  bar.set_postfix_str("compiling")
  return bar


def advance(bar: Any, units: int) -> None:
  """Moves a bar on after a chunk; what the first one had to compile is compiled."""
  bar.set_postfix_str("", refresh=False)
  bar.update(units)
