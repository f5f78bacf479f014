"""Settings, result, and the computation."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hw1_jax import data, models, rng
from hw1_jax.loops import Monitor
from hw1_jax.training import full_batch, losses

from .. import settings as shared


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(shared.StoppedSettings):
  """Settings; the defaults are the long report's."""

  widths: tuple[str, ...] = shared.mlps(
    ("5-10-10-10-10-10-5", "10-18-15-4", "190"), "hidden widths of each model"
  )
  activation: str = shared.activation("leaky_relu")
  targets: tuple[str, ...] = shared.targets(("sinc", "sign_sine"), "functions to fit")
  loss: str = shared.loss("mse")
  learning_rate: tuple[float, ...] = shared.learning_rate(
    (0.0012, 0.0012, 0.0011, 0.009, 0.009, 0.009),
    "one, one per model, or one per target and model (all models of the first target first)",
  )
  weight_decay: float = shared.weight_decay(1e-4)
  num_epochs: int = shared.num_epochs(25_000, "the most epochs")
  num_runs: int = shared.num_runs(8)

  def __post_init__(self) -> None:
    super().__post_init__()
    counts = (1, len(self.widths), len(self.widths) * len(self.targets))
    self.require(
      len(self.learning_rate) in counts,
      "learning_rate",
      f"1, {counts[1]} (models) or {counts[2]} (targets x models) values",
    )

  def rate(self, target: int, model: int) -> float:
    """Returns the learning rate of a model on a target, both by index."""
    rates = self.learning_rate
    if len(rates) == len(self.widths) * len(self.targets):
      return rates[target * len(self.widths) + model]
    return rates[model] if len(rates) == len(self.widths) else rates[0]


class Result(NamedTuple):
  """Keys of the dicts: 'TARGET/model_I', I from 1; M runs, P_I parameters, N points."""

  x: np.ndarray  # [N] float32
  y: dict[str, np.ndarray]  # key 'TARGET': [N] float32
  initial_params: dict[str, np.ndarray]  # [M, P_I] float32
  final_params: dict[str, np.ndarray]  # [M, P_I] float32, after the last epoch's update
  loss: dict[str, np.ndarray]  # [M, E] float32 MSE; column k-1 is epoch k, before its update
  stop_epoch: dict[str, np.ndarray]  # [M] int, epochs trained
  converged: dict[str, np.ndarray]  # [M] bool, the stop rule was met
  prediction: dict[str, np.ndarray]  # [M, N] float32, with the final parameters


def run(config: Config, monitor: Monitor) -> Result:
  """Returns all trainings: every target, model and run."""
  result: dict[str, dict[str, np.ndarray]] = {name: {} for name in Result._fields[1:]}
  rule = full_batch.StopRule(config.loss_below, config.change_below)
  loss = losses.mean(config.make_loss())
  keys = rng.member_keys(config.seed, config.num_runs)
  for t, target in enumerate(config.targets):
    x, y = data.function_data(target, config.num_points)
    result["y"][target] = np.asarray(y[:, 0])
    for i, spec in enumerate(config.widths):
      model = models.make_mlp(spec, 1, (1,), activation=config.activation, batch_last=True)
      forward, start = models.ravelled(model, rng.streams(keys, f"init {i}"), (1, 1))
      key = f"{target}/model_{i + 1}"
      fitted = full_batch.fit(
        monitor,
        key,
        lambda params, x, y, forward=forward: loss(forward(params, x), y),
        start,
        [jnp.stack([values] * config.num_runs) for values in (x, y)],
        config.make_optimizer(config.rate(t, i), config.weight_decay),
        num_epochs=config.num_epochs,
        rule=rule,
      )
      monitor.keep(key, models.unravelled(model, fitted.params, (1, 1)), (1,))
      outputs = jax.jit(jax.vmap(forward, in_axes=(0, None)))(fitted.params, x)
      result["initial_params"][key] = np.asarray(start)
      result["final_params"][key] = np.asarray(fitted.params)
      result["loss"][key] = fitted.history["loss"][:, : int(fitted.epochs.max())]
      result["stop_epoch"][key] = np.asarray(fitted.epochs)
      result["converged"][key] = np.asarray(fitted.converged)
      result["prediction"][key] = np.asarray(outputs[..., 0])
  return Result(np.asarray(x[:, 0]), **result)
