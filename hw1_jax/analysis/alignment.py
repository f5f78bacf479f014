"""Units of one network in the order of another's: permutations that leave the function as it is.

A hidden layer computes the same when its units are permuted and the next layer's inputs with them.
Two trained networks may differ by such a permutation alone; `match_weights` takes the one away
that brings the weights closest. NumPy float64 throughout.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
import scipy

PyTree = Any


class Axes(NamedTuple):
  """How permutations act on one leaf, seen as an array of `shape`."""

  shape: tuple[int, ...]  # of as many entries as the leaf
  groups: tuple[str | None, ...]  # for each axis, the permutation that reorders it; None: none


Spec = Mapping[str, Axes]  # a leaf's path, `jax.tree_util.keystr`, -> its axes; others stay


class Alignment(NamedTuple):
  """The permutations that bring a network's weights closest to a reference's."""

  permutations: dict[str, np.ndarray]  # group -> [units] int: unit i of the result was unit p[i]
  params: PyTree  # the permuted network: the same function
  distance: float  # 2-norm between it and the reference, over the leaves in the spec
  sweeps: int  # passes over all groups; the last one changed nothing


def layer_spec(params: Mapping[str, Mapping[str, Any]]) -> dict[str, Axes]:
  """Returns the spec of layers {name: {"bias", "kernel"}} applied one after the other.

  In the order of the forward pass as sorted by what leads: convolutions, [height, width, in, out],
  then dense layers, [in, out]. Each layer's outputs, channels or units, are one group, of the
  layer's name; the last layer's stay. A dense layer behind a convolution has its inputs flattened
  from [H, W, channels], so each channel is one input in every H W. `models.MLP` and `models.CNN`
  have this form.

  Raises:
    ValueError: a layer's inputs are not a multiple of the outputs of the one before.

  >>> params = {"dense_00": {"bias": np.zeros(4), "kernel": np.zeros((3, 4))},
  ...           "dense_01": {"bias": np.zeros(2), "kernel": np.zeros((4, 2))}}
  >>> spec = layer_spec(params)
  >>> spec["['dense_00']['bias']"].groups, spec["['dense_01']['bias']"].groups
  (('dense_00',), (None,))
  """
  kinds = {name: np.ndim(layer["kernel"]) for name, layer in params.items()}
  names = sorted(params, key=lambda name: (kinds[name] == 2, name))
  spec: dict[str, Axes] = {}
  before, width = None, 0
  for name in names:
    *window, inputs, outputs = np.shape(params[name]["kernel"])
    group = None if name == names[-1] else name
    repeats = inputs // width if width else 1
    if width and (inputs % width or (window and repeats > 1)):
      raise ValueError(
        f"{name}: got {inputs} inputs, expected those of the layer before it, a multiple of "
        f"{width}; pass a spec of your own"
      )
    channels = width or inputs
    shape = (math.prod(window) * repeats, channels, outputs)
    spec[f"['{name}']['kernel']"] = Axes(shape, (None, before, group))
    spec[f"['{name}']['bias']"] = Axes((outputs,), (group,))
    before, width = group, outputs
  return spec


def permute(params: PyTree, spec: Spec, permutations: Mapping[str, np.ndarray]) -> PyTree:
  """Returns `params` with unit p[i] of each group at place i; leaves keep shape and dtype.

  >>> spec = {"['bias']": Axes((3,), ("units",))}
  >>> permute({"bias": np.array([10, 20, 30])}, spec, {"units": np.array([2, 0, 1])})
  {'bias': array([30, 10, 20])}
  """

  def permuted(path: Any, leaf: Any) -> Any:
    axes = spec.get(jax.tree_util.keystr(path))
    if axes is None:
      return leaf
    array = np.asarray(leaf).reshape(axes.shape)
    for axis, group in enumerate(axes.groups):
      if group is not None:
        array = np.take(array, permutations[group], axis=axis)
    return array.reshape(np.shape(leaf))

  return jax.tree_util.tree_map_with_path(permuted, params)


def match_weights(
  reference: PyTree,
  params: PyTree,
  spec: Spec | None = None,
  *,
  seed: int = 0,
  max_sweeps: int = 100,
) -> Alignment:
  """Returns the permutations of `params` that minimize the distance to `reference`.

  Minimizing ||theta_ref - P theta||^2 is maximizing the inner product. For one group, the others
  held, that is a linear assignment problem, sum_i A[i, p(i)] with A[i, j] the inner product of all
  weights at unit i of the reference and at unit j of `params`, solved exactly. Groups are visited
  in random order until a whole sweep changes nothing. With one group (one hidden layer) the result
  is the global minimum; with several a local one, for the joint problem is NP-hard. Memory: three
  times the networks in float64 and one [units, units] matrix; time units^2 x inputs a layer.
  Source: Ainsworth, Hayase, Srinivasa 2023, Git Re-Basin, algorithm 1 (weight matching).

  Args:
    reference: parameters whose order of units is kept.
    params: of the same structure and shapes.
    spec: what may be permuted; by default `layer_spec(params)`.
    seed: of the order of visits.
    max_sweeps: a bound that the search, which improves with every step, does not reach in practice.

  Raises:
    ValueError: a group has different lengths, a spec names a leaf that is not there, or the search
      did not end in `max_sweeps`.

  Example, for a network that is not ours, by a spec of its own: two hidden units have changed
  places, and are found.

  >>> import numpy as np
  >>> spec = {"['a']": Axes((1, 2), (None, "hidden")), "['b']": Axes((2,), ("hidden",))}
  >>> one = {"a": np.array([[0.5, -2.0]]), "b": np.array([3.0, 1.0])}
  >>> other = {"a": np.array([[-2.0, 0.5]]), "b": np.array([1.0, 3.0])}
  >>> found = match_weights(one, other, spec)
  >>> found.permutations["hidden"], found.params["b"], found.distance
  (array([1, 0]), array([3., 1.]), 0.0)
  """
  spec = layer_spec(params) if spec is None else spec
  lefts, rights = (_arrays(tree, spec) for tree in (reference, params))
  sizes = _group_sizes(spec)
  permutations = {group: np.arange(size) for group, size in sizes.items()}
  generator = np.random.default_rng(seed)
  for sweep in range(1, max_sweeps + 1):
    changed = False
    for group in generator.permutation(sorted(sizes)):
      inner = _inner_products(lefts, rights, spec, permutations, group)
      _, best = scipy.optimize.linear_sum_assignment(inner, maximize=True)
      here, there = (inner[np.arange(len(best)), p].sum() for p in (permutations[group], best))
      if there > here + 1e-12 * abs(here):
        permutations[group], changed = best, True
    if not changed:
      moved = permute(params, spec, permutations)
      squares = [np.sum((lefts[k] - v) ** 2) for k, v in _arrays(moved, spec).items()]
      return Alignment(permutations, moved, float(np.sqrt(sum(squares))), sweep)
  raise ValueError(f"max_sweeps: got {max_sweeps}, expected as many as the search needs; pass more")


def _arrays(tree: PyTree, spec: Spec) -> dict[str, np.ndarray]:
  """Returns the leaves named by the spec, in its shapes, float64."""
  leaves = {
    jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
  }
  missing = sorted(set(spec) - set(leaves))
  if missing:
    raise ValueError(f"spec: got a leaf {missing[0]}, expected one of {', '.join(leaves)}")
  return {path: np.asarray(leaves[path], np.float64).reshape(spec[path].shape) for path in spec}


def _group_sizes(spec: Spec) -> dict[str, int]:
  sizes: dict[str, int] = {}
  for path, axes in spec.items():
    for length, group in zip(axes.shape, axes.groups):
      if group is not None and sizes.setdefault(group, length) != length:
        raise ValueError(
          f"spec: got {length} units of group {group!r} at {path}, expected {sizes[group]}"
        )
  return sizes


def _inner_products(
  lefts: Mapping[str, np.ndarray],
  rights: Mapping[str, np.ndarray],
  spec: Spec,
  permutations: Mapping[str, np.ndarray],
  group: str,
) -> np.ndarray:
  """Returns A [units, units]: unit i of the left with unit j of the right, other groups permuted.

  A leaf with the group on two axes enters at each of them, as in Git Re-Basin.
  """
  total: Any = 0.0
  for path, axes in spec.items():
    for axis, name in enumerate(axes.groups):
      if name != group:
        continue
      right = rights[path]
      for other, p in enumerate(axes.groups):
        if other != axis and p is not None:
          right = np.take(right, permutations[p], axis=other)
      left, right = (np.moveaxis(a, axis, 0) for a in (lefts[path], right))
      total = total + left.reshape(len(left), -1) @ right.reshape(len(right), -1).T
  return total
