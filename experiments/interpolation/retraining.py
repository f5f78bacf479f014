"""The long report's variant: each interpolated model is trained on before it is measured."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hw1_jax import data, pytrees, rng, training
from hw1_jax.loops import Monitor

CURVES = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")


def retrain(
  task: training.ImageTraining,
  images: data.ImageData,
  m: int,
  keys: jax.Array,
  alphas: np.ndarray,
  start: Any,
  end: Any,
) -> dict[str, np.ndarray]:
  """Returns the four curves, [1, A] each, of run m's interpolated models after training on."""
  ends = pytrees.member(start, m), pytrees.member(end, m)
  points = jnp.asarray(alphas, jnp.float32)
  thetas = jax.vmap(lambda alpha: pytrees.lerp(*ends, alpha))(points)
  # One data order for all alphas: the curve then shows alpha, not the order's noise.
  own = jnp.stack([rng.stream(keys[m], "retrain")] * len(alphas))
  trained = training.train_images(
    Monitor(), f"run {m + 1}: train on", task, images, own, initial_params=thetas
  )
  sources = ("exact_train_loss", "exact_train_accuracy", "test_loss", "test_accuracy")
  return {name: trained.history[source][None, :, -1] for name, source in zip(CURVES, sources)}
