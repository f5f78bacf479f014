"""The way of a few runs from initialization to the point of zero gradient, with spectra."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from hw1_jax.analysis import kinks
from hw1_jax.loops import Monitor

from . import points

TOLERANCES = (1e-3, 1e-4, 1e-5)  # first points of the search at or below these; our choice


def measure(
  config: Any, monitor: Monitor, tools: points.Tools, epochs: Sequence[int], trained: np.ndarray,
  found: dict[str, np.ndarray],
) -> dict[str, np.ndarray]:  # fmt: skip
  """Returns `found` with the first runs' gradient norms, losses and spectra all the way to it.

  Args:
    config: of the experiment.
    monitor: of the run.
    tools: of the networks.
    epochs: of training to look at, ascending; the last are all that the runs were trained.
    trained: weights [M, P] after them.
    found: what `points.search_runs` returns for them, without `stationarity` when it comes back.
  """
  problem, runs = tools.problem, min(config.path_runs, config.num_runs)
  loss_and_norm = jax.jit(problem.loss_and_norm)
  above = [tolerance for tolerance in TOLERANCES if tolerance > config.grad_tolerance]

  def spectrum(point: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    matrix, _ = tools.within(*point)
    return kinks.held_eigenvalues(np.linalg.eigvalsh(np.asarray(matrix)), (point[1] >= 0).sum())

  def measure_runs(rows: np.ndarray) -> dict[str, Any]:
    early = points.snapshots(config, config.widths, runs, epochs[:-1])
    thetas = np.concatenate([early, trained[None, :runs]])[:, rows].astype(np.float64)
    ways = {name: values[:0] for name, values in found.items()}
    if above:
      ways = tools.search(np.tile(thetas[-1], (len(above), 1)), np.repeat(above, runs))
    nothing = np.full(found["held"].shape[1], -1)
    looked = [(theta, nothing) for theta in thetas.reshape(-1, thetas.shape[-1])]
    looked += zip(ways["params"], ways["held"])
    values = np.reshape(points.in_threads(spectrum, looked), (-1, runs, thetas.shape[-1]))
    before = np.asarray([[loss_and_norm(theta) for theta in epoch] for epoch in thetas])

    def join(*parts: np.ndarray) -> np.ndarray:
      """Each [S of the part, runs, ...] -> [runs, S, ...]."""
      return np.ascontiguousarray(np.concatenate(parts).swapaxes(0, 1))

    def join_ways(before: np.ndarray, name: str) -> np.ndarray:
      return join(before, ways[name].reshape(-1, runs), found[name][None, :runs])

    return {
      "path_loss": join_ways(before[..., 0], "loss"),
      "path_gradient_norm": join_ways(before[..., 1], "stationarity"),
      "path_eigenvalues": join(values, found["eigenvalues"][None, :runs]),
    }

  measured = monitor.map("path", measure_runs, runs, batch_size=runs)
  kept = {name: values for name, values in found.items() if name != "stationarity"}
  return kept | measured | {"path_epochs": np.asarray([*epochs, *[-1] * (len(above) + 1)])}
