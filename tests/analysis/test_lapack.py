"""LAPACK on CPU: no program hands it a stack of matrices, and those at several places end."""

import functools
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.hessian_spectrum import measures
from hw1_jax import analysis, models
from hw1_jax.analysis import lapack

CALL = re.compile(r"custom_call @(?:lapack|blas)_\w+\(.*-> (.*)")


def stacks(function, *args):
  """Returns the shapes of the results of LAPACK's calls that have more than two axes above 1."""
  text = jax.jit(function).lower(*args).as_text()
  calls = CALL.findall(text)
  assert calls, "no call of LAPACK at all"
  shapes = [shape for call in calls for shape in re.findall(r"tensor<([\dx]+)x[if]\d+>", call)]
  return [s for s in shapes if len([n for n in s.split("x") if n != "1"]) > 2]


def spd(count, n):
  """Returns positive definite matrices [count, n, n], float32."""
  draws = jax.random.normal(jax.random.key(0), (count, n, n))
  return draws @ draws.mT + n * jnp.eye(n)


@pytest.mark.parametrize("name", ["eigh", "factor", "solve", "basis", "triangle"])
def test_copies_under_vmap_are_taken_one_by_one_and_right(name):
  function = getattr(lapack, name)
  args = (spd(3, 4),) * (2 if name == "solve" else 1)
  every = jax.vmap(function)
  assert stacks(every, *args) == []
  assert stacks(jax.vmap(every), *(arg[None] for arg in args)) == []
  alone = [function(*(arg[k] for arg in args)) for k in range(3)]
  jax.tree.map(
    np.testing.assert_array_equal, every(*args), jax.tree.map(lambda *x: jnp.stack(x), *alone)
  )


def test_a_stack_would_be_found():
  assert stacks(jnp.linalg.cholesky, spd(3, 4)) == ["3x4x4"]


def programs():
  """Yields a name and a program with arguments whose copies meet LAPACK."""
  network = models.MLP((3, 3))
  params = models.init(network, jax.random.key(0), (1, 2, 2, 1))
  batch = measures.make_batch(jnp.ones((4, 2, 2, 1)), jnp.array([0, 1, 2, 0]))
  measure = measures.make_measure(network, num_probes=3, num_steps=4, num_largest=2)
  yield "hessian_spectrum", measure, (batch, params, jax.random.key(0))
  keys = jax.random.split(jax.random.key(1), 3)
  matrix = analysis.products.matrix_operator(spd(1, 6)[0])
  trace = functools.partial(analysis.trace_and_norm, matrix, num_probes=2)
  yield "trace", jax.vmap(trace), (keys,)


def test_programs_hand_lapack_no_stack():
  for name, program, args in programs():
    assert stacks(program, *args) == [], name


def test_members_of_both_devices_in_vmap_form_end():
  """In a process of its own: with a stack a device, both wait for ever (jaxlib 0.10)."""
  code = """
import jax, jax.numpy as jnp
jax.config.update("jax_num_cpu_devices", 2)
from hw1_jax import devices
from hw1_jax.analysis import lapack
def member(a):
  step = lambda c, _: (a + 1e-6 * lapack.eigh(c)[1], None)
  return jax.lax.scan(step, a, None, length=20)[0]
matrices = jnp.eye(30) + 0.1 * jnp.ones((400, 30, 30))
print(jax.block_until_ready(devices.map_members(member, form="vmap")(matrices)).shape)
"""
  run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
  assert run.stdout == "(400, 30, 30)\n", run.stderr
