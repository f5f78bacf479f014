"""The optimizers equal PyTorch's, from a table made with PyTorch itself."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hw1_jax.training import optimizers

TABLE = json.loads(
  pathlib.Path(__file__).with_name("tables").joinpath("pytorch_optimizers.json").read_text()
)


def gradient(theta):
  a, b, c = (jnp.asarray(TABLE[k], jnp.float32) for k in "abc")
  return a * theta**3 + b * theta - c


@pytest.mark.parametrize("case", sorted(TABLE["cases"]))
def test_fifty_steps_equal_pytorch(case):
  options = dict(TABLE["cases"][case]["options"])
  make = getattr(optimizers, case.split("_")[0])
  momentum = {"momentum": options["momentum"]} if "momentum" in options else {}
  optimizer = make(options["lr"], options["weight_decay"], **momentum)
  theta = jnp.asarray(TABLE["start"], jnp.float32)
  state = optimizer.init(theta)
  step = jax.jit(lambda t, s: optimizer.update(gradient(t), s, t))
  expected = {int(k): v for k, v in TABLE["cases"][case]["theta"].items()}
  for i in range(1, max(expected) + 1):
    updates, state = step(theta, state)
    theta = optax.apply_updates(theta, updates)
    if i in expected:
      # 5e-6: float32 rounding over 50 steps; theta is of order 1.
      np.testing.assert_allclose(theta, expected[i], rtol=0, atol=5e-6, err_msg=f"step {i}")


def test_make_optimizer_refuses_unknown_names():
  with pytest.raises(ValueError, match="got 'adamw', expected one of adam, rmsprop, sgd"):
    optimizers.make_optimizer("adamw", 1e-3)


@pytest.mark.parametrize("name", optimizers.NAMES)
def test_trainings_that_differ_in_their_learning_rate_are_one_program(name):
  theta, texts, momentum = jnp.asarray(TABLE["start"], jnp.float32), set(), 0.9 * (name == "sgd")
  for rate in (0.02, 0.5):
    optimizer = optimizers.make_optimizer(name, rate, 0.1, momentum)
    plain = getattr(optimizers, name)(rate, 0.1, **({"momentum": 0.9} if momentum else {}))
    found, expected = theta, theta
    state, plain_state = optimizer.init(theta), plain.init(theta)
    step = jax.jit(lambda t, s, o=optimizer: o.update(gradient(t), s, t))
    texts.add(step.lower(theta, state).as_text())
    for _ in range(3):
      updates, state = step(found, state)
      found = optax.apply_updates(found, updates)
      updates, plain_state = jax.jit(lambda t, s, o=plain: o.update(gradient(t), s, t))(
        expected, plain_state
      )
      expected = optax.apply_updates(expected, updates)
    np.testing.assert_array_equal(found, expected)
    assert not np.array_equal(found, theta)
  assert len(texts) == 1


def test_a_learning_rate_has_the_type_of_the_parameters():
  for dtype in (jnp.float32, jnp.bfloat16):
    state = optimizers.make_optimizer("adam", 0.1).init(jnp.ones(2, dtype))
    assert state.learning_rate.dtype == dtype
