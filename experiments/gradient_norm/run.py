"""Settings, result, and the computation."""

import dataclasses
from typing import ClassVar, NamedTuple

import jax.numpy as jnp
import numpy as np

from hw1_jax import data, models, rng
from hw1_jax.loops import Monitor
from hw1_jax.training import full_batch, losses

from .. import settings as shared


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(shared.StoppedSettings):
  """Settings; the defaults are the long report's."""

  measures: ClassVar[int] = 2
  widths: str = shared.mlps("500")
  target: str = shared.targets("sinc")
  loss: str = shared.loss("mse")
  learning_rate: float = shared.learning_rate(1e-3)
  weight_decay: float = shared.weight_decay(1e-4)
  num_epochs: int = shared.num_epochs(2500, "the most epochs")
  num_runs: int = shared.num_runs(8)


class Result(NamedTuple):
  """M runs, E epochs (the longest run's), P parameters."""

  loss: np.ndarray  # [M, E] float32 MSE; column k-1 is epoch k, before its update; NaN: ended
  gradient_norm: np.ndarray  # [M, E] float32, of the loss without the L2 term, over all parameters
  stop_epoch: np.ndarray  # [M] int, epochs trained
  converged: np.ndarray  # [M] bool, the stop rule was met
  initial_params: np.ndarray  # [M, P] float32
  final_params: np.ndarray  # [M, P] float32


def run(config: Config, monitor: Monitor) -> Result:
  """Returns M trainings with loss and gradient norm at every epoch."""
  keys = rng.member_keys(config.seed, config.num_runs)
  model = models.make_mlp(config.widths, 1, (1,), activation=config.activation, batch_last=True)
  forward, start = models.ravelled(model, rng.streams(keys, "init"), (1, 1))
  loss = losses.mean(config.make_loss())
  x, y = data.function_data(config.target, config.num_points)
  fitted = full_batch.fit(
    monitor,
    config.target,
    lambda params, x, y: loss(forward(params, x), y),
    start,
    [jnp.stack([values] * config.num_runs) for values in (x, y)],
    config.make_optimizer(config.learning_rate, config.weight_decay),
    num_epochs=config.num_epochs,
    rule=full_batch.StopRule(config.loss_below, config.change_below),
    measure=full_batch.loss_and_gradient_norm,
  )
  monitor.keep(config.target, models.unravelled(model, fitted.params, (1, 1)), (1,))
  longest = int(fitted.epochs.max())
  return Result(
    loss=fitted.history["loss"][:, :longest],
    gradient_norm=fitted.history["gradient_norm"][:, :longest],
    stop_epoch=np.asarray(fitted.epochs),
    converged=np.asarray(fitted.converged),
    initial_params=np.asarray(start),
    final_params=np.asarray(fitted.params),
  )
