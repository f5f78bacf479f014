"""What there is to run: experiments, profiles, and the flagfiles that join them."""

import difflib
import importlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from hw1_jax.errors import UserError
from hw1_jax.report.assignment import EXPERIMENTS, overlays, package_of, topics

if TYPE_CHECKING:  # importing JAX takes seconds, and a list of names does not need it
  from hw1_jax.runs.experiment import Experiment

CALLED_FROM = "HW1_CALLED_FROM"  # run_all.sh works in its own folder, and says where it was called


def names() -> list[str]:
  """Returns all experiments, in the assignment's order."""
  return [topic.experiment for topic in topics()]


def profiles() -> list[str]:
  """Returns the profiles: the folders of flagfiles."""
  return sorted(path.name for path in (EXPERIMENTS / "flags").iterdir() if path.is_dir())


def members(profile: str) -> list[str]:
  """Returns the experiments of a profile, in the assignment's order."""
  return [name for name in names() if _flagfile(profile, name).is_file()]


def flagfiles(profile: str, name: str) -> list[str]:
  """Returns the flags that name the flagfiles of an experiment, the one that wins last."""
  below = overlays().get(profile)
  paths = [_flagfile(each, name) for each in (below, profile) if each]
  return [f"--flagfile={_short(path)}" for path in paths if path.is_file()]


def experiment(name: str) -> "Experiment":
  """Returns an experiment, imported from where it is: hw1_jax.experiments if installed."""
  return importlib.import_module(package_of(name)).EXPERIMENT


def program() -> str:
  """Returns the name by which the user called us."""
  return "run_all.sh" if CALLED_FROM in os.environ else "hw1"


def known(word: str, kind: str, expected: Iterable[str]) -> str:
  """Returns `word` if it is one of `expected`; else UserError asks which one was meant."""
  expected = list(expected)
  if word in expected:
    return word
  raise UserError(f"no {kind} {word[:80]!r}{guess(word, expected)}")


def guess(word: str, expected: Iterable[str]) -> str:
  """Returns '; did you mean ...?', or what there is."""
  near = difflib.get_close_matches(word[:80], list(expected), n=1)
  if near:
    return f"; did you mean {near[0]}?"
  return f"; expected one of: {' '.join(expected)}"


def _flagfile(profile: str, name: str) -> Path:
  return EXPERIMENTS / "flags" / profile / f"{name}.flags"


def _short(path: Path) -> str:
  """Returns a path as seen from here if it lies below, so that commands can be read."""
  here = os.path.relpath(path)
  return str(path) if here.startswith(os.pardir) else here
