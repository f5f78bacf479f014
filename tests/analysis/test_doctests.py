"""The examples in docstrings run; every public function of analysis has one."""

import doctest
import importlib
import inspect
import pathlib

import jax
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODULES = [
  f"hw1_jax.analysis.{path.stem}"
  for path in sorted((ROOT / "hw1_jax" / "analysis").glob("*.py"))
  if path.stem != "__init__"
]


SLOW = {"lanczos", "held_kinks", "piece_search"}  # their examples compile for seconds


@pytest.mark.parametrize(
  "name",
  [pytest.param(name, marks=[pytest.mark.slow] * (name.rpartition(".")[2] in SLOW))
   for name in MODULES],
)  # fmt: skip
def test_examples_of_docstrings_run(name):
  module = importlib.import_module(name)
  with jax.enable_x64(False):
    failed, _ = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
  assert failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_every_public_function_of_analysis_has_an_example(name):
  module = importlib.import_module(name)
  without = {
    function_name
    for function_name, function in inspect.getmembers(module, inspect.isfunction)
    if function.__module__ == name
    and not function_name.startswith("_")
    and ">>>" not in (function.__doc__ or "")
  }
  assert not without
