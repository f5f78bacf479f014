"""Critical points that are no minima: near barely trained networks, and from narrower networks."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hw1_jax import devices, pytrees
from hw1_jax.analysis import critical_points
from hw1_jax.analysis import levenberg_marquardt as lm
from hw1_jax.loops import Monitor

from . import points

# Hidden units, in the first layer, of the networks whose minima are embedded. Our choice: losses
# from that of a constant to that of a good fit.
NARROW = (1, 2, 3, 4, 5, 6)


def for_saddles(config: Any) -> Any:
  """Returns the settings of the networks whose saddles are sought."""
  return dataclasses.replace(config, activation=config.saddle_activation)


def find_nearest(config: Any, monitor: Monitor, epochs: Sequence[int]) -> dict[str, np.ndarray]:
  """Returns the critical points nearest to barely trained networks."""
  problem = points.make_problem(for_saddles(config), config.saddle_widths)
  nearest = devices.map_members(
    functools.partial(critical_points.nearest, problem.loss, problem.hessian), form="loop"
  )

  def measure(rows: np.ndarray) -> dict[str, Any]:
    params = points.snapshots(for_saddles(config), config.saddle_widths, config.saddle_runs, epochs)
    starts = np.concatenate(params[rows]).astype(np.float64)
    found = jax.device_get(nearest(jnp.asarray(starts)))
    shape = (len(rows), -1)
    return {
      "saddle_loss": found.loss.reshape(shape),
      "saddle_gradient_norm": found.gradient_norm.reshape(shape),
      "saddle_eigenvalues": found.eigenvalues.reshape(*shape, starts.shape[1]),
    }

  found = monitor.map("saddles", measure, len(epochs), batch_size=len(epochs))
  return found | {"saddle_epochs": np.asarray(epochs)}


def find_embedded(config: Any, monitor: Monitor) -> dict[str, np.ndarray]:
  """Returns minima of narrower networks as critical points of the wide one.

  A unit (v, w) split into units (v, s_j w) with sum_j s_j = 1 changes neither the outputs nor that
  the gradient is zero: mostly a saddle of the wider network, at the same loss (Fukumizu & Amari,
  Neural Networks 13, 2000). Which unit each further unit splits, and s, are random.
  """
  setting, runs = for_saddles(config), config.saddle_runs
  hidden = [int(width) for width in config.saddle_widths.split("-")]
  narrow = [width for width in NARROW if width < hidden[0]]
  wide = points.make_problem(setting, config.saddle_widths)

  @jax.jit
  def measure(theta: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    return *wide.loss_and_norm(theta), wide.hessian(theta)

  def look(theta: np.ndarray) -> tuple[Any, Any, np.ndarray]:
    loss, norm, hessian = jax.device_get(measure(theta))
    return loss, norm, np.linalg.eigvalsh(hessian)

  def embed(rows: np.ndarray) -> dict[str, Any]:
    rng = np.random.default_rng([config.seed, *rows])
    widths = np.repeat(np.asarray(narrow)[rows], runs)
    found = _narrow_minima(setting, widths, "-".join(map(str, (max(narrow), *hidden[1:]))))
    thetas = [_split_units(tree, width, hidden[0], rng) for tree, width in zip(found, widths)]
    looked = list(zip(*points.in_threads(look, thetas)))
    return {
      "embedded_loss": np.reshape(looked[0], (-1, runs)),
      "embedded_gradient_norm": np.reshape(looked[1], (-1, runs)),
      "embedded_eigenvalues": np.reshape(looked[2], (len(rows), runs, -1)),
    }

  found = monitor.map("embedded", embed, len(narrow), batch_size=len(narrow))
  return found | {"embedded_widths": np.asarray(narrow)}


def _narrow_minima(setting: Any, units: np.ndarray, widths: str) -> list[Any]:
  """Returns where searches end from fresh weights, the first layer's units cut to `units` [M]."""
  problem = points.make_problem(setting, widths)
  fresh, _ = points.make_training(setting, widths, setting.saddle_runs)
  start = np.tile(fresh, (len(units) // setting.saddle_runs, 1)).astype(np.float64)

  def cut(theta: jax.Array, count: jax.Array) -> jax.Array:
    params = problem.unravel(theta)
    taken = jnp.arange(params["dense_00"]["bias"].size) < count
    params["dense_00"] = jax.tree.map(lambda leaf: leaf * taken, params["dense_00"])
    params["dense_01"]["kernel"] *= taken[:, None]
    return pytrees.ravel(params)[0]

  def search(theta: jax.Array, count: jax.Array) -> jax.Array:
    mask = cut(jnp.ones_like(theta), count)  # without effect, and so never moved
    return lm.minimize(
      lambda t: problem.residuals(t * mask), theta * mask,
      jacobian=lambda t: problem.jacobian(t * mask) * mask, max_iterations=setting.max_iterations,
    ).params  # fmt: skip

  ends = jax.device_get(devices.map_members(search)(start, units))
  return [problem.unravel(theta) for theta in ends]


def _split_units(params: Any, narrow: int, width: int, rng: np.random.Generator) -> np.ndarray:
  """Returns the ravelled weights of an equal network: `width` units from the first `narrow`."""
  first, second = params["dense_00"], params["dense_01"]
  source = np.concatenate([np.arange(narrow), rng.integers(narrow, size=width - narrow)])
  shares = rng.uniform(size=width)
  shares = shares / np.bincount(source, shares)[source]
  tree = params | {
    "dense_00": {"bias": first["bias"][source], "kernel": first["kernel"][:, source]},
    "dense_01": {"bias": second["bias"], "kernel": second["kernel"][source] * shares[:, None]},
  }
  return np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(tree)])
