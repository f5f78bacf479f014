"""Settings, result, and the computation."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hw1_jax import analysis, data, devices, models, rng, training
from hw1_jax.loops import Monitor
from hw1_jax.runs.settings import setting
from hw1_jax.training import losses

from .. import settings as shared


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(shared.ImageSettings):
  """Settings; the defaults are the long report's."""

  widths: str = shared.mlps("500")
  activation: str = shared.activation()
  loss: str = shared.loss("cross_entropy")
  learning_rate: float = shared.learning_rate(1e-3)
  weight_decay: float = shared.weight_decay(1e-4)
  batch_sizes: tuple[int, ...] = setting(
    (10, 385, 760, 1135, 1510), "examples a step, one training each", minimum=1, unique=True
  )
  num_epochs: int = shared.num_epochs(5)
  num_steps: int | None = setting(
    None, "compare also after about so many steps, at whole epochs; none: do not", minimum=1
  )
  num_runs: int = shared.num_runs(3)


PERFORMANCE = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")


class Result(NamedTuple):
  """M runs, B batch sizes. Losses in nats, accuracies in [0, 1]; pixels of x are in [0, 1].

  Each dict has `PERFORMANCE` (after training, exact means over the whole sets), "jacobian" and
  "loss_gradient" (means over the test set), "gradient_norm" (global, mean over all steps),
  "last_gradient_norm" (over the last epoch's), "tensor_norm" (mean over the parameter tensors of
  each one's norm, over all steps) and "run_train_loss" (running mean over all epochs), [M, B].
  """

  batch_sizes: np.ndarray  # [B] int
  equal_epochs: dict[str, np.ndarray]  # after num_epochs epochs
  epoch_steps: np.ndarray  # [B] int, the steps that these are
  steps: np.ndarray  # [B] int, steps of `equal_steps`; 0 without --num_steps
  num_test: np.ndarray  # [] int, test examples
  equal_steps: dict[str, np.ndarray] = {}  # absent without --num_steps  # noqa: RUF012


def equal_step_plan(num_steps: int, batch_size: int, num_examples: int) -> tuple[int, int]:
  """Returns (examples to train on, epochs) that make about `num_steps` steps.

  An epoch of more steps is cut: to the first examples, as many as these steps take once.
  """
  epoch_steps = -(-num_examples // batch_size)
  if epoch_steps > num_steps:
    return num_steps * batch_size, 1
  return num_examples, max(1, round(num_steps / epoch_steps))


@functools.cache
def map_sensitivity(model: Any, loss: losses.Loss) -> Callable[..., dict[str, jax.Array]]:
  """Returns jitted `(images, labels, params) -> means` of `analysis.make_sensitivity`, [M]."""
  fast = isinstance(model, models.MLP)
  make = analysis.make_mlp_sensitivity if fast else analysis.make_sensitivity
  return devices.map_members(make(model, loss=loss), num_shared=2)


def run(config: Config, images: data.ImageData, monitor: Monitor) -> Result:
  """Returns performance and sensitivities for all batch sizes."""
  model = models.make_mlp(
    config.widths, images.num_classes, images.train_images.shape[1:], activation=config.activation
  )
  optimizer = config.make_optimizer(config.learning_rate, config.weight_decay)
  loss = config.make_loss()
  keys = rng.member_keys(config.seed, config.num_runs)
  measure = map_sensitivity(model, loss)
  evaluate = training.map_evaluate(model, loss, same_labels=True)
  train_set, test_set = (
    tuple(map(jnp.asarray, pair))
    for pair in (
      (images.train_images, images.train_labels),
      (images.test_images, images.test_labels),
    )
  )

  def train(name: str, batch_size: int, examples: int, epochs: int) -> dict[str, np.ndarray]:
    task = training.ImageTraining(model, optimizer, batch_size, epochs, loss, gradient_norm=True)
    seen = data.subset(images, examples, None)
    trained = training.train_images(monitor, name, task, seen, keys)
    fit = {f"train_{k}": v for k, v in evaluate(*train_set, trained.params).items()}
    norms = trained.history["gradient_norm"]
    measured = {
      **fit,
      **{key: trained.history[key][:, -1] for key in PERFORMANCE[2:]},
      **measure(*test_set, trained.params),
      "gradient_norm": norms.mean(axis=1),
      "last_gradient_norm": norms[:, -1],
      "tensor_norm": trained.history["tensor_norm"].mean(axis=1),
      "run_train_loss": trained.history["train_loss"].mean(axis=1),
    }
    return {key: np.asarray(value) for key, value in measured.items()}

  by_epochs, by_steps, steps = [], [], []
  total = len(images.train_labels)
  for size in config.batch_sizes:
    by_epochs.append(train(f"batch {size}", size, total, config.num_epochs))
    if config.num_steps:
      examples, epochs = equal_step_plan(config.num_steps, size, total)
      steps.append(epochs * -(-examples // size))
      same = (examples, epochs) == (total, config.num_epochs)
      name = f"batch {size}, {steps[-1]} steps"
      by_steps.append(by_epochs[-1] if same else train(name, size, examples, epochs))
  sizes = np.array(config.batch_sizes)

  def stack(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {key: np.stack([part[key] for part in parts], axis=1) for key in parts[0]}

  return Result(
    sizes,
    stack(by_epochs),
    config.num_epochs * -(-total // sizes),
    np.array(steps or [0] * len(sizes)),
    np.asarray(len(images.test_labels)),
    stack(by_steps) if by_steps else {},
  )
