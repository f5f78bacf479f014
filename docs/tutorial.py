# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Your own network in hw1_jax
#
# A network of your own, its way towards a zero gradient, the spectrum of its Hessian, the loss
# around it, its sensitivity, and one of the experiments, run from Python: a minute on two cores.
# `docs/tutorial.py` is this notebook as a script (`jupytext` pairs them).

# %%
import pathlib
import sys
import tempfile

for folder in (pathlib.Path.cwd(), pathlib.Path.cwd().parent):
  if (folder / "experiments").is_dir():
    sys.path.insert(0, str(folder))  # the repository's root; the library alone needs only pip

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

jax.config.update("jax_enable_x64", True)  # signs of small eigenvalues need float64

from hw1_jax import analysis, data
from hw1_jax.runs import notebook

# %% [markdown]
# ## A network: any function of any pytree of parameters
#
# It is fitted to a formula; `data.function_data` also knows the assignment's targets by name.

# %%
x, y = (jnp.asarray(values) for values in data.function_data("x*sin(4*x)", 60, dtype=np.float64))


def network(params, x):
  return jnp.tanh(x @ params["w1"] + params["b1"]) @ params["w2"]


def loss(params):
  return jnp.mean((network(params, x) - y) ** 2)


def make_params(seed):
  first, second = jax.random.split(jax.random.key(seed))
  w1, w2 = jax.random.normal(first, (1, 6)), jax.random.normal(second, (6, 1))
  return {"w1": w1, "b1": jnp.zeros(6), "w2": w2}


# %% [markdown]
# ## Training, here with optax's Adam; then towards a critical point
#
# Gradient descent stops far from a zero gradient. Damped Newton steps on the exact Hessian go on
# from there; `analysis.critical_points` has the searches that the experiments use.

# %%
import optax


def train(params, steps=500):
  optimizer = optax.adam(0.02)

  def step(carry, _):
    params, state = carry
    updates, state = optimizer.update(jax.grad(loss)(params), state, params)
    return (optax.apply_updates(params, updates), state), None

  return jax.jit(lambda p: jax.lax.scan(step, (p, optimizer.init(p)), None, steps)[0][0])(params)


trained = train(make_params(0))
theta, unravel = jax.flatten_util.ravel_pytree(trained)


@jax.jit
def newton_step(theta, damping=1e-6):

  def flat(vector):
    return loss(unravel(vector))

  gradient, matrix = jax.grad(flat)(theta), jax.hessian(flat)(theta)
  values, vectors = jnp.linalg.eigh(matrix)
  step = vectors @ ((vectors.T @ gradient) / (jnp.abs(values) + damping))
  shorter = 0.5 ** jnp.arange(12.0)
  candidates = theta - shorter[:, None] * step
  losses = jax.vmap(flat)(candidates)
  best = jnp.argmin(losses)
  return jnp.where(losses[best] < flat(theta), candidates[best], theta)


before = analysis.gradient_norm(loss, trained)
theta = jax.lax.fori_loop(0, 500, lambda _, theta: newton_step(theta), theta)
point = unravel(theta)
after = analysis.gradient_norm(loss, point)
print(f"loss {loss(trained):.2e} -> {loss(point):.2e}; gradient norm {before:.1e} -> {after:.1e}")

# %% [markdown]
# ## The Hessian there: its spectrum and the minimal ratio
#
# The minimal ratio is the fraction of positive eigenvalues; with `rtol` rounding is not taken for a
# sign.

# %%
eigenvalues = analysis.eigenvalues(analysis.hessian(loss, point))
print("smallest and largest:", float(eigenvalues[0]), float(eigenvalues[-1]))
print("minimal ratio:", float(analysis.minimal_ratio(eigenvalues, rtol=1e-10)))

# %% [markdown]
# ## The loss around it
#
# Along the line to another solution, and over a plane through three of them.

# %%
other, third = train(make_params(1)), train(make_params(2))
alphas = jnp.linspace(-0.5, 1.5, 41)
curve = analysis.interpolate(loss, point, other, alphas)


def at(a, b):
  return jax.tree.map(lambda p, q, r: p + a * (q - p) + b * (r - p), point, other, third)


plane = jax.vmap(lambda a: jax.vmap(lambda b: loss(at(a, b)))(alphas))(alphas)
figure = Figure(figsize=(9, 3.5), layout="constrained")
left, right = figure.subplots(1, 2)
left.semilogy(alphas, curve)
left.set(xlabel="alpha", ylabel="loss (MSE)", title="between two solutions")
picture = right.contourf(alphas, alphas, jnp.log10(plane).T, 20)
right.set(xlabel="towards the second", ylabel="towards the third", title="log10 of the loss")
figure.colorbar(picture)
notebook.show_figure(figure)

# %% [markdown]
# ## Sensitivity: how far the output moves when an input does

# %%
norms = analysis.jacobian_norms(lambda example: network(point, example[None])[0], x)
print("mean Jacobian norm:", float(norms.mean()), "largest at x =", float(x[norms.argmax(), 0]))

# %% [markdown]
# ## One of the experiments
#
# A `Config` in, a `Result` out: named arrays. The run folder is that of the command: the same call
# resumes it, and `load` reads it. In a notebook the figures appear below the cell.

# %%
from experiments.gradient_norm import EXPERIMENT
from experiments.gradient_norm.run import Config

folder = pathlib.Path(tempfile.mkdtemp()) / "gradient_norm"
config = Config(widths="10", target="x*sin(4*x)", num_epochs=300, num_runs=2)
result = notebook.run_config(EXPERIMENT, config, workdir=folder)
print("loss [runs, epochs]:", result.loss.shape, "last:", result.loss[:, -1])

# %%
again = notebook.load(folder)
assert np.array_equal(again.loss, result.loss)
