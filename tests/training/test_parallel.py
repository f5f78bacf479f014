"""Members over devices: the same results on 1, 2 and 4, in the loop form the same bits."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_info

from hw1_jax import devices, models, pytrees, rng
from hw1_jax.training import full_batch, losses, optimizers


def scaled_sum(shared, x, key):
  return {"y": jnp.sum(shared) * x, "z": jax.random.normal(key, (2,))}


@pytest.mark.parametrize("num_members", [1, 2, 3, 5])
@pytest.mark.parametrize("form", ["loop", "vmap"])
def test_members_come_back_in_order_also_when_devices_do_not_divide_them(num_members, form):
  x, keys = jnp.arange(num_members * 3.0).reshape(-1, 3), rng.member_keys(0, num_members)
  found = devices.map_members(scaled_sum, num_shared=1, form=form)(jnp.arange(4.0), x, keys)
  np.testing.assert_array_equal(found["y"], 6 * x)
  np.testing.assert_array_equal(found["z"], jnp.stack([jax.random.normal(k, (2,)) for k in keys]))


@pytest.mark.parametrize("generator", ["threefry2x32", "rbg"])
def test_dividing_members_compiles_no_program_beside_the_function(generator, caplog):
  """Not for the padding to whole devices either, nor for keys, whatever their generator."""
  keys = jax.random.split(jax.random.key(0, impl=generator), 3)
  expected = np.stack([jax.random.normal(key, (2,)) for key in keys])
  x, shared = jnp.arange(9.0).reshape(3, 3), np.arange(4, dtype=np.float32)
  jax.block_until_ready((x, keys))
  with jax.log_compiles():
    found = devices.map_members(scaled_sum, num_shared=1, form="loop")(shared, x, keys)
  compiled = [text for text in caplog.messages if "Finished XLA compilation" in text]
  assert ["share_of_device" in text for text in compiled] == [True]
  np.testing.assert_array_equal(found["y"], 6 * x)
  np.testing.assert_array_equal(found["z"], expected)


@pytest.mark.parametrize("generator", ["threefry2x32", "rbg"])
def test_keys_are_picked_and_separated_on_the_host(generator, caplog):
  keys = jax.random.split(jax.random.key(0, impl=generator), 4)
  expected = jax.random.key_data(keys[np.array([2, 0, 0])])
  with jax.log_compiles():
    picked = pytrees.take({"keys": keys, "x": np.arange(4)}, np.array([2, 0, 0]))
    apart = rng.separate(picked["keys"])
  assert not [text for text in caplog.messages if "Compiling" in text]
  assert picked["x"].tolist() == [2, 0, 0]
  for kept in (picked["keys"], jnp.stack(apart)):
    assert jax.random.key_impl(kept) == jax.random.key_impl(keys)
    np.testing.assert_array_equal(jax.random.key_data(kept), expected)


def test_draws_are_the_same_alone_and_within_another_jit():
  """Compiled quickly alone; JAX refuses options of its own for a jit within another one."""
  keys = rng.member_keys(0, 2)
  model = models.MLP((4, 3))

  def draw(keys):
    orders = devices.map_members(lambda key: jax.random.permutation(key, 30), draws=True)(keys)
    return orders, models.init_members(model, keys, (1, 5))

  plain = jax.vmap(lambda key: jax.random.permutation(key, 30))(keys)
  alone, within = draw(keys), jax.jit(draw)(keys)
  np.testing.assert_array_equal(alone[0], plain)
  jax.tree.map(np.testing.assert_array_equal, alone, within)


def test_wrong_form_and_wrong_number_of_devices_are_refused():
  with pytest.raises(ValueError, match="form: got 'pmap', expected auto, loop or vmap"):
    devices.map_members(scaled_sum, form="pmap")
  with pytest.raises(ValueError, match="num_devices: got 99, expected 1 to 2"):
    devices.map_members(scaled_sum, num_devices=99)


def lapack_threads():
  return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_lapack_has_one_thread_within_the_block_and_its_own_number_after_it():
  with ThreadpoolController().limit(limits=2, user_api="blas"):
    with devices.one_lapack_thread():
      assert lapack_threads() == {1}
    assert lapack_threads() == {2}
    with pytest.raises(KeyError), devices.one_lapack_thread():
      raise KeyError
    assert lapack_threads() == {2}


def test_what_is_shared_lies_on_the_devices_of_its_members_only():
  assert len(devices.share(jnp.ones(3), num_members=1).devices()) == 1
  assert len(devices.share(jnp.ones(3), num_members=5).devices()) == 2


@pytest.mark.parametrize(("num_members", "size"), [(1, 1), (2, 2), (3, 2), (4, 4), (7, 2)])
def test_rounds_leave_no_device_idle(num_members, size):
  assert devices.round_size(num_members) == size  # on the suite's two devices


def train(num_members, form, which=slice(None)):
  """Returns parameters [M, P] after 40 full-batch steps of a small network, float32."""
  model = models.MLP((8, 8, 1), "tanh")
  keys = rng.member_keys(0, num_members)[which]
  forward, start = models.ravelled(model, keys, (1, 1))
  x = jnp.linspace(-1, 1, 20)[:, None]
  optimizer = optimizers.adam(1e-2)
  chunk = full_batch.make_fit_chunk(
    lambda params: losses.mse(forward(params, x), jnp.sinc(5 * x)),
    optimizer,
    None,
    num_epochs=40,
    chunk_size=40,
  )
  states = jax.vmap(lambda params: full_batch.start_state(params, optimizer))(start)
  return np.asarray(devices.map_members(chunk, form=form)(states)[0].train.params)


def test_a_member_does_not_depend_on_how_many_train_with_it():
  loop = train(8, "loop")
  np.testing.assert_array_equal(train(4, "loop")[3], loop[3])
  np.testing.assert_array_equal(train(8, "loop", slice(3, 4))[0], loop[3])
  # vmap: other shapes of products, so other orders of summation; 40 steps of float32.
  np.testing.assert_allclose(train(4, "vmap")[3], train(8, "vmap")[3], rtol=0, atol=1e-5)
  np.testing.assert_allclose(train(8, "vmap"), loop, rtol=0, atol=1e-5)
  assert np.abs(loop[3] - loop[2]).max() > 0.1  # members differ, so the above says something


DEVICES = """
import sys
import jax
jax.config.update("jax_num_cpu_devices", int(sys.argv[1]))
from tests.training.test_parallel import train
assert jax.device_count() == int(sys.argv[1])
print(train(5, "loop").tobytes().hex())
"""


@pytest.mark.parametrize("count", [1, 4])
def test_results_do_not_depend_on_the_number_of_devices(count):
  command = [sys.executable, "-c", DEVICES, str(count)]
  done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
  assert done.stdout.strip() == train(5, "loop").tobytes().hex()
