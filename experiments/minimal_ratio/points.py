"""Points of zero gradient: the search from each run, the way there, saddles; with spectra."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hw1_jax import analysis, data, devices, models, pytrees, rng
from hw1_jax.analysis import critical_points, kink_search, kinks, zeros
from hw1_jax.analysis import levenberg_marquardt as lm
from hw1_jax.loops import Monitor
from hw1_jax.training import full_batch, losses

SLOPES = {"relu": 0.0, "leaky_relu": 0.01}  # below zero, of the piecewise linear activations
PATH_TOLERANCES = (1e-3, 1e-4, 1e-5)  # first points of the search at or below these; our choice
ROUND = 10  # runs a device works through between two looks at the clock; their lengths even out


class Problem(NamedTuple):
  """A network of given widths, its data in float64, and functions of the ravelled parameters."""

  model: models.MLP
  activation: str
  inputs: jax.Array  # [N, 1]
  targets: jax.Array  # [N, 1]
  unravel: Callable[[jax.Array], Any]
  slope: float | None  # below zero, where kinks are respected: one hidden layer, piecewise linear

  def residuals(self, theta: jax.Array) -> jax.Array:
    """Returns f(x) - y, [N]."""
    return (models.apply(self.model, self.unravel(theta), self.inputs) - self.targets)[:, 0]

  def loss(self, theta: jax.Array) -> jax.Array:
    """Returns the mean squared error."""
    return losses.mse(models.apply(self.model, self.unravel(theta), self.inputs), self.targets)

  def hessian(self, theta: jax.Array) -> jax.Array:
    """Returns the exact Hessian of the loss, [P, P]."""
    function = models.ACTIVATIONS[self.activation]
    return analysis.mlp_hessian(self.unravel(theta), function, self.inputs, self.targets)


def make_problem(config: Any, widths: str) -> Problem:
  """Returns the fit of the target by networks of `widths`."""
  hidden = models.parse_widths(widths)
  model = models.MLP((*hidden, 1), config.activation, batch_last=True)
  x, y = data.function_data(config.target, config.num_points, dtype=np.float64)
  example = pytrees.cast(models.init(model, jax.random.key(0), (1, 1)), jnp.float64)
  slope = SLOPES.get(config.activation) if len(hidden) == 1 else None
  inputs, targets = jnp.asarray(x), jnp.asarray(y)
  return Problem(model, config.activation, inputs, targets, pytrees.ravel(example)[1], slope)


def for_saddles(config: Any) -> Any:
  """Returns the settings of the networks whose saddles are sought."""
  return dataclasses.replace(config, activation=config.saddle_activation)


def num_parameters(widths: str) -> int:
  """Returns P."""
  return models.count_parameters(models.MLP((*models.parse_widths(widths), 1)), (1, 1))


def make_search(
  config: Any, problem: Problem
) -> Callable[[jax.Array, jax.Array], dict[str, jax.Array]]:
  """Returns (theta [P] float64, tolerance) -> where the search ends."""

  def search(theta: jax.Array, tolerance: jax.Array) -> dict[str, jax.Array]:
    if problem.slope is None:
      plain = lm.minimize(
        problem.residuals, theta, tolerance=tolerance, max_iterations=config.max_iterations,
        loss_tolerance=config.loss_tolerance,
      )  # fmt: skip
      nothing = jnp.full(problem.model.features[0], -1)
      return {"params": plain.params, "held": nothing, "stationarity": plain.gradient_norm,
              "gradient_norm_before": plain.gradient_norm_before, "end": plain.end,
              "iterations": plain.iterations, "loss": plain.loss,
              "loss_before": plain.loss_before}  # fmt: skip
    point = kink_search.minimize(
      problem.unravel(theta), problem.inputs, problem.targets, slope=problem.slope,
      tolerance=tolerance, max_iterations=config.max_iterations,
    )  # fmt: skip
    fields = point._asdict() | {"params": pytrees.ravel(point.params)[0]}
    return {name: fields[name] for name in fields if not name.endswith("history")}

  return search


def search_runs(config: Any, monitor: Monitor, trained: np.ndarray) -> dict[str, np.ndarray]:
  """Returns what `Result` keeps of every run's search and of the spectrum where it ended."""
  problem = make_problem(config, config.widths)
  search = devices.map_members(make_search(config, problem))
  look = make_look(problem)

  def measure(rows: np.ndarray) -> dict[str, Any]:
    tolerances = jnp.full(len(rows), config.grad_tolerance)
    found = jax.device_get(search(jnp.asarray(trained[rows], jnp.float64), tolerances))
    looked = in_threads(look, list(zip(found["params"], found["held"])))
    del found["stationarity"]
    return found | {name: np.stack([one[name] for one in looked]) for name in looked[0]}

  most = min(config.num_runs, ROUND * devices.make_mesh().size)
  found = monitor.map("search", measure, config.num_runs, batch_size=most)
  return found | {"rtols": zeros.RTOLS}


def make_look(problem: Problem) -> Callable[[tuple[np.ndarray, np.ndarray]], dict[str, Any]]:
  """Returns (theta [P], held [H]) -> certificate, spectrum, and its zeros explained."""
  gradient = jax.jit(jax.grad(problem.loss))

  @jax.jit
  def matrices(theta: jax.Array, held: jax.Array) -> tuple[jax.Array, ...]:
    hessian = problem.hessian(theta)
    jacobian = jax.jacrev(problem.residuals)(theta)
    if problem.slope is not None:
      normals = kinks.held_normals(held, kinks.extend(problem.inputs)).T
      hessian = kinks.hold(hessian, held, problem.inputs)
      jacobian = kinks.project_normals(jacobian.T, normals).T
    return hessian, jacobian, problem.residuals(theta)

  def look(point: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    theta, held = point
    params = problem.unravel(jnp.asarray(theta))
    hessian, jacobian, residuals = map(np.asarray, matrices(theta, held))
    values = kinks.held_eigenvalues(np.linalg.eigvalsh(hessian), int((held >= 0).sum()))
    norm = float(jnp.linalg.norm(gradient(jnp.asarray(theta))))
    if problem.slope is None:
      rest = np.linalg.eigvalsh(hessian - 2 / len(residuals) * jacobian.T @ jacobian)
      certificate = norm
    else:
      q = zeros.residual_couplings(params, residuals, problem.inputs, slope=problem.slope)
      normals = np.asarray(kinks.held_normals(jnp.asarray(held), kinks.extend(problem.inputs)))
      q = np.linalg.norm(q - np.sum(q * normals, axis=1, keepdims=True) * normals, axis=1)
      rest = np.append(q, -q)
      proof = kinks.certify(params, problem.inputs, problem.targets, slope=problem.slope)
      certificate, norm = proof.norm, proof.gradient_norm
    dead, scalings = zeros.unit_states(params, problem.inputs, problem.activation)
    found = zeros.explain(values, jacobian, rest, scalings)
    return {
      "eigenvalues": values, "gradient_norm": norm, "certificate": certificate,
      "counts": np.stack([found.positive, found.zero, found.negative], axis=1),
      "rank": found.rank, "residual": found.residual, "unexplained": found.unexplained,
      "no_effect": found.no_effect, "scalings": scalings, "dead_units": dead,
      "output_range": np.ptp(residuals + np.asarray(problem.targets)[:, 0]),
    }  # fmt: skip

  return look


def make_training(
  config: Any, widths: str, runs: int
) -> tuple[jax.Array, Callable[..., jax.Array]]:
  """Returns fresh weights [runs, P], and (params, x, y) -> loss; run m starts the same always."""
  model = models.MLP((*models.parse_widths(widths), 1), config.activation, batch_last=True)
  keys = rng.streams(rng.member_keys(config.seed, runs), "init")
  forward, start = models.ravelled(model, keys, (1, 1))
  return start, lambda params, x, y: losses.mse(forward(params, x), y)


def snapshots(config: Any, widths: str, runs: int, epochs: Sequence[int]) -> np.ndarray:
  """Returns the weights of the first runs after each of `epochs`, [S, runs, P]."""
  start, loss = make_training(config, widths, runs)
  optimizer = config.make_optimizer(config.learning_rate, config.weight_decay)
  x, y = data.function_data(config.target, config.num_points)

  def go_on(x: Any, y: Any, state: full_batch.FitState, end: jax.Array) -> full_batch.FitState:
    chunk = full_batch.make_fit_chunk(loss, optimizer, None, num_epochs=end,
                                      chunk_size=max(epochs))  # fmt: skip
    return chunk(state, x, y)[0]

  train = devices.map_members(go_on, num_shared=2)
  state = jax.vmap(lambda params: full_batch.start_state(params, optimizer))(start)
  weights = []
  for epoch in epochs:
    state = train(x, y, state, jnp.full(runs, epoch))
    weights.append(np.asarray(state.train.params))
  return np.stack(weights)


def measure_path(config: Any, monitor: Monitor, epochs: Sequence[int]) -> dict[str, np.ndarray]:
  """Returns gradient norm, loss and spectrum of a few runs, from initialization to the minimum."""
  problem = make_problem(config, config.widths)
  search = devices.map_members(make_search(config, problem))
  hessian = jax.jit(problem.hessian)
  hold = jax.jit(lambda theta, held: kinks.hold(hessian(theta), held, problem.inputs))
  value_and_norm = jax.jit(
    lambda theta: (problem.loss(theta), jnp.linalg.norm(jax.grad(problem.loss)(theta)))
  )
  below = [*(t for t in PATH_TOLERANCES if t > config.grad_tolerance), config.grad_tolerance]

  def spectrum(point: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    theta, held = (jnp.asarray(leaf) for leaf in point)
    matrix = hessian(theta) if problem.slope is None else hold(theta, held)
    return kinks.held_eigenvalues(np.linalg.eigvalsh(np.asarray(matrix)), int((held >= 0).sum()))

  def measure(rows: np.ndarray) -> dict[str, Any]:
    params = snapshots(config, config.widths, config.path_runs, epochs)
    starts = jnp.asarray(params[-1][rows], jnp.float64)
    ways = [jax.device_get(search(starts, jnp.full(len(rows), t))) for t in below]
    nothing = np.full_like(ways[0]["held"], -1)
    thetas = [p[rows].astype(np.float64) for p in params]
    values = in_threads(
      spectrum,
      [(t[i], h[i]) for i in range(len(rows)) for t, h in
       [*((theta, nothing) for theta in thetas), *((w["params"], w["held"]) for w in ways)]],
    )  # fmt: skip
    trained = np.asarray([[value_and_norm(t[i]) for t in thetas] for i in range(len(rows))])
    searched = np.stack([[w["loss"], w["stationarity"]] for w in ways]).transpose(2, 0, 1)
    both = np.concatenate([trained, searched], axis=1)
    return {
      "path_loss": both[..., 0],
      "path_gradient_norm": both[..., 1],
      "path_eigenvalues": np.reshape(values, (*both.shape[:2], -1)),
    }

  found = monitor.map("path", measure, config.path_runs, batch_size=config.path_runs)
  return found | {"path_epochs": np.asarray([*epochs, *[-1] * len(below)])}


def find_saddles(config: Any, monitor: Monitor, epochs: Sequence[int]) -> dict[str, np.ndarray]:
  """Returns the critical points nearest to barely trained networks."""
  problem = make_problem(for_saddles(config), config.saddle_widths)
  nearest = devices.map_members(
    functools.partial(critical_points.nearest, problem.loss, problem.hessian), form="loop"
  )

  def measure(rows: np.ndarray) -> dict[str, Any]:
    params = snapshots(for_saddles(config), config.saddle_widths, config.saddle_runs, epochs)
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


def in_threads(function: Callable[[Any], Any], items: list[Any]) -> list[Any]:
  """Returns the function of each item, computed side by side: LAPACK lets other threads run."""
  x64 = jnp.result_type(float) == jnp.float64  # a context manager may have set it for this thread

  def compute(item: Any) -> Any:
    with jax.enable_x64(x64):
      return function(item)

  with ThreadPoolExecutor(len(jax.local_devices())) as pool:
    return list(pool.map(compute, items))
