"""Settings, result, computation."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hw1_jax import analysis, data
from hw1_jax.loops import Monitor
from hw1_jax.runs.memory import Need
from hw1_jax.runs.settings import setting
from hw1_jax.training import full_batch

from .. import settings as shared
from . import path, points, saddles

# Where the way to the minimum is looked at, and where the search for saddles starts: epochs.
PATH_EPOCHS = (0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10_000)  # those before the last, and the last
SADDLE_EPOCHS = (0, 10, 100, 1000)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(shared.FunctionSettings):
  """Settings; the defaults are the long report's where it has any."""

  widths: str = shared.mlps("500")
  target: str = shared.targets("sinc")
  learning_rate: float = shared.learning_rate(1e-3)
  weight_decay: float = shared.weight_decay(
    1e-4, "L2 term of the training; not part of the loss whose Hessian is taken"
  )
  num_epochs: int = shared.num_epochs(2500, "epochs of training before the search")
  num_runs: int = shared.num_runs(100, "trainings, as the assignment asks")
  grad_tolerance: float = setting(
    1e-6, "the gradient is almost zero at this 2-norm; our choice", above=0
  )
  loss_tolerance: float = setting(
    1e-14, "a fit this good is over, too: smooth networks go on falling for ever", minimum=0
  )
  max_iterations: int = setting(
    5000, "search steps, each one small linear system", minimum=1, maximum=1_000_000
  )
  rtol: float = setting(
    analysis.ZERO_RTOL, "eigenvalues up to rtol * max|lambda| count as zero", minimum=0, below=1
  )
  path_runs: int = setting(3, "runs, if so many, whose way is looked at", minimum=1, maximum=1000)
  saddle_widths: str = shared.widths("20", "hidden widths of the networks whose saddles are sought")
  saddle_activation: str = shared.activation("tanh")
  saddle_runs: int = setting(20, "saddles sought from each epoch", minimum=1, maximum=10_000)

  def __post_init__(self) -> None:
    super().__post_init__()
    enough = int(self.saddle_widths.split("-")[0]) >= 2
    self.require(
      enough, "saddle_widths", "2 units or more in the first layer, to embed fewer in it"
    )


def memory_need(config: Config) -> Need:
  """Returns what the exact Hessians of the larger networks take: eight P^2 on every device.

  The matrix, 1.5 more while it is built, its copy within the held kinks, and the eigenvalue
  solver's two, and a third more for what lies between. The search itself is smaller. Measured with
  3001 parameters on 2 devices: 0.92 GB above the start, of 1.14 asked for.
  """
  sizes = {
    name: points.num_parameters(getattr(config, name)) for name in ("widths", "saddle_widths")
  }
  name = max(sizes, key=lambda name: sizes[name])
  size = sizes[name]
  runs = config.num_runs if name == "widths" else config.saddle_runs
  devices = min(jax.local_device_count(), runs)
  search = analysis.levenberg_marquardt.memory_bytes(config.num_points, size)
  return Need(
    float(devices * (8 * size**2 * np.dtype(np.float64).itemsize + search)),
    name,
    getattr(config, name),
    f"exact Hessians of {size} parameters on {devices} devices",
    "use a smaller net or fewer devices, num_devices=1; experiments.gradient_norm needs no Hessian",
  )


class Result(NamedTuple):
  """M runs, E epochs, P parameters, R tolerances, K runs and S points of the path, Q, W saddles.

  float64 but for the training's float32.
  """

  training_loss: np.ndarray  # [M, E] MSE, before each epoch's update
  trained_params: np.ndarray  # [M, P] float32, where the search starts
  params: np.ndarray  # [M, P] where the Hessian was taken
  held: np.ndarray  # [M, H] int: the example whose kink a hidden unit is held on, or -1; own: H=1
  loss: np.ndarray  # [M] MSE at `params`
  gradient_norm: np.ndarray  # [M] ||grad loss||_2 of the piece at `params`
  certificate: (
    np.ndarray
  )  # [M] smallest norm in the hull of the adjacent pieces' gradients (Clarke)
  loss_before: np.ndarray  # [M] at `trained_params`
  gradient_norm_before: np.ndarray  # [M]
  end: np.ndarray  # [M] int: why the search ended, of `levenberg_marquardt.ENDS`
  iterations: np.ndarray  # [M] int, search steps
  eigenvalues: np.ndarray  # [M, P] of the Hessian within the held kinks, ascending; then NaN
  rtols: np.ndarray  # [R] of the counts
  counts: np.ndarray  # [M, R, 3] int: positive, zero, negative eigenvalues at each rtol
  rank: np.ndarray  # [M, R] int, of (2/N) J'J: eigenvalues above rtol max|lambda|
  residual: np.ndarray  # [M, R] int, eigenvalues beyond that of the residual part of the Hessian
  unexplained: np.ndarray  # [M, R] int: zeros beyond the nullity of J
  no_effect: np.ndarray  # [M] int: parameters that change no output
  scalings: np.ndarray  # [M] int: (leaky) ReLU units with a scaling symmetry
  dead_units: np.ndarray  # [M] int, hidden units that are off at every point (ReLU only)
  output_range: np.ndarray  # [M] largest less smallest output; 0 for a constant network
  path_epochs: np.ndarray  # [S] int: epochs of training; -1 for points of the search
  path_gradient_norm: np.ndarray  # [K, S]; in the search the steepest slope downhill
  path_loss: np.ndarray  # [K, S]
  path_eigenvalues: np.ndarray  # [K, S, P]
  saddle_epochs: np.ndarray  # [Q] int: epochs of training before the search for the nearest point
  saddle_loss: np.ndarray  # [Q, runs]
  saddle_gradient_norm: np.ndarray  # [Q, runs] at the points found
  saddle_eigenvalues: np.ndarray  # [Q, runs, P of the smaller networks]
  embedded_widths: np.ndarray  # [W] int: units of narrower networks whose minima are embedded
  embedded_loss: np.ndarray  # [W, runs]
  embedded_gradient_norm: np.ndarray  # [W, runs]
  embedded_eigenvalues: np.ndarray  # [W, runs, P of the smaller networks]


def run(config: Config, monitor: Monitor) -> Result:
  """Returns M trainings, the points of zero gradient behind them, the way there, and saddles."""
  tools = points.make_tools(config)  # refuses a network that cannot be searched, first
  start, loss = points.make_training(config, config.widths, config.num_runs)
  x, y = data.function_data(config.target, config.num_points)
  trained = full_batch.fit(
    monitor,
    "train",
    loss,
    start,
    [jnp.stack([values] * config.num_runs) for values in (x, y)],
    config.make_optimizer(config.learning_rate, config.weight_decay),
    num_epochs=config.num_epochs,
  )
  epochs = [epoch for epoch in PATH_EPOCHS if epoch < config.num_epochs] + [config.num_epochs]
  found = points.search_runs(config, monitor, tools, trained.params)
  return Result(
    training_loss=trained.history["loss"],
    trained_params=trained.params,
    **path.measure(config, monitor, tools, epochs, trained.params, found),
    **saddles.find_nearest(config, monitor, SADDLE_EPOCHS),
    **saddles.find_embedded(config, monitor),
  )
