"""The spectra of one network's Hessian and Gauss-Newton matrix, as one function."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from hw1_jax import analysis, models
from hw1_jax.training import losses


class Batch(NamedTuple):
  """The examples of the loss, on the device, twice."""

  pair: tuple[Any, Any]  # images, labels
  packed: analysis.Packed  # the same for a fully connected network


def make_batch(images: jax.Array, labels: jax.Array | np.ndarray) -> Batch:
  """Returns images and labels for what follows."""
  pair = images, labels
  return jax.device_put(Batch(pair, analysis.pack(pair)))


def make_loss(model: Any) -> Callable[..., jax.Array]:
  """Returns (params, (images, labels)) -> mean cross-entropy in nats."""
  return lambda params, batch: losses.cross_entropy(models.apply(model, params, batch[0]), batch[1])


def make_operators(model: Any) -> dict[str, Callable[..., analysis.Operator]]:
  """Returns "hessian" and "gauss_newton": (params, Batch) -> Operator of that loss."""

  if isinstance(model, models.MLP):
    phi = models.ACTIVATIONS[model.activation]

    def of(params: Any, batch: Batch, gauss_newton: bool) -> analysis.Operator:
      return analysis.mlp_operator(
        params, phi, losses.cross_entropy, batch.packed, gauss_newton=gauss_newton
      )
  else:
    loss, function = make_loss(model), functools.partial(models.apply, model)

    def of(params: Any, batch: Batch, gauss_newton: bool) -> analysis.Operator:
      if gauss_newton:
        return analysis.gauss_newton_operator(function, losses.cross_entropy, params, batch.pair)
      return analysis.hessian_operator(loss, params, batch.pair)

  return {
    "hessian": functools.partial(of, gauss_newton=False),
    "gauss_newton": functools.partial(of, gauss_newton=True),
  }


@functools.cache  # of the same network it is compiled once
def make_top(model: Any, *, num_steps: int, num_largest: int) -> Callable[..., Any]:
  """Returns jitted `(Batch, params, key) -> {"top", "residuals"}`, Hessian, [k]."""
  hessian = make_operators(model)["hessian"]

  def top(batch: Batch, params: Any, key: jax.Array) -> dict[str, jax.Array]:
    pairs = analysis.extreme_eigenpairs(
      hessian(params, batch), key, num_largest=num_largest, num_smallest=0, num_steps=num_steps
    )
    return {"top": pairs.values, "residuals": pairs.residuals}

  return jax.jit(top)


@functools.cache
def make_measure(
  model: Any, *, num_probes: int, num_steps: int, num_largest: int
) -> Callable[..., dict[str, jax.Array]]:
  """Returns jitted `(Batch, params, key) -> {"loss", "hessian_nodes", ...}`."""
  loss, operators = make_loss(model), make_operators(model)

  def measure(batch: Batch, params: Any, key: jax.Array) -> Any:
    found = {"loss": loss(params, batch.pair)}
    for name, make in operators.items():
      values = analysis.describe_spectrum(
        make(params, batch),
        key,
        num_probes=num_probes,
        num_steps=num_steps,
        num_largest=num_largest,
      )
      found |= {f"{name}_{key}": value for key, value in values.items()}
    return found

  return jax.jit(measure)
