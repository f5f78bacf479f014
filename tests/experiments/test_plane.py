"""Where training paths start and run: projections and one order of the units."""

import jax
import numpy as np
import pytest

from experiments.optimization_path import plane
from hw1_jax import analysis

DRAWS = np.random.default_rng(0)


def test_the_points_of_a_plane_lie_where_it_puts_them():
  points = DRAWS.normal(size=(6, 200_000 // 1000))
  found = analysis.pca(points)
  assert plane.project(points, found.coordinates, points[:3]) == pytest.approx(
    found.coordinates[:3]
  )


def test_a_point_off_the_plane_is_projected_at_a_right_angle():
  points = np.array([[-1.0, 0, 0], [1, 0, 0], [0, -2, 0], [0, 2, 0]])
  found = analysis.pca(points)
  at = plane.project(points, found.coordinates, np.array([[1.0, 2.0, 7.0]]))[0]
  assert sorted(np.abs(at)) == pytest.approx([1.0, 2.0])


def make_run(order):
  """Returns (params, vector) of a network of three hidden units, in that order."""
  first = {"bias": np.array([0.1, 0.2, 0.3])[order], "kernel": np.array([[1.0, 5, 9]])[:, order]}
  last = {"bias": np.zeros(1), "kernel": np.array([[2.0], [4], [8]])[order]}
  tree = {"dense_00": first, "dense_01": last}
  return tree, np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def test_runs_that_differ_by_the_order_of_their_units_end_in_one_place():
  runs = [make_run(order) for order in ([0, 1, 2], [2, 0, 1])]
  params = jax.tree.map(lambda *leaves: np.stack(leaves), *(tree for tree, _ in runs))
  ends = np.stack([vector for _, vector in runs])
  snapshots = np.stack([ends - 1, ends], axis=1)  # each run moves by the same, whatever its order
  found = plane.in_one_order(params, ends - 2, snapshots)
  assert plane.distances(ends)[0, 1] > 1
  assert found.distance == pytest.approx(np.zeros((2, 2)), abs=1e-12)
  assert found.coordinates[0] == pytest.approx(found.coordinates[1], abs=1e-6)
  assert found.start[0] == pytest.approx(
    3 * found.coordinates[0, 0], abs=1e-6
  )  # two steps before the end


def test_a_network_without_layers_of_ours_has_no_order():
  found = plane.in_one_order({"w": np.ones((2, 3))}, np.ones((2, 3)), np.ones((2, 4, 3)))
  assert np.isnan(found.distance).all()
  assert found.coordinates.shape == (2, 4, 2)
