"""Networks of your own behind the interface of a flax.linen module: `init` and `apply`.

def make_model(num_outputs):                 # flax.linen
  return nn.Sequential([nn.Dense(8), nn.tanh, nn.Dense(num_outputs)])

def make_model(num_outputs):                 # a pair: init(key, x), apply(params, x)
  return init, apply                         # (haiku.transform's, too)

def make_model(rngs, num_outputs): ...       # flax.nnx, from its random streams
def make_model(key, num_outputs): ...        # equinox, or any pytree of arrays that is called
                                             # with one example
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from hw1_jax import own, pytrees
from hw1_jax.errors import UserError

Params = Any
KINDS = (
  "a flax.linen module or a pair init, apply; with an argument `rngs` a flax.nnx module, with an "
  "argument `key` an equinox module"
)


class Functions(NamedTuple):
  """A network as two functions: params from a key, and outputs [N, ...] of x [N, ...]."""

  init: Callable[[jax.Array], Params]
  apply: Callable[[Params, jax.Array, bool, jax.Array | None], jax.Array]  # train, dropout key


class OwnModel:
  """A network of one's own; equal only to itself, so that compiled programs are found again."""

  def __init__(self, name: str, functions: Functions):
    self.name, self._functions = name, functions

  def init(self, key: jax.Array, x: jax.Array) -> dict[str, Params]:
    """Returns {"params": fresh float32 parameters}, as linen does."""
    del x
    return {"params": pytrees.cast(self._functions.init(key), jnp.float32)}

  def apply(
    self,
    variables: dict[str, Params],
    x: jax.Array,
    *,
    train: bool = False,
    rngs: dict[str, jax.Array] | None = None,
  ) -> jax.Array:
    """Returns the outputs [N, num_outputs], with dropout if `train`."""
    key = (rngs or {}).get("dropout")
    return self._functions.apply(variables["params"], x, train and key is not None, key)


@functools.cache
def make_own(name: str, num_outputs: int, input_shape: tuple[int, ...]) -> OwnModel:
  """Returns the network that the function `name`, 'module:function', makes.

  Of the arguments `num_outputs`, `input_shape` (of one example), `key` and `rngs` it gets those
  that it names.

  Raises:
    UserError: there is no such function, it returns something else than a network, a network with
      state beside its parameters (batch statistics), or one with another number of outputs.
  """
  factory = own.load("model", name)
  sizes = {"num_outputs": num_outputs, "input_shape": input_shape}
  x = jnp.zeros((2, *input_shape), jnp.float32)
  needs = own.parameters(factory)
  if "rngs" in needs:
    functions = _from_nnx(name, lambda rngs: own.call(factory, rngs=rngs, **sizes))
  elif "key" in needs:
    functions = _from_callable(lambda key: own.call(factory, key=key, **sizes))
  else:
    functions = _from_pair(name, own.call(factory, **sizes), x)
  model = OwnModel(name, functions)
  params = jax.eval_shape(model.init, jax.random.key(0), x)
  if not jax.tree.leaves(params):
    raise UserError("model", f"{name} without a parameter", "parameters to train")
  got = jax.eval_shape(model.apply, params, x)
  if got.shape != (2, num_outputs):
    raise UserError("model", f"{name} with outputs {list(got.shape)} for inputs {list(x.shape)}",
                    f"outputs {[2, num_outputs]}")  # fmt: skip
  return model


def _from_pair(name: str, made: Any, x: jax.Array) -> Functions:
  """Returns the functions of a linen module, a haiku transform or a plain pair."""
  if isinstance(made, nn.Module):
    return _from_linen(name, made, x)
  pair = made if isinstance(made, tuple) else (getattr(made, "init", None),
                                               getattr(made, "apply", None))  # fmt: skip
  if len(pair) != 2 or not all(map(callable, pair)):
    raise UserError("model", f"{name}, which makes a {type(made).__name__}", KINDS)
  init, forward = pair
  example = init(jax.random.key(0), x)
  if isinstance(example, tuple) and "state" in type(made).__name__.lower():
    raise _stateful(name)
  names, treedef = _names(example)
  wants_key = own.parameters(forward)[1:2] in (["rng"], ["key"])

  def apply(params: Params, x: jax.Array, train: bool, key: jax.Array | None) -> jax.Array:
    tree = _unnamed(params, names, treedef)
    options = {"train": train, "is_training": train}
    return own.call(forward, tree, *([key] if wants_key else []), x, **options)

  return Functions(lambda key: _named(init(key, x), names), apply)


def _from_linen(name: str, module: nn.Module, x: jax.Array) -> Functions:
  options = own.parameters(type(module).__call__)

  def variables(key: jax.Array) -> Any:
    modes: dict[str, Any] = _modes(options, False)
    return module.init({"params": key, "dropout": key}, x, **modes)

  if set(jax.eval_shape(variables, jax.random.key(0))) != {"params"}:
    raise _stateful(name)

  def apply(params: Params, x: jax.Array, train: bool, key: jax.Array | None) -> jax.Array:
    rngs = {"dropout": key} if key is not None else {}
    modes: dict[str, Any] = _modes(options, train)
    return cast(jax.Array, module.apply({"params": params}, x, rngs=rngs, **modes))

  return Functions(lambda key: variables(key)["params"], apply)


def _modes(options: Sequence[str], train: bool) -> dict[str, bool]:
  modes = {"train": train, "training": train, "deterministic": not train}
  return {name: value for name, value in modes.items() if name in options}


def _from_nnx(name: str, make: Callable[[Any], Any]) -> Functions:
  from flax import nnx  # a second of every start that has no such network

  example = make(nnx.Rngs(jax.random.key(0)))
  if jax.tree.leaves(nnx.state(example, nnx.BatchStat)):
    raise _stateful(name)
  example.eval()
  measuring, params, rest = nnx.split(example, nnx.Param, ...)  # type: ignore[misc]
  example.train()
  training = nnx.graphdef(example)
  names, treedef = _names(params)

  def apply(params: Params, x: jax.Array, train: bool, key: jax.Array | None) -> jax.Array:
    graph = training if train else measuring
    # A copy: the random streams in it are set, which a trace may do to its own variables only.
    model = nnx.merge(graph, _unnamed(params, names, treedef), rest, copy=True)
    if train and key is not None:
      nnx.reseed(model, default=key, dropout=key)
    return model(x)

  return Functions(lambda key: _named(nnx.state(make(nnx.Rngs(key)), nnx.Param), names), apply)


def _from_callable(make: Callable[[jax.Array], Any]) -> Functions:
  """Returns the functions of a pytree that is called with one example, such as equinox's."""
  training = make(jax.random.key(0))
  names, _ = _names(training)
  measuring = _without_dropout(training)

  def is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray) and jnp.issubdtype(leaf.dtype, jnp.inexact)

  def init(key: jax.Array) -> Params:
    leaves = zip(names, jax.tree.leaves(make(key)))
    return {name: leaf for name, leaf in leaves if is_array(leaf)}

  def apply(params: Params, x: jax.Array, train: bool, key: jax.Array | None) -> jax.Array:
    leaves, treedef = jax.tree.flatten(training if train else measuring)
    leaves = [params.get(name, leaf) for name, leaf in zip(names, leaves)]
    network = jax.tree.unflatten(treedef, leaves)
    if train and "key" in own.parameters(network):
      assert key is not None
      keys = jax.random.split(key, len(x))
      return jax.vmap(lambda example, key: network(example, key=key))(x, keys)
    return jax.vmap(network)(x)

  return Functions(init, apply)


def _without_dropout(network: Any) -> Any:
  try:
    import equinox  # only whoever has such a network has it
  except ImportError:
    return network
  return equinox.nn.inference_mode(network)


def _stateful(name: str) -> UserError:
  return UserError(
    "model",
    f"{name} with state beside its parameters",
    "parameters only",
    "use a network without batch normalization, for example with layer or group norm",
  )


def _names(tree: Any) -> tuple[list[str], Any]:
  """Returns (a name for each leaf, such as 'layers.0.weight', and the structure)."""
  paths, treedef = jax.tree_util.tree_flatten_with_path(tree)
  names = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in paths]
  return names, treedef


def _named(tree: Any, names: Sequence[str]) -> dict[str, Any]:
  """Returns the leaves as a dict: what checkpoints and files of weights can hold."""
  return dict(zip(names, jax.tree.leaves(tree)))


def _unnamed(params: dict[str, Any], names: Sequence[str], treedef: Any) -> Any:
  return jax.tree.unflatten(treedef, [params[name] for name in names])
