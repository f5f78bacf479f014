"""PCA of weight snapshots: known answers, scikit-learn's, and the rules for signs and layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.decomposition import PCA

from hw1_jax import analysis, models, pytrees


def points_of(shape, seed=0, offset=0.0):
  generator = np.random.default_rng(seed)
  scales = np.geomspace(3, 0.1, shape[1])  # distinct variances, so that components are unique
  return offset + generator.standard_normal(shape) * scales


def test_known_answer():
  """Two pairs on perpendicular axes, 3 and 1 from the centre: variances 18 and 2 of 20."""
  axes = np.array([[0.6, 0.8, 0.0], [-0.8, 0.6, 0.0]])
  points = np.array([5.0, -2.0, 7.0]) + np.array([[3, 0], [-3, 0], [0, 1], [0, -1]]) @ axes
  projection = analysis.pca(points)
  np.testing.assert_allclose(projection.explained, [0.9, 0.1], rtol=1e-12)
  np.testing.assert_allclose(
    np.abs(projection.coordinates), [[3, 0], [3, 0], [0, 1], [0, 1]], atol=1e-7
  )
  np.testing.assert_allclose(projection.coordinates.sum(axis=0), 0, atol=1e-12)


@pytest.mark.parametrize("shape", [(12, 200), (40, 7), (5, 5)])
@pytest.mark.parametrize("num_components", [1, 2, 4])
def test_equals_scikit_learn(shape, num_components):
  points = points_of(shape, offset=3.0)
  reference = PCA(num_components, svd_solver="full").fit(points)
  projection = analysis.pca(points, num_components)
  expected = reference.transform(points)
  signs = np.sign(np.sum(expected * projection.coordinates, axis=0))
  np.testing.assert_allclose(projection.coordinates, expected * signs, atol=1e-8)
  np.testing.assert_allclose(projection.explained, reference.explained_variance_ratio_, rtol=1e-8)


def test_equals_numpy_covariance_eigenvectors():
  points = points_of((30, 6))
  values, vectors = np.linalg.eigh(np.cov(points.T))
  expected = (points - points.mean(axis=0)) @ vectors[:, ::-1][:, :2]
  projection = analysis.pca(points)
  np.testing.assert_allclose(np.abs(projection.coordinates), np.abs(expected), atol=1e-8)
  np.testing.assert_allclose(projection.explained, values[::-1][:2] / values.sum(), rtol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_largest_coordinate_of_a_component_is_positive(seed):
  for points in (points_of((9, 20), seed), -points_of((9, 20), seed)):
    coordinates = analysis.pca(points, 3).coordinates
    largest = np.abs(coordinates).argmax(axis=0)
    assert (coordinates[largest, np.arange(3)] > 0).all()


def test_all_components_keep_distances():
  points = points_of((6, 50))
  coordinates = analysis.pca(points, 6).coordinates
  np.testing.assert_allclose(
    np.linalg.norm(coordinates[0] - coordinates[1:], axis=1),
    np.linalg.norm(points[0] - points[1:], axis=1),
    rtol=1e-6,
  )


def test_block_is_only_a_matter_of_memory():
  points = points_of((8, 103))
  whole = analysis.pca(points)
  for block in (1, 10, 103):
    blocked = analysis.pca(points, block=block)
    np.testing.assert_allclose(blocked.coordinates, whole.coordinates, atol=1e-9)
    np.testing.assert_allclose(blocked.explained, whole.explained, rtol=1e-12)


def test_float32_snapshots_are_projected_in_float64():
  """A large common offset costs float32 sums their digits; the projection does not notice."""
  points = (1e3 + points_of((10, 50))).astype(np.float32)
  projection = analysis.pca(points)
  expected = analysis.pca(points.astype(np.float64) - 1e3)
  assert projection.coordinates.dtype == np.float64
  np.testing.assert_allclose(projection.coordinates, expected.coordinates, atol=1e-8)


def test_equal_points_explain_nothing():
  projection = analysis.pca(np.ones((4, 3)))
  assert (projection.explained == 0).all()
  assert (projection.coordinates == 0).all()


@pytest.mark.parametrize(
  ("points", "num_components", "message"),
  [
    (np.ones((2, 3, 4)), 2, r"points: got shape \(2, 3, 4\), expected \[S, P\]"),
    (np.ones((3, 4)), 4, "num_components: got 4, expected 1 to 3"),
    (np.ones((3, 4)), 0, "num_components: got 0, expected 1 to 3"),
  ],
)
def test_wrong_arguments(points, num_components, message):
  with pytest.raises(ValueError, match=message):
    analysis.pca(points, num_components)


def test_first_layer_leads_the_parameter_vector():
  """optimization_path takes layer 1 as the vector's first entries: bias, then the kernel."""
  params = models.init(models.MLP((4, 3, 2)), jax.random.key(0), (1, 5))
  layer = params["dense_00"]
  first = jnp.concatenate([layer["bias"], layer["kernel"].ravel()])
  assert pytrees.size(layer) == 4 + 5 * 4
  np.testing.assert_array_equal(pytrees.ravel(params)[0][: pytrees.size(layer)], first)
