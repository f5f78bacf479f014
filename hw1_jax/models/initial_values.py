"""Initial values: fresh parameters of one network, and of many members at once."""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.extend import core

from hw1_jax import devices, rng

Params = Any
SHORTEST = 1 << 10  # what a bias is cut from; our choice: drawn in no time, by one program


def uniform_fan_in(fan_in: int) -> Callable[..., jax.Array]:
  """Returns an initializer: uniform in +-1/sqrt(fan_in), PyTorch's default for both leaves."""
  bound = fan_in**-0.5

  def initialize(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
    # Drawn as a vector: the same bits, and XLA compiles its loop in a third of the time.
    return jax.random.uniform(key, (math.prod(shape),), dtype, -bound, bound).reshape(shape)

  return initialize


def init(model: nn.Module, key: jax.Array, input_shape: Sequence[int]) -> Params:
  """Returns fresh parameters, float32, for inputs of `input_shape` (with the example axis)."""
  return _initializer(model, tuple(input_shape))(key)


def init_members(model: nn.Module, keys: jax.Array, input_shape: Sequence[int]) -> Params:
  """Returns fresh parameters of M members, leaves [M, ...], member m's drawn from keys[m].

  Where every leaf is uniform, as in this package's networks, it is cut from a longer vector: the
  same bits as `init`'s, by programs that all architectures share. Seven of them with three members
  took 2.2 s of processor time, and 10.3 with a program each.
  """
  draws = _draws(model, tuple(input_shape)) if _cuttable(keys) else None
  if draws is None:
    return _members_initializer(model, tuple(input_shape))(keys)
  return jax.tree.map(lambda draw: draw.members(keys), draws)


@functools.cache
def _initializer(model: nn.Module, input_shape: tuple[int, ...]) -> Callable[[jax.Array], Params]:
  # One program: op by op it would be 15 for a small MLP and 60 for a CNN, compiled one by one.
  return jax.jit(_fresh(model, input_shape))


def _fresh(model: nn.Module, input_shape: tuple[int, ...]) -> Callable[[jax.Array], Params]:
  return lambda key: model.init(key, jnp.zeros(input_shape, jnp.float32))["params"]


@functools.cache
def _members_initializer(
  model: nn.Module, input_shape: tuple[int, ...]
) -> Callable[[jax.Array], Params]:
  # One member after the other: XLA compiles that in three quarters of vmap's time.
  return devices.jit_draws(lambda keys: jax.lax.map(_initializer(model, input_shape), keys))


@dataclasses.dataclass(frozen=True)
class _Draw:
  """A leaf [*shape], uniform in [low, high), whose key is the member's with `number` folded in."""

  number: int
  low: float
  high: float
  shape: tuple[int, ...]

  def members(self, keys: jax.Array) -> jax.Array:
    """Returns the leaf of each member, [M, *shape]."""
    size = math.prod(self.shape)
    draw = _uniform_vector(max(SHORTEST, 1 << (size - 1).bit_length()))
    leaf_keys = rng.separate(rng.fold_in_all(keys, self.number))
    values = np.empty((len(leaf_keys), size), np.float32)
    for m, key in enumerate(leaf_keys):
      values[m] = np.asarray(draw(key, self.low, self.high))[:size]
    return jax.device_put(values.reshape(-1, *self.shape))


@functools.cache
def _uniform_vector(length: int) -> Callable[[jax.Array, float, float], jax.Array]:
  """Returns (key, low, high) -> uniform values [length]; its start is what a shorter one has."""

  def draw(key: jax.Array, low: jax.Array, high: jax.Array) -> jax.Array:
    return jax.random.uniform(key, (length,), jnp.float32, low, high)

  return devices.jit_draws(draw)


def _cuttable(keys: jax.Array) -> bool:
  """Returns whether a vector's start has the bits of a shorter vector drawn from the same key."""
  if isinstance(keys, jax.core.Tracer) or not jax.threefry_partitionable.value:
    return False
  is_key = jnp.issubdtype(keys.dtype, jax.dtypes.prng_key)
  return is_key and str(jax.random.key_impl(keys)) == "threefry2x32"


@functools.cache
def _draws(model: nn.Module, input_shape: tuple[int, ...]) -> Params | None:
  """Returns how `init` draws each leaf, as tracing shows it; None where one is not a `_Draw`."""
  trace = jax.make_jaxpr(_fresh(model, input_shape), return_shape=True)
  closed, params = trace(jax.eval_shape(jax.random.key, 0))
  made_by = {made: step for step in closed.jaxpr.eqns for made in step.outvars}
  draws = [_draw_of(leaf, made_by, closed.jaxpr.invars[0]) for leaf in closed.jaxpr.outvars]
  return None if None in draws else jax.tree.unflatten(jax.tree.structure(params), draws)


def _draw_of(leaf: Any, made_by: dict[Any, core.JaxprEqn], members_key: Any) -> _Draw | None:
  """Returns the draw that made a leaf: reshape(uniform(fold_in(key, number), low, high))."""

  def step(value: Any, name: str) -> core.JaxprEqn | None:
    made = None if isinstance(value, core.Literal) else made_by.get(value)
    is_it = made is not None and name in (made.primitive.name, made.params.get("name"))
    return made if is_it else None

  reshape = step(leaf, "reshape")
  uniform = step(reshape.invars[0] if reshape else leaf, "_uniform")
  if uniform is None or leaf.aval.dtype != jnp.float32:
    return None
  key, *bounds = uniform.invars
  fold_in = step(key, "random_fold_in")
  if fold_in is None or fold_in.invars[0] is not members_key:
    return None
  numbers = [one.val for one in (fold_in.invars[1], *bounds) if isinstance(one, core.Literal)]
  if len(numbers) < 3:
    return None
  number, low, high = numbers
  return _Draw(int(number), float(low), float(high), leaf.aval.shape)
