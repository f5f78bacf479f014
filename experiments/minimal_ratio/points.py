"""Points of zero gradient: the search from each run, and the way there; with spectra."""

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hw1_jax import analysis, data, devices, models, pytrees, rng
from hw1_jax.analysis import held_kinks, kink_search, kinks, piece_search, pieces, zeros
from hw1_jax.analysis import levenberg_marquardt as lm
from hw1_jax.errors import UserError
from hw1_jax.loops import Monitor
from hw1_jax.runs.provenance import usable_cores
from hw1_jax.training import full_batch, losses

SLOPES = {"relu": 0.0, "leaky_relu": 0.01}  # below zero, of the piecewise linear activations
# What is kept of a search.
FOUND = ("params", "loss", "loss_before", "stationarity", "gradient_norm_before", "end",
         "iterations")  # fmt: skip
ROUND = 10  # runs a device works through between two looks at the clock; their lengths even out


Within = Callable[[np.ndarray, np.ndarray], tuple[jax.Array, jax.Array]]


class Problem(NamedTuple):
  """A network, its data in float64, and functions of the ravelled parameters."""

  model: Any  # models.MLP, or models.OwnModel
  activation: str  # between an MLP's layers; "" of your own network
  inputs: jax.Array  # [N, 1]
  targets: jax.Array  # [N, 1]
  unravel: Callable[[Any], Any]
  slope: float | None  # below zero, of piecewise linear units; None of smooth ones, and your own

  @property
  def hidden(self) -> tuple[int, ...]:
    """Returns an MLP's hidden widths; none of your own network, whose units are not known."""
    return self.model.features[:-1] if isinstance(self.model, models.MLP) else ()

  def residuals(self, theta: jax.Array) -> jax.Array:
    """Returns f(x) - y, [N]."""
    return (models.apply(self.model, self.unravel(theta), self.inputs) - self.targets)[:, 0]

  def jacobian(self, theta: jax.Array) -> jax.Array:
    """Returns the derivative of `residuals`, [N, P], one example at a time."""

    def output(theta: jax.Array, x: jax.Array) -> jax.Array:
      return models.apply(self.model, self.unravel(theta), x[None])[0, 0]

    return jax.vmap(jax.grad(output), (None, 0))(theta, self.inputs)

  def loss(self, theta: jax.Array) -> jax.Array:
    """Returns the mean squared error."""
    return losses.mse(models.apply(self.model, self.unravel(theta), self.inputs), self.targets)

  def loss_and_norm(self, theta: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns the loss and the 2-norm of its gradient."""
    return self.loss(theta), jnp.linalg.norm(jax.grad(self.loss)(theta))

  def hessian(self, theta: jax.Array) -> jax.Array:
    """Returns the exact Hessian of the loss, [P, P]."""
    if not self.activation:
      return analysis.hessian(self.loss, theta)
    function = models.ACTIVATIONS[self.activation]
    return analysis.mlp_hessian(self.unravel(theta), function, self.inputs, self.targets)


def make_problem(config: Any, widths: str) -> Problem:
  """Returns the fit of the target by networks of `widths`, or by your own.

  UserError for a network of your own that computes in float32 whatever it is given.
  """
  model = make_model(config, widths)
  x, y = map(jnp.asarray, data.function_data(config.target, config.num_points, dtype=np.float64))
  shapes = models.parameter_shapes(model, (1, 1))
  example = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, np.float64), shapes)
  got = jax.eval_shape(functools.partial(models.apply, model), example, x).dtype
  if got != jnp.float64:
    raise UserError("model", f"{widths} with outputs in {got} for weights and inputs in float64",
                    "float64: a gradient of 1e-6 is not told from zero in less",
                    "leave the dtype of its layers to its inputs")  # fmt: skip
  activation = config.activation if isinstance(model, models.MLP) else ""
  return Problem(model, activation, x, y, pytrees.unravel_like(example), SLOPES.get(activation))


def make_model(config: Any, widths: str) -> Any:
  """Returns the network of `widths`, or your own: one input, one output."""
  return models.make_mlp(widths, 1, (1,), activation=config.activation, batch_last=True)


def num_parameters(widths: str) -> int:
  """Returns P."""
  return models.count_parameters(models.make_mlp(widths, 1, (1,)), (1, 1))


def make_within(problem: Problem) -> Within:
  """Returns (theta [P], held) -> Hessian [P, P] and Jacobian [N, P], the held normals taken out."""

  @jax.jit
  def whole(theta: jax.Array) -> tuple[jax.Array, jax.Array]:
    return problem.hessian(theta), problem.jacobian(theta)

  @jax.jit
  def flat(theta: jax.Array, held: jax.Array) -> tuple[jax.Array, jax.Array]:
    normals = kinks.held_normals(held, kinks.extend(problem.inputs)).T
    hessian = kinks.hold(problem.hessian(theta), held, problem.inputs)
    return hessian, kinks.project_normals(problem.jacobian(theta).T, normals).T

  @jax.jit
  def curved(theta: jax.Array, held: jax.Array) -> tuple[jax.Array, jax.Array]:
    params, slope = problem.unravel(theta), problem.slope or 0.0
    network = held_kinks.make_network(params, problem.inputs, problem.targets, slope)
    return held_kinks.within(network, theta, held)

  def within(theta: np.ndarray, held: np.ndarray) -> tuple[jax.Array, jax.Array]:
    if not (held >= 0).any():
      return whole(theta)
    return flat(theta, held) if len(problem.hidden) == 1 else curved(theta, held)

  return within


def make_search(
  config: Any, problem: Problem
) -> Callable[[jax.Array, jax.Array], dict[str, jax.Array]]:
  """Returns (theta [P] float64, tolerance) -> where the search ends."""

  options = {"max_iterations": config.max_iterations, "loss_tolerance": config.loss_tolerance}

  def search(theta: jax.Array, tolerance: jax.Array) -> dict[str, jax.Array]:
    if problem.slope is None:
      plain = lm.minimize(problem.residuals, theta, jacobian=problem.jacobian, tolerance=tolerance,
                          **options)  # fmt: skip
      fields = plain._asdict() | {"stationarity": plain.gradient_norm}
      return {name: fields[name] for name in FOUND} | {
        "held": jnp.full(max(1, sum(problem.hidden)), -1)
      }
    minimize = kink_search.minimize if len(problem.hidden) == 1 else piece_search.minimize
    point = minimize(problem.unravel(theta), problem.inputs, problem.targets, slope=problem.slope,
                     tolerance=tolerance, **options)  # fmt: skip
    fields = point._asdict() | {"params": pytrees.ravel(point.params)[0]}
    return {name: fields[name] for name in (*FOUND, "held")}

  return search


class Tools(NamedTuple):
  """A problem with what is compiled for it once, and used on the runs and on the way there."""

  problem: Problem
  search: Callable[[np.ndarray, np.ndarray], dict[str, np.ndarray]]  # members of `make_search`
  within: Within
  batch_size: int  # members that go through one program


def make_tools(config: Any) -> Tools:
  """Returns the tools of the networks of `widths`; UserError where they cannot be searched."""
  problem = make_problem(config, config.widths)
  mapped = devices.map_members(make_search(config, problem))
  most = min(config.num_runs, ROUND * devices.make_mesh().size)

  def search(starts: np.ndarray, tolerances: np.ndarray) -> dict[str, np.ndarray]:
    """Searches [B], `most` at a time, so that one program serves every B."""
    found = []
    for rows in np.array_split(np.arange(len(starts)), -(-len(starts) // most)):
      # What fills up ends at once. Items are spread, so that no device gets only those.
      filled = np.concatenate([rows, np.full(most - len(rows), rows[-1])])
      limits = np.where(np.arange(most) < len(rows), tolerances[filled], np.inf)
      order = np.argsort(np.arange(most) % devices.make_mesh().size, kind="stable")
      ends = jax.device_get(mapped(jnp.asarray(starts[filled[order]]), jnp.asarray(limits[order])))
      back = np.argsort(order)[: len(rows)]
      found.append({name: values[back] for name, values in ends.items()})
    return {name: np.concatenate([part[name] for part in found]) for name in found[0]}

  return Tools(problem, search, make_within(problem), most)


def search_runs(
  config: Any, monitor: Monitor, tools: Tools, trained: np.ndarray
) -> dict[str, np.ndarray]:
  """Returns what `Result` keeps of every run's search and of the spectrum where it ended.

  And `stationarity`, the steepest slope downhill there.
  """
  look = make_look(tools.problem, tools.within)

  def measure(rows: np.ndarray) -> dict[str, Any]:
    rows = np.unique(rows)  # without those that fill up the last batch
    tolerances = np.full(len(rows), config.grad_tolerance)
    found = tools.search(trained[rows].astype(np.float64), tolerances)
    looked = in_threads(look, list(zip(found["params"], found["held"])))
    return found | {name: np.stack([one[name] for one in looked]) for name in looked[0]}

  found = monitor.map("search", measure, config.num_runs, batch_size=tools.batch_size)
  return found | {"rtols": zeros.RTOLS}


def make_look(
  problem: Problem, within: Within | None = None
) -> Callable[[tuple[np.ndarray, np.ndarray]], dict[str, Any]]:
  """Returns (theta [P], held [H]) -> certificate, spectrum, and its zeros explained.

  `within` is `make_within(problem)`, of which there may be one already.
  """
  gradient, within = jax.jit(jax.grad(problem.loss)), within or make_within(problem)
  residuals_of = jax.jit(problem.residuals)
  normals_of = jax.jit(lambda held: kinks.held_normals(held, kinks.extend(problem.inputs)))

  def look(point: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    theta, held = point
    params = problem.unravel(theta)
    hessian, jacobian = map(np.asarray, within(theta, held))
    residuals = np.asarray(residuals_of(jnp.asarray(theta)))
    values = kinks.held_eigenvalues(np.linalg.eigvalsh(hessian), int((held >= 0).sum()))
    if problem.slope is None:
      norm = certificate = float(np.linalg.norm(gradient(jnp.asarray(theta))))
    else:
      certify = kinks.certify if len(problem.hidden) == 1 else pieces.certify
      proof = certify(params, problem.inputs, problem.targets, slope=problem.slope)
      certificate, norm = proof.norm, proof.gradient_norm
    if problem.slope is not None and len(problem.hidden) == 1:
      q = zeros.residual_couplings(params, residuals, problem.inputs, slope=problem.slope)
      normals = np.asarray(normals_of(jnp.asarray(held)))
      q = np.linalg.norm(q - np.sum(q * normals, axis=1, keepdims=True) * normals, axis=1)
      rest = np.append(q, -q)
    else:
      rest = np.linalg.eigvalsh(hessian - 2 / len(residuals) * jacobian.T @ jacobian)
    dead, scalings = 0, 0
    if problem.hidden:
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
  model = make_model(config, widths)
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
                                      chunk_size=max(1, *epochs))  # fmt: skip
    return chunk(state, x, y)[0]

  train = devices.map_members(go_on, num_shared=2)
  state = jax.vmap(lambda params: full_batch.start_state(params, optimizer))(start)
  weights = []
  for epoch in epochs:
    state = train(x, y, state, jnp.full(runs, epoch))
    weights.append(np.asarray(state.train.params))
  return np.stack(weights)


def in_threads(function: Callable[[Any], Any], items: list[Any]) -> list[Any]:
  """Returns the function of each item, computed side by side: LAPACK lets other threads run."""
  x64 = jnp.result_type(float) == jnp.float64  # a context manager may have set it for this thread

  def compute(item: Any) -> Any:
    with jax.enable_x64(x64):
      return function(item)

  on_cpu = jax.default_backend() == "cpu"
  with ThreadPoolExecutor(jax.local_device_count() if on_cpu else min(usable_cores(), 8)) as pool:
    return list(pool.map(compute, items))
