"""Named random streams: independent keys derived from one seed, the same on every machine."""

import zlib
from typing import Any

import jax
import numpy as np


def stream(key: jax.Array, name: str) -> jax.Array:
  """Returns the key of the stream `name` under `key`.

  Streams are distinguished by the CRC-32 of their name (Python's `hash` changes from process to
  process), so adding a stream never changes the draws of another one.
  """
  return jax.random.fold_in(key, zlib.crc32(name.encode()))


def member_keys(seed: int, num_members: int) -> jax.Array:
  """Returns one key a member, [M]: member m's key depends on `seed` and m, never on M."""
  return _fold_in_numbers(jax.random.key(seed), np.arange(num_members, dtype=np.uint32))


def streams(keys: jax.Array, name: str) -> jax.Array:
  """Returns the stream `name` under each of `keys` [M]."""
  return fold_in_all(keys, zlib.crc32(name.encode()))


def fold_in_all(keys: jax.Array, number: int) -> jax.Array:
  """Returns each of `keys` [M] with the same number, below 2^32, folded in."""
  return _fold_in_keys(keys, np.uint32(number))


def separate(keys: jax.Array) -> list[jax.Array]:
  """Returns the keys [M] one by one; by way of the host, where nothing has to be compiled."""
  return [as_keys(one, keys) for one in np.asarray(jax.random.key_data(keys))]


def as_keys(data: Any, example: jax.Array) -> jax.Array:
  """Returns what `jax.random.key_data` returned as keys again, of the generator of `example`."""
  return jax.random.wrap_key_data(data, impl=jax.random.key_impl(example))


# One program each: op by op they would be four, compiled one by one.
_fold_in_numbers = jax.jit(jax.vmap(jax.random.fold_in, (None, 0)))
_fold_in_keys = jax.jit(jax.vmap(jax.random.fold_in, (0, None)))
