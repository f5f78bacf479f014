"""The spectra of one network's Hessian and Gauss-Newton matrix, as one function."""

from collections.abc import Callable
from typing import Any

import jax

from hw1_jax import analysis, models
from hw1_jax.training import losses


def make_loss(model: Any) -> Callable[..., jax.Array]:
  """Returns (params, (images, labels)) -> mean cross-entropy in nats."""
  return lambda params, batch: losses.cross_entropy(models.apply(model, params, batch[0]), batch[1])


def make_top(model: Any, *, num_steps: int, num_largest: int) -> Callable[..., Any]:
  """Returns jitted `((images, labels), params, key) -> {"top", "residuals"}`, Hessian, [k]."""
  loss = make_loss(model)

  def top(batch: tuple[jax.Array, jax.Array], params: Any, key: jax.Array) -> dict[str, jax.Array]:
    operator = analysis.hessian_operator(loss, params, batch)
    pairs = analysis.extreme_eigenpairs(
      operator, key, num_largest=num_largest, num_smallest=0, num_steps=num_steps
    )
    return {"top": pairs.values, "residuals": pairs.residuals}

  return jax.jit(top)


def make_measure(
  model: Any, *, num_probes: int, num_steps: int, num_largest: int
) -> Callable[..., dict[str, jax.Array]]:
  """Returns jitted `((images, labels), params, key) -> {"loss", "hessian_nodes", ...}`."""

  def function(params: Any, images: jax.Array) -> jax.Array:
    return models.apply(model, params, images)

  loss = make_loss(model)

  def measure(batch: tuple[jax.Array, jax.Array], params: Any, key: jax.Array) -> Any:
    operators = {
      "hessian": analysis.hessian_operator(loss, params, batch),
      "gauss_newton": analysis.gauss_newton_operator(function, losses.cross_entropy, params, batch),
    }
    found = {"loss": loss(params, batch)}
    for name, operator in operators.items():
      values = analysis.describe_spectrum(
        operator, key, num_probes=num_probes, num_steps=num_steps, num_largest=num_largest
      )
      found |= {f"{name}_{key}": value for key, value in values.items()}
    return found

  return jax.jit(measure)
