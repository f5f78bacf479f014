"""Members (seeds, runs, targets) over devices: independent computations side by side.

Each device works through its share of the members. In the loop form a member's computation is the
very program that a single run would execute, so a member's bits do not depend on how many run
together. In the vmap form all members of a device advance together, which is what a GPU wants.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

PyTree = Any
AXIS = "members"


def make_mesh(num_devices: int | None = None) -> jax.sharding.Mesh:
  """Returns a one-axis mesh over the first `num_devices` devices (all by default)."""
  devices = jax.devices()
  if num_devices is not None and not 1 <= num_devices <= len(devices):
    raise ValueError(f"num_devices: got {num_devices}, expected 1 to {len(devices)}")
  devices = devices[:num_devices]
  return jax.make_mesh(
    (len(devices),), (AXIS,), axis_types=(jax.sharding.AxisType.Auto,), devices=devices
  )


def map_members(
  function: Callable[..., PyTree],
  *,
  num_shared: int = 0,
  num_devices: int | None = None,
  form: str = "auto",
) -> Callable[..., PyTree]:
  """Returns jitted `(*shared, *stacked) -> stacked outputs` of `function(*shared, *member)`.

  Args:
    function: of `num_shared` arguments that all members share, then one member's arguments.
    num_shared: how many leading arguments have no member axis; they are copied to every device.
    num_devices: how many devices to use; all by default.
    form: "loop" (one member after the other on each device), "vmap", or "auto": the loop on CPU,
      where small products vectorize badly over members, vmap elsewhere.
  """
  if form not in ("auto", "loop", "vmap"):
    raise ValueError(f"form: got {form!r}, expected auto, loop or vmap")
  mesh = make_mesh(num_devices)
  if form == "auto":
    form = "loop" if jax.default_backend() == "cpu" else "vmap"

  def share_of_device(shared: tuple, stacked: tuple) -> PyTree:
    if form == "vmap":
      return jax.vmap(functools.partial(function, *shared))(*stacked)
    return jax.lax.map(lambda member: function(*shared, *member), stacked)

  over_devices = jax.shard_map(
    share_of_device,
    mesh=mesh,
    in_specs=(PartitionSpec(), PartitionSpec(AXIS)),
    out_specs=PartitionSpec(AXIS),
    check_vma=False,
  )

  @jax.jit
  def mapped(*args: PyTree) -> PyTree:
    shared, stacked = args[:num_shared], args[num_shared:]
    num_members = jax.tree.leaves(stacked)[0].shape[0]
    padding = -num_members % mesh.size  # the last member again; dropped below
    padded = jax.tree.map(lambda leaf: _pad_members(leaf, padding), stacked)
    outputs = over_devices(shared, padded)
    return jax.tree.map(lambda leaf: leaf[:num_members], outputs)

  return mapped


def _pad_members(leaf: jax.Array, padding: int) -> jax.Array:
  if padding == 0:
    return leaf
  return jnp.concatenate([leaf, jnp.repeat(leaf[-1:], padding, axis=0)])
