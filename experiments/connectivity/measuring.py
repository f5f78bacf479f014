"""Loss and accuracy of all pairs on a way between their networks, and distances."""

from typing import Any

import jax
import numpy as np

from hw1_jax import analysis, data, devices, models


def make_measure(model: models.MLP, images: data.ImageData) -> Any:
  """Returns `(corners, coordinates [A, D]) -> {CURVE: [M, A]}`; corners' leaves are [M, ...]."""
  mapped = devices.map_members(
    lambda inputs, labels, coordinates, *corners: analysis.surface.make_surface_mlp(model)(
      inputs, labels, analysis.surface.stack(*corners), coordinates
    ),
    num_shared=3,
  )
  sets = {
    "train": (images.train_images, images.train_labels),
    "test": (images.test_images, images.test_labels),
  }

  def measure(corners: tuple[Any, ...], coordinates: jax.Array) -> dict[str, np.ndarray]:
    return {
      f"{name}_{key}": np.asarray(values)
      for name, (inputs, labels) in sets.items()
      for key, values in mapped(inputs, labels, coordinates, *corners).items()
    }

  return measure


def distances(ones: Any, others: Any) -> np.ndarray:
  """Returns the 2-norms [M], float64, between members of leaves [M, ...].

  On the host: the same bits wherever the leaves lie, so after a resume, too.
  """
  total: Any = 0.0
  for one, other in zip(jax.tree.leaves(ones), jax.tree.leaves(others)):
    difference = np.asarray(one, np.float64) - np.asarray(other, np.float64)
    total = total + np.sum(difference.reshape(len(difference), -1) ** 2, axis=1)
  return np.sqrt(total)


def moved_units(permutations: dict[str, np.ndarray]) -> float:
  """Returns the share of the hidden units, a mean over layers, that permutations move."""
  return float(np.mean([np.mean(p != np.arange(len(p))) for p in permutations.values()]))
