"""How the models are trained, and the long report's variant: trained on before measured."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hw1_jax import data, pytrees, rng, training
from hw1_jax.loops import Monitor

CURVES = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
# As the report's author records them: while the interpolated model is trained on.
RUNNING = ("running_train_loss", "running_train_accuracy")


def retrain(
  task: training.ImageTraining,
  images: data.ImageData,
  m: int,
  keys: jax.Array,
  alphas: np.ndarray,
  start: Any,
  end: Any,
) -> dict[str, np.ndarray]:
  """Returns CURVES after training on, RUNNING in the last epoch of it: [1, A] each, of run m."""
  ends = pytrees.member(start, m), pytrees.member(end, m)
  points = jnp.asarray(alphas, jnp.float32)
  thetas = jax.vmap(lambda alpha: pytrees.lerp(*ends, alpha))(points)
  # One data order for all alphas: the curve then shows alpha, not the order's noise.
  own = jnp.stack([rng.stream(keys[m], "retrain")] * len(alphas))
  trained = training.train_images(
    Monitor(), f"run {m + 1}: train on", task, images, own, initial_params=thetas
  )
  sources = ("exact_train_loss", "exact_train_accuracy", "test_loss", "test_accuracy",
             "train_loss", "train_accuracy")  # fmt: skip
  names = (*CURVES, *RUNNING)
  return {name: trained.history[source][None, :, -1] for name, source in zip(names, sources)}


def make_task(
  config: Any, model: Any, index: int, prefix: str, num_epochs: int
) -> training.ImageTraining:
  """Returns how a model is trained; settings with `prefix`, of the training or pair `index`."""
  rate, decay = (config.value(prefix + name, index) for name in ("learning_rate", "weight_decay"))
  return training.ImageTraining(
    model,
    config.make_optimizer(rate, decay),
    config.value(f"{prefix}batch_size", index),
    num_epochs,
    config.make_loss(),
    evaluate_train=prefix == "retrain_",
  )


def padded(first: np.ndarray, second: np.ndarray) -> np.ndarray:
  """Returns two histories [M, E1] and [M, E2] as [M, 2, E]; NaN where one is shorter."""
  longest = max(first.shape[1], second.shape[1])
  both = np.full((len(first), 2, longest), np.nan, np.float32)
  for j, history in enumerate((first, second)):
    both[:, j, : history.shape[1]] = history
  return both
