"""The reports' optimizers: optax chains that equal PyTorch's, L2 term included.

PyTorch adds `weight_decay * theta` to the gradient before the optimizer sees it (not decoupled).
tests/training/test_optimizers.py holds tables of PyTorch's values.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from hw1_jax import own
from hw1_jax.errors import UserError

NAMES = ("adam", "rmsprop", "sgd")

Rate = float | jax.Array


def adam(learning_rate: Rate, weight_decay: Rate = 0.0) -> optax.GradientTransformation:
  """Returns `torch.optim.Adam(lr, weight_decay)`: betas 0.9 and 0.999, eps 1e-8 outside the root.

  g <- g + wd theta;  m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2
  theta <- theta - lr m_hat / (sqrt(v_hat) + eps), with m_hat = m / (1 - b1^t), v_hat alike
  (Kingma and Ba, 2015).
  """
  return optax.chain(optax.add_decayed_weights(weight_decay), optax.adam(learning_rate))


def rmsprop(learning_rate: Rate, weight_decay: Rate = 0.0) -> optax.GradientTransformation:
  """Returns `torch.optim.RMSprop(lr, weight_decay)`: alpha 0.99, eps 1e-8 outside the root.

  g <- g + wd theta;  v <- alpha v + (1 - alpha) g^2;  theta <- theta - lr g / (sqrt(v) + eps)
  """
  return optax.chain(
    optax.add_decayed_weights(weight_decay),
    optax.rmsprop(learning_rate, decay=0.99, eps=1e-8, eps_in_sqrt=False, initial_scale=0.0),
  )


def sgd(
  learning_rate: Rate, weight_decay: Rate = 0.0, *, momentum: float = 0.0
) -> optax.GradientTransformation:
  """Returns `torch.optim.SGD(lr, momentum, weight_decay)`, dampening 0, not Nesterov.

  g <- g + wd theta;  b <- momentum b + g;  theta <- theta - lr b
  """
  return optax.chain(
    optax.add_decayed_weights(weight_decay), optax.sgd(learning_rate, momentum or None)
  )


def make_optimizer(
  name: str, learning_rate: Rate, weight_decay: Rate = 0.0, momentum: float = 0.0
) -> optax.GradientTransformation:
  """Returns the optimizer called `name`: one of NAMES, or one of your own, 'module:function'.

  Your function gets those of `learning_rate`, `weight_decay` and `momentum` that it names, and
  returns an optax transformation. ValueError for another name; UserError for momentum with an
  optimizer that has none, or for a function that returns something else.
  """
  if own.is_own(name):
    given = {"learning_rate": learning_rate, "weight_decay": weight_decay, "momentum": momentum}
    made = own.call(own.load("optimizer", name), **given)
    if not (callable(getattr(made, "init", None)) and callable(getattr(made, "update", None))):
      got = f"{name}, which makes a {type(made).__name__}"
      raise UserError("optimizer", got, "an optax transformation")
    return made
  if momentum and name != "sgd":
    raise UserError("momentum", momentum, f"0 with {name}", "use optimizer=sgd or one of your own")
  traced = isinstance(learning_rate, jax.Array) or isinstance(weight_decay, jax.Array)
  make = _built_in.__wrapped__ if traced else _built_in
  return make(name, learning_rate, weight_decay, momentum)


@functools.cache
def _built_in(
  name: str, learning_rate: Rate, weight_decay: Rate, momentum: float
) -> optax.GradientTransformation:
  """Returns the same object for the same arguments, so that what uses it is compiled once."""
  if name not in NAMES:
    raise ValueError(f"optimizer: got {name!r}, expected one of {', '.join(NAMES)}")
  factories: dict[str, Callable[..., optax.GradientTransformation]] = {
    "adam": adam,
    "rmsprop": rmsprop,
    "sgd": functools.partial(sgd, momentum=momentum),
  }
  return _with_rate(functools.partial(factories[name], weight_decay=weight_decay), learning_rate)


class RatedState(NamedTuple):
  """The state of an optimizer that knows its learning rate from it."""

  learning_rate: jax.Array  # [], of the parameters' type
  rest: Any


def _with_rate(
  make: Callable[[Rate], optax.GradientTransformation], learning_rate: Rate
) -> optax.GradientTransformation:
  """Returns `make(learning_rate)`, the rate in its state, where a compiled step is told it.

  Trainings that differ in nothing else are one program then, compiled once.
  """

  def init(params: Any) -> RatedState:
    dtype = jnp.result_type(*jax.tree.leaves(params))
    return RatedState(jnp.asarray(learning_rate, dtype), make(learning_rate).init(params))

  def update(gradient: Any, state: Any, params: Any = None) -> tuple[Any, RatedState]:
    updates, rest = make(state.learning_rate).update(gradient, state.rest, params)
    return updates, RatedState(state.learning_rate, rest)

  return optax.GradientTransformation(init, update)
