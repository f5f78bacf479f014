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
# Without an example as yet. Whoever writes one takes the name off the list, and the test says so.
WITHOUT = {
  "alignment": {"layer_spec", "permute"},
  "connectivity": {"bezier_coordinates", "bezier", "start_curve", "bezier_weights", "barrier"},
  "critical_points": {"nearest"},
  "directions": {"random_walk_shares", "snapshot_steps", "path_plane", "along"},
  "flatness": {
    "pac_bayes_bound",
    "keskar_sharpness",
    "ball",
    "expected_sharpness",
    "box",
    "perturbed_errors",
    "relative_flatness",
  },
  "interpolation": {"make_interpolate"},
  "lanczos": {
    "extreme_eigenpairs",
    "spectral_quadrature",
    "describe_spectrum",
    "quadrature",
    "density",
  },
  "norms": {"weight_norms"},
  "products": {"mean_over_batches", "matrix_operator"},
  "rank_analysis": {"conditional_independence", "null_score", "granulated"},
  "stability": {"sharpness_along_descent"},
  "surface": {"weights_of", "frame", "grid", "make_surface_mlp", "classification", "mix", "stack"},
}


@pytest.mark.parametrize("name", MODULES)
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
  assert without == WITHOUT.get(name.rpartition(".")[2], set())
