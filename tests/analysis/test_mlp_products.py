"""Products of a fully connected network's curvature matrices against matrices written out."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hw1_jax import analysis, models, pytrees
from hw1_jax.analysis import packing
from hw1_jax.training import losses

NETS = [((4,), "relu"), ((6, 4), "relu"), ((5, 3, 2), "tanh"), ((18, 4), "softplus")]
OPERATORS = {
  "hessian": analysis.mlp_operator,
  "gauss_newton": functools.partial(analysis.mlp_operator, gauss_newton=True),
}


@pytest.fixture(autouse=True)
def _x64():
  with jax.enable_x64(True):
    yield


def network(widths, activation, count=37):
  model = models.MLP(widths, activation)
  params = pytrees.cast(models.init(model, jax.random.key(1), (1, 3, 1)), jnp.float64)
  rng = np.random.default_rng(2)
  images = jnp.asarray(rng.normal(size=(count, 3, 1)))
  return model, params, (images, jnp.asarray(rng.integers(0, widths[-1], count)))


def written_out(model, params, batch, loss):
  """Returns both matrices by `jax.hessian` and `jax.jacobian`."""
  theta, unravel = pytrees.ravel(params)

  def outputs(vector):
    return models.apply(model, unravel(vector), batch[0])

  @jax.jit
  def both(theta):
    jacobian = jax.jacobian(outputs)(theta).reshape(-1, theta.size)
    size = len(jacobian)
    curve = jax.hessian(lambda f: loss(f.reshape(len(batch[1]), -1), batch[1]))(
      outputs(theta).ravel()
    ).reshape(size, size)
    return jax.hessian(lambda v: loss(outputs(v), batch[1]))(theta), jacobian.T @ curve @ jacobian

  return dict(zip(OPERATORS, both(theta)))


@pytest.mark.parametrize(("widths", "activation"), NETS)
def test_products_equal_the_matrices_written_out(widths, activation):
  model, params, batch = network(widths, activation)
  expected = written_out(model, params, batch, losses.cross_entropy)
  phi = models.ACTIVATIONS[activation]

  @jax.jit
  def products(params, batch):
    made = [
      {name: make(params, phi, losses.cross_entropy, batch, batch_size=size)
       for name, make in OPERATORS.items()} for size in (10, None)
    ]  # fmt: skip
    return [{name: one.product(jnp.eye(one.size)) for name, one in each.items()} for each in made]

  for found in products(params, batch):
    for name in OPERATORS:
      np.testing.assert_allclose(found[name], expected[name], atol=1e-13)
  assert np.abs(expected["hessian"] - expected["gauss_newton"]).max() > 1e-3 or len(widths) == 1


def test_any_loss_of_the_outputs_will_do():
  model, params, (images, _) = network((5, 3), "tanh")
  targets = jnp.asarray(np.random.default_rng(5).normal(size=(len(images), 3)))
  expected = written_out(model, params, (images, targets), losses.mse)
  for name, make in OPERATORS.items():

    @jax.jit
    def product(params, make=make):
      operator = make(params, "tanh", losses.mse, (images, targets), batch_size=20)
      return operator.product(jnp.eye(operator.size))

    np.testing.assert_allclose(product(params), expected[name], atol=1e-13)


@pytest.mark.parametrize("small", [0, 10_000_000])
@pytest.mark.parametrize(("widths", "activation"), [*NETS, ((3,), "tanh")])
def test_packed_data_give_the_same_products(widths, activation, small):
  model, params, (images, labels) = network(widths, activation, count=50)
  zeros = np.random.default_rng(3).random(images.shape) < 0.6
  batch = jnp.where(zeros, 0, images), labels
  packed = analysis.pack(batch, 20, small=small)
  assert (packed.columns is None) == bool(small)
  expected = written_out(model, params, batch, losses.cross_entropy)
  for name, make in OPERATORS.items():

    @jax.jit
    def product(params, packed, make=make):
      operator = make(params, models.ACTIVATIONS[activation], losses.cross_entropy, packed)
      return operator.product(jnp.eye(operator.size))

    np.testing.assert_allclose(product(params, packed), expected[name], atol=1e-13)


def test_many_examples_come_in_few_batches(monkeypatch):
  """Each batch is compiled by itself."""
  _, params, batch = network((3,), "relu", count=100)
  monkeypatch.setattr(packing, "BATCH_SIZE", 4)

  def product(params):
    operator = analysis.mlp_operator(params, "relu", losses.cross_entropy, batch)
    return operator.product(jnp.ones(operator.size))

  operations = str(jax.make_jaxpr(product)(params))
  # x W, x V, x' R delta
  assert operations.count("dot_general") == 3 * packing.MOST_BATCHES


@pytest.mark.parametrize(
  ("cut", "batch_size", "match"),
  [(1, 2, "lengths \\[36, 37\\]"), (0, 0, "got 0, expected at least 1")],
)
def test_bad_batches_are_told(cut, batch_size, match):
  _, params, (images, labels) = network((3,), "relu")
  batch = (images, labels[cut:])
  with pytest.raises(ValueError, match=match):
    analysis.mlp_operator(params, "relu", losses.cross_entropy, batch, batch_size=batch_size)
