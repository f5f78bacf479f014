"""Members (seeds, runs, targets) over devices: independent computations side by side.

Each device works through its share of the members. In the loop form a member's computation is the
very program that a single run would execute, so a trained member's bits do not depend on how many
run together. (XLA compiles a loop of one member differently: means over a large set, which
decide nothing, have been seen to move by one unit in the last place.) In the vmap form all
members of a device advance together, which is what a GPU wants.

With several processes (`distributed`) the devices are those of all of them; every process passes
the same arguments and gets all of the outputs.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg  # noqa: F401  JAX's LAPACK, loaded before its threads are counted
from jax.sharding import NamedSharding, PartitionSpec
from threadpoolctl import ThreadpoolController

from hw1_jax import pytrees, rng
from hw1_jax.errors import UserError

PyTree = Any
AXIS = "members"
SPLIT = PartitionSpec(AXIS)


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
  draws: bool = False,
) -> Callable[..., PyTree]:
  """Returns jitted `(*shared, *stacked) -> stacked outputs` of `function(*shared, *member)`.

  Args:
    function: of `num_shared` arguments that all members share, then one member's arguments.
    num_shared: how many leading arguments have no member axis; they are copied to every device,
      at every call unless `share` has done it before.
    num_devices: how many devices to use; all by default, but no more than there are members.
    form: "loop" (one member after the other on each device), "vmap", or "auto": the loop on CPU,
      where small products vectorize badly over members, vmap elsewhere.
    draws: as in `jit_draws`.

  A function that solves or decomposes matrices belongs within `one_lapack_thread`; where it does so
  to several at once, or is vmapped on several CPU devices, by `one_by_one`.
  """
  if form not in ("auto", "loop", "vmap"):
    raise ValueError(f"form: got {form!r}, expected auto, loop or vmap")
  most = make_mesh(num_devices).size
  if form == "auto":
    form = "loop" if jax.default_backend() == "cpu" else "vmap"

  def share_of_device(shared: tuple, stacked: tuple) -> PyTree:
    if form == "vmap":
      return jax.vmap(functools.partial(function, *shared))(*stacked)
    return jax.lax.map(lambda member: function(*shared, *member), stacked)

  @functools.cache
  def on_devices(size: int) -> tuple[jax.sharding.Mesh, Callable[..., PyTree]]:
    mesh = make_mesh(size)
    over_devices = jax.shard_map(
      share_of_device,
      mesh=mesh,
      in_specs=(PartitionSpec(), SPLIT),
      out_specs=SPLIT,
      check_vma=False,
    )
    return mesh, jit_draws(over_devices) if draws else jax.jit(over_devices)

  def mapped(*args: PyTree) -> PyTree:
    shared, stacked = args[:num_shared], args[num_shared:]
    num_members = jax.tree.leaves(stacked)[0].shape[0]
    several = jax.process_count() > 1
    mesh, compute = on_devices(most if several else min(most, num_members))
    padding = -num_members % mesh.size  # the last member again; dropped below
    if padding:
      stacked = _pad(stacked, num_members, padding)
    if several:
      shared, stacked = (_on_all_processes(part, mesh) for part in (shared, stacked))
      # Devices exchange nothing while any of them computes: on CPU one that waits for another would
      # hold a thread that the other one's matrix product may be waiting for.
      outputs = jax.block_until_ready(compute(shared, stacked))
      outputs = jax.tree.map(lambda leaf: leaf.addressable_data(0), _gather(mesh)(outputs))
    else:
      outputs = compute(_place(shared, mesh, PartitionSpec()), _place(stacked, mesh, SPLIT))
      outputs = jax.device_get(outputs) if padding else outputs
    return jax.tree.map(lambda leaf: leaf[:num_members], outputs) if padding else outputs

  return mapped


def jit_draws(function: Callable[..., PyTree]) -> Callable[..., PyTree]:
  """Returns jitted `function`, which draws or copies, compiled in 0.3 to 0.6 of the time.

  On CPU, where XLA's way to compile arithmetic well takes longer than such a program runs. What is
  drawn or copied has the same bits; sums may differ in their last ones. Within another jit, which
  compiles all in one way, it is `function`.
  """
  options = {"xla_cpu_use_fusion_emitters": False, "xla_backend_optimization_level": 1}
  alone = jax.jit(function, compiler_options=options if jax.default_backend() == "cpu" else None)

  def run(*args: PyTree) -> PyTree:
    return (function if _is_traced(args) else alone)(*args)

  return run


def _is_traced(tree: PyTree) -> bool:
  return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(tree))


def _pad(tree: PyTree, num_members: int, padding: int) -> PyTree:
  """Returns `tree` with the last member `padding` times more."""
  rows = np.minimum(np.arange(num_members + padding), num_members - 1)
  if _is_traced(tree):
    return jax.tree.map(lambda leaf: leaf[rows], tree)
  return pytrees.take(tree, rows)


def _place(tree: PyTree, mesh: jax.sharding.Mesh, spec: PartitionSpec) -> PyTree:
  """Returns `tree` laid out over a mesh.

  By way of the host, because JAX would compile a program for every array that it divides.
  """
  sharding = NamedSharding(mesh, spec)

  def movable(leaf: Any) -> Any:
    if not isinstance(leaf, jax.Array) or isinstance(leaf, jax.core.Tracer):
      return leaf
    if leaf.sharding.is_equivalent_to(sharding, leaf.ndim):
      return leaf
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
      data = jax.device_put(np.asarray(jax.random.key_data(leaf)), sharding)
      return rng.as_keys(data, leaf)
    return np.asarray(leaf)

  return jax.device_put(jax.tree.map(movable, tree), sharding)


@functools.cache
def _gather(mesh: jax.sharding.Mesh) -> Callable[[PyTree], PyTree]:
  return jax.jit(lambda tree: tree, out_shardings=NamedSharding(mesh, PartitionSpec()))


def on_all_devices(function: Callable[..., PyTree]) -> Callable[..., PyTree]:
  """Returns jitted `function`, executed by every device at once on the same arguments.

  Inside, the devices tell their parts by `jax.lax.axis_index(AXIS)` and come together by
  `jax.lax.psum(..., AXIS)`; what is returned must be the same on all of them.

  Raises:
    UserError: on CPU a process has several devices. One that waits for another holds a thread
      that the other one's product may need, and both stop for good; one device a process is safe.
  """
  if jax.default_backend() == "cpu" and jax.local_device_count() > 1:
    raise UserError(
      "split_batches",
      True,
      "one CPU device a process",
      "use num_devices=1 and several processes, or split_batches=false",
    )
  mesh = make_mesh()
  everywhere = NamedSharding(mesh, PartitionSpec())
  compute = jax.jit(
    jax.shard_map(
      function, mesh=mesh, in_specs=PartitionSpec(), out_specs=PartitionSpec(), check_vma=False
    )
  )

  def run(*args: PyTree) -> PyTree:
    several = jax.process_count() > 1
    placed = _on_all_processes(args, mesh) if several else jax.device_put(args, everywhere)
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), compute(*placed))

  return run


@contextlib.contextmanager
def one_lapack_thread() -> Iterator[None]:
  """Gives NumPy's, SciPy's and JAX's LAPACK one thread each while its block or function runs.

  For members that solve or decompose matrices: every core is a device of its own and computes its
  share, and a LAPACK that threads below that keeps the cores waiting for each other. Six searches
  of 1.2.3 and their spectra took 15.4 s with two threads and 8.9 s with one (2 cores). Its last
  digits depend on the number of threads, too, so every experiment runs within. JAX computes while
  Python goes on: fetch the results inside.
  """
  with ThreadpoolController().limit(limits=1, user_api="blas"):
    yield


def one_by_one(function: Callable[..., PyTree]) -> Callable[..., PyTree]:
  """Returns `function`, whose copies under vmap are computed one after another on CPU.

  For LAPACK's decompositions and solves: jaxlib 0.10 hands a stack of matrices to the threads of
  the CPU from one of them and waits there. Where as many stacks are under way as there are threads
  (on 2 cores: on two devices, or at two places of one program), all wait, for ever. No reverse-mode
  derivatives.

  >>> import jax.numpy as jnp
  >>> invert = one_by_one(jnp.linalg.inv)
  >>> jax.vmap(invert)(jnp.array([[[2.0]], [[4.0]]])).ravel().tolist()
  [0.5, 0.25]
  """
  # Of arrays alone: it would make arrays of the defaults of `function` as well.
  alone = jax.custom_batching.sequential_vmap(lambda *args: function(*args))

  def run(*args: PyTree) -> PyTree:
    return jax.lax.platform_dependent(*args, cpu=alone, default=function)

  return run


def share(tree: PyTree, num_members: int) -> PyTree:
  """Returns `tree` on every device that `num_members` members use, for repeated use as shared."""
  if jax.process_count() > 1:
    return _on_all_processes(tree, make_mesh())
  return _place(tree, make_mesh(min(num_members, len(jax.devices()))), PartitionSpec())


def round_size(num_members: int) -> int:
  """Returns how many members to advance at a time so that no device idles.

  That is all of them where they divide evenly over the devices, or where there are fewer members
  than devices; otherwise one a device.
  """
  num_devices = len(jax.devices())
  return num_members if num_members % num_devices == 0 else min(num_members, num_devices)


def _on_all_processes(tree: PyTree, mesh: jax.sharding.Mesh) -> PyTree:
  """Returns arrays that every process holds whole as arrays over the mesh of all processes."""
  sharding = NamedSharding(mesh, PartitionSpec())

  def spread(leaf: Any) -> jax.Array:
    if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
      return leaf
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
      return rng.as_keys(spread(jax.random.key_data(leaf)), leaf)
    host = np.asarray(leaf)
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

  return jax.tree.map(spread, tree)
