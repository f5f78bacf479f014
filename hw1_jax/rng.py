"""Named random streams: independent keys derived from one seed, the same on every machine."""

import zlib

import jax


def stream(key: jax.Array, name: str) -> jax.Array:
  """Returns the key of the stream `name` under `key`.

  Streams are distinguished by the CRC-32 of their name (Python's `hash` changes from process to
  process), so adding a stream never changes the draws of another one.
  """
  return jax.random.fold_in(key, zlib.crc32(name.encode()))


def member_keys(seed: int, num_members: int) -> jax.Array:
  """Returns one key a member, [M]: member m's key depends on `seed` and m, never on M."""
  key = jax.random.key(seed)
  return jax.vmap(lambda m: jax.random.fold_in(key, m))(jax.numpy.arange(num_members))


def streams(keys: jax.Array, name: str) -> jax.Array:
  """Returns the stream `name` under each of `keys` [M]."""
  return jax.vmap(lambda key: stream(key, name))(keys)
