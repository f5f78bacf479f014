"""PAC-Bayes: how often a network errs at most whose weights are perturbed at random."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hw1_jax import pytrees

PyTree = Any


class Bound(NamedTuple):
  """A PAC-Bayes bound on the expected error of the perturbed network, all in [0, 1]."""

  bound: float
  deviation: float  # the sigma of the grid that gave it
  train_error: float  # of the perturbed network, the upper end that the bound used


SIGMAS = tuple(float(s) for s in np.geomspace(1e-3, 0.3, 11))  # our choice: brackets MNIST nets


def perturbed_errors(
  error: Callable[[PyTree], jax.Array],
  params: PyTree,
  key: jax.Array,
  deviations: tuple[float, ...] = SIGMAS,
  *,
  num_samples: int = 32,
) -> jax.Array:
  """Returns the mean of error(theta + sigma e), e standard normal, at each of J sigmas, [J].

  The same `num_samples` draws e at every sigma; `error` maps params to a number in [0, 1].

  >>> def error(theta):  # wrong as soon as the weight is below 0
  ...   return (theta < 0).astype(float)
  >>> perturbed_errors(error, jnp.array(1.0), jax.random.key(0), (1e-3,)).tolist()
  [0.0]
  """
  theta, unravel = pytrees.ravel(params)
  sigmas = jnp.asarray(deviations, theta.dtype)

  def of(key: jax.Array) -> jax.Array:
    e = jax.random.normal(key, theta.shape, theta.dtype)  # takes longer than an error
    return jax.lax.map(lambda sigma: error(unravel(theta + sigma * e)), sigmas)

  return jnp.mean(jax.lax.map(of, jax.random.split(key, num_samples)), axis=0)


def pac_bayes_bound(
  errors: np.ndarray,
  squared_distance: float,
  num_examples: int,
  deviations: tuple[float, ...] = SIGMAS,
  *,
  num_samples: int = 32,
  failure: float = 0.05,
) -> Bound:
  """Returns a bound that holds with probability 1 - `failure` on the error of theta + sigma e.

  With posterior N(theta, sigma^2 I), prior N(theta_0, sigma^2 I) and N examples,

      kl(train error || error) <= (||theta - theta_0||^2 / (2 sigma^2) + ln(2 sqrt(N) / delta)) / N

  (Langford and Seeger 2001; Maurer 2004). delta is shared among the J values of sigma on a grid
  that is fixed beforehand, and half of it pays for the training error being a mean over
  `num_samples` draws: kl(mean || train error) <= ln(2 J / failure) / num_samples (Langford and
  Caruana 2002). It bounds the stochastic network, not theta itself.

  Args:
    errors: [J] training errors from `perturbed_errors`, over the N examples.
    squared_distance: ||theta - theta_0||^2, theta_0 chosen without the data: the initial weights.
    num_examples: N, drawn independently.
    deviations: the grid of sigma, as it was for `errors`.
    num_samples: draws that each of `errors` is the mean of.
    failure: probability over data and draws that the bound is wrong.

  >>> found = pac_bayes_bound(np.array([0.0, 0.5]), 0.01, 60_000, (0.1, 1.0), num_samples=1000)
  >>> found.deviation, 0 < found.bound < 0.02
  (0.1, True)
  """
  share = failure / (2 * len(deviations))
  best = Bound(1.0, float("nan"), 1.0)
  for sigma, observed in zip(deviations, errors):
    train = invert_kl(float(observed), float(np.log(1 / share)) / num_samples)
    divergence = squared_distance / (2 * sigma**2)
    budget = (divergence + float(np.log(2 * num_examples**0.5 / share))) / num_examples
    bound = invert_kl(train, budget)
    if bound < best.bound:
      best = Bound(bound, sigma, train)
  return best


def invert_kl(q: float, budget: float) -> float:
  """Returns the largest p >= q, in [0, 1], with kl(q || p) <= budget, Bernoulli divergences.

  >>> print(f"{invert_kl(0.0, 0.1):.6f}")  # 1 - exp(-0.1)
  0.095163
  """

  def kl(p: float) -> float:
    parts = [q * math.log(q / p)] if q > 0 else []
    return sum(parts + ([(1 - q) * math.log((1 - q) / (1 - p))] if q < 1 else []))

  low, high = float(q), 1.0
  for _ in range(60):  # bisection to the last bit
    middle = (low + high) / 2
    if middle in (0.0, 1.0):
      break
    low, high = (middle, high) if kl(middle) <= budget else (low, middle)
  return low
