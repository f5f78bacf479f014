"""All measures of one network, as one function; smaller should mean: generalizes better."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from hw1_jax import analysis, data, devices, models
from hw1_jax.analysis import surface
from hw1_jax.analysis.pac_bayes import SIGMAS
from hw1_jax.training import losses

Tree = Any

NAMES = {  # name -> what the page calls it; all grow with sharpness or size
  "largest": "largest Hessian eigenvalue",
  "trace": "Hessian trace",
  "keskar": "Keskar's sharpness, ε 1e-3",
  "sam": "worst case in a ball (SAM, ρ 0.05)",
  "adaptive": "worst case, adaptive (ASAM, ρ 0.5)",
  "noise": "expected sharpness, σ 0.01",
  "adaptive_noise": "expected sharpness, adaptive, σ 0.1",
  "relative": "relative flatness, last layer",
  "jacobian": "input-Jacobian norm",
  "parameter_norm": "squared norm of the weights",
  "distance": "squared distance from the start",
  "spectral": "log product of spectral norms",
  "frobenius": "log product of Frobenius norms",
  "path": "log path norm",
  "margin": "log 1 / margin² (10th percentile)",
  "spectral_margin": "log spectral product / margin²",
  "pac_bayes": "PAC-Bayes bound on the error",
}
INVARIANT = (  # under rescaling of layers, by theory
  "adaptive", "adaptive_noise", "relative", "jacobian", "spectral", "frobenius", "path", "margin",
  "spectral_margin",
)  # fmt: skip
BOUND_SAMPLES = 16


def sharpness(
  loss: Callable[[Tree], jax.Array],
  params: Tree,
  in_box: jax.Array,
  in_ball: jax.Array,
  noise: jax.Array,
) -> dict[str, jax.Array]:
  """Returns the measures of the loss's rise around the weights; the last three are keys."""
  scales = jax.tree.map(jnp.abs, params)
  steps = {"num_steps": 10}
  balls = (jnp.array([0.05, 0.5]), surface.stack(jax.tree.map(jnp.ones_like, params), scales))
  noises = (jnp.array([0.01, 0.1]), jnp.array([False, True]))  # deviation, adaptive

  def worst(drawn: tuple[Any, Tree]) -> jax.Array:
    return analysis.worst_case_sharpness(loss, params, analysis.ball(*drawn), in_ball, **steps)

  def expected(drawn: tuple[jax.Array, jax.Array]) -> jax.Array:
    deviation, adaptive = drawn
    return analysis.expected_sharpness(
      loss, params, noise, deviation, adaptive=adaptive, num_pairs=8
    ).mean

  # One program for both of each kind.
  sam, adaptive = jax.lax.map(worst, balls)
  plain, scaled = jax.lax.map(expected, noises)
  return {
    "keskar": analysis.keskar_sharpness(loss, params, in_box, **steps),
    "sam": sam,
    "adaptive": adaptive,
    "noise": plain,
    "adaptive_noise": scaled,
  }


@functools.cache
def map_measure(model: models.MLP) -> Callable[..., dict[str, jax.Array]]:
  """Returns `(images, labels, params, initial, keys) -> {name: [M]}`, and what the bound needs.

  Of M networks, on the training set given, labels [M, N]. "errors" [M, J] and "distance" make the
  PAC-Bayes bound, outside of jit.
  """
  sensitivity = analysis.make_mlp_sensitivity(model)
  last = f"dense_{len(model.features) - 1:02d}"

  def batch_loss(params: Tree, batch: tuple[jax.Array, jax.Array]) -> jax.Array:
    return losses.cross_entropy(models.apply(model, params, batch[0]), batch[1])

  def measure(
    images: jax.Array, labels: jax.Array, params: Tree, initial: Tree, key: jax.Array
  ) -> dict[str, jax.Array]:
    batch = (data.as_float(images), labels)
    keys = jax.random.split(key, 8)

    def loss(params: Tree) -> jax.Array:
      return batch_loss(params, batch)

    def of_kernel(kernel: jax.Array) -> jax.Array:
      return loss({**params, last: {**params[last], "kernel": kernel}})

    def error(params: Tree) -> jax.Array:
      return 1 - losses.accuracy(models.apply(model, params, batch[0]), labels)

    operator = analysis.hessian_operator(batch_loss, params, batch)
    pairs = analysis.extreme_eigenpairs(
      operator, keys[0], num_largest=1, num_smallest=0, num_steps=20
    )
    margin = jnp.percentile(analysis.margins(models.apply(model, params, batch[0]), labels), 10)
    log_margin = -2 * jnp.log(jnp.maximum(margin, 1e-6))
    sizes = analysis.weight_norms(params, initial)
    return {
      **sizes,
      "largest": pairs.values[0],
      "trace": analysis.trace_and_norm(operator, keys[1], num_probes=6)[0].mean,
      **sharpness(loss, params, keys[2], keys[3], keys[5]),
      "relative": analysis.relative_flatness(
        of_kernel, params[last]["kernel"], keys[6], num_probes=32
      ).mean,
      "jacobian": sensitivity(images, labels, params)["jacobian"],
      "margin": log_margin,
      "spectral_margin": sizes["spectral"] + log_margin,
      "errors": analysis.perturbed_errors(
        error, params, keys[7], SIGMAS, num_samples=BOUND_SAMPLES
      ),
    }

  return devices.map_members(measure, num_shared=1)
