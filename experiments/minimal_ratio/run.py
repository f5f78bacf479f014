"""Settings, result, and the computation."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hw1_jax import analysis, data, devices, models, pytrees, rng
from hw1_jax.analysis import critical_points
from hw1_jax.loops import Monitor
from hw1_jax.runs.memory import Need
from hw1_jax.runs.settings import setting
from hw1_jax.training import full_batch, losses

from .. import settings as shared

METHODS = {"descend": critical_points.descend, "nearest": critical_points.nearest}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(shared.FunctionSettings):
  """Settings; the defaults are the long report's where it has any."""

  widths: str = shared.widths("500")
  target: str = shared.targets("sinc")
  learning_rate: float = shared.learning_rate(1e-3)
  weight_decay: float = shared.weight_decay(
    1e-4, "L2 term of the training; not part of the loss whose Hessian is taken"
  )
  num_epochs: int = shared.num_epochs(2500, "epochs of training before the search")
  num_runs: int = shared.num_runs(100, "trainings, as the assignment asks")
  method: str = setting(
    "descend", "search downhill, or for the nearest critical point", choices=tuple(METHODS)
  )
  grad_tolerance: float = setting(
    1e-6, "the gradient is almost zero at this 2-norm; our choice", above=0
  )
  max_iterations: int = setting(
    20, "search steps, each with one Hessian and one eigendecomposition", minimum=1, maximum=100_000
  )
  rtol: float = setting(
    analysis.ZERO_RTOL, "eigenvalues up to rtol * max|lambda| count as zero", minimum=0, below=1
  )


# P x P matrices of a search at its peak, on every device: 8.1 at P = 2101 (11.9 with "nearest"),
# but 18.9 GB on two devices where 8 gave 14.4, so a third more is asked for.
MATRICES = {"descend": 11, "nearest": 16}


def memory_need(config: Config) -> Need:
  """Returns what the exact Hessians and their eigenvectors take: P^2 each, on every device."""
  widths = models.parse_widths(config.widths)
  size = models.count_parameters(models.MLP((*widths, 1)), (1, 1))
  devices = min(jax.local_device_count(), config.num_runs)
  return Need(
    float(devices * MATRICES[config.method] * size**2 * np.dtype(np.float64).itemsize),
    "widths",
    config.widths,
    f"exact Hessians of {size} parameters on {devices} devices",
    "use a smaller net or fewer devices, num_devices=1; experiments.gradient_norm needs no Hessian",
  )


class Result(NamedTuple):
  """M runs, E epochs, I search steps, P parameters; float64 except the training's float32."""

  training_loss: np.ndarray  # [M, E] MSE, before each epoch's update
  trained_params: np.ndarray  # [M, P] float32, where the search starts
  params: np.ndarray  # [M, P] where the Hessian was taken
  loss: np.ndarray  # [M] MSE at `params`
  gradient_norm: np.ndarray  # [M] ||grad loss||_2 at `params`
  loss_before: np.ndarray  # [M] at `trained_params`
  gradient_norm_before: np.ndarray  # [M]
  converged: np.ndarray  # [M] bool: gradient_norm <= grad_tolerance
  kink_limited: np.ndarray  # [M] bool: the stationary point of the linear piece lies outside it
  iterations: np.ndarray  # [M] int, search steps taken
  pattern_changes: np.ndarray  # [M] int, activations switched on or off over the search
  eigenvalues: np.ndarray  # [M, P] of the Hessian at `params`, ascending
  dead_units: np.ndarray  # [M] int, hidden units that are inactive at every point (ReLU only)


def run(config: Config, monitor: Monitor) -> Result:
  """Returns M trainings, each followed by its search and the spectrum where that ended."""
  keys = rng.member_keys(config.seed, config.num_runs)
  widths = models.parse_widths(config.widths)
  model = models.MLP((*widths, 1), config.activation, batch_last=True)
  forward, start = models.ravelled(model, rng.streams(keys, "init"), (1, 1))
  x, y = data.function_data(config.target, config.num_points)
  trained = full_batch.fit(
    monitor,
    "train",
    lambda params, x, y: losses.mse(forward(params, x), y),
    start,
    [jnp.stack([values] * config.num_runs) for values in (x, y)],
    config.make_optimizer(config.learning_rate, config.weight_decay),
    num_epochs=config.num_epochs,
  )
  search = devices.map_members(make_search(config, model))
  found = monitor.map(
    "search",
    lambda rows: search(jnp.asarray(trained.params[rows], jnp.float64)),
    config.num_runs,
    batch_size=devices.make_mesh().size,
  )
  return Result(training_loss=trained.history["loss"], trained_params=trained.params, **found)


def make_search(config: Config, model: models.MLP) -> Any:
  """Returns theta [P] float64 -> dict of what `Result` keeps of one run's search."""
  x, y = (jnp.asarray(v) for v in data.function_data(config.target, config.num_points,
                                                     dtype=np.float64))  # fmt: skip
  activation = models.ACTIVATIONS[config.activation]
  example = pytrees.cast(models.init(model, jax.random.key(0), (1, 1)), jnp.float64)
  unravel = pytrees.ravel(example)[1]

  def loss(theta: jax.Array) -> jax.Array:
    return losses.mse(models.apply(model, unravel(theta), x), y)

  def hessian(theta: jax.Array) -> jax.Array:
    return analysis.mlp_hessian(unravel(theta), activation, x, y)

  def active(theta: jax.Array) -> jax.Array:  # [units, N] bool
    hidden, rows = x.T, []
    for i in range(len(model.features) - 1):
      layer = unravel(theta)[f"dense_{i:02d}"]
      z = layer["kernel"].T @ hidden + layer["bias"][:, None]
      rows.append(z > 0)
      hidden = shared.activation(z)
    return jnp.concatenate(rows)

  piecewise = config.activation in ("relu", "leaky_relu")

  def search(theta: jax.Array) -> dict[str, jax.Array]:
    point = METHODS[config.method](
      loss,
      hessian,
      theta,
      grad_tolerance=config.grad_tolerance,
      max_iterations=config.max_iterations,
      pattern=(lambda theta: active(theta).ravel()) if piecewise else None,
    )
    fields = point._asdict()
    del fields["history"]
    dead = jnp.sum(~jnp.any(active(point.params), axis=1)) if config.activation == "relu" else 0
    return {**fields, "dead_units": jnp.asarray(dead)}

  return search
