"""What one training carries from step to step."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from hw1_jax import devices

PyTree = Any


class TrainState(NamedTuple):
  """What one training carries from step to step."""

  params: PyTree
  opt_state: PyTree
  epoch: jax.Array  # int32 []: epochs done


def init_state(params: PyTree, optimizer: optax.GradientTransformation) -> TrainState:
  """Returns the state before the first step."""
  return TrainState(params, optimizer.init(params), jnp.zeros((), jnp.int32))


def init_states(params: PyTree, optimizer: optax.GradientTransformation) -> TrainState:
  """Returns the states of M members, leaves [M, ...], before their first step."""
  return _map_init_state(optimizer)(params)


@functools.cache
def _map_init_state(optimizer: optax.GradientTransformation) -> Callable[[PyTree], TrainState]:
  return devices.jit_draws(jax.vmap(functools.partial(init_state, optimizer=optimizer)))
