"""What one training carries from step to step."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

PyTree = Any


class TrainState(NamedTuple):
  """What one training carries from step to step."""

  params: PyTree
  opt_state: PyTree
  epoch: jax.Array  # int32 []: epochs done


def init_state(params: PyTree, optimizer: optax.GradientTransformation) -> TrainState:
  """Returns the state before the first step."""
  return TrainState(params, optimizer.init(params), jnp.zeros((), jnp.int32))
