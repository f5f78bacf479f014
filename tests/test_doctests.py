"""The examples in docstrings run; every public function of analysis has one."""

import doctest
import importlib
import inspect
import pathlib

import jax
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODULES = [
  f"hw1_jax.analysis.{path.stem}"
  for path in sorted((ROOT / "hw1_jax" / "analysis").glob("*.py"))
  if path.stem != "__init__"
]
# Searches whose smallest example is a page; tests/test_critical_points.py has them.
WITHOUT = {"nearest"}


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings_run(name):
  module = importlib.import_module(name)
  with jax.enable_x64(False):
    failed, _ = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
  assert failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_every_public_function_of_analysis_has_an_example(name):
  module = importlib.import_module(name)
  for function_name, function in inspect.getmembers(module, inspect.isfunction):
    if function.__module__ == name and not function_name.startswith("_"):
      has_one = ">>>" in (function.__doc__ or "")
      assert has_one or function_name in WITHOUT, f"{name}.{function_name}"
