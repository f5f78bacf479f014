"""Full-batch training with a stop rule that is exact to the epoch; several members at once, [M]."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from hw1_jax import devices, pytrees
from hw1_jax.loops import Chunk, Monitor
from hw1_jax.training.state import TrainState, init_state

PyTree = Any


@dataclasses.dataclass(frozen=True)
class StopRule:
  """When a full-batch training has converged; the long report's notebook's rule by default.

  After epoch k (k > `after_epoch`) with losses l_k, each measured before its epoch's update:
  l_k < loss_below and |l_k - l_(k-1)| < change_below and |l_(k-1) - l_(k-2)| < change_below.
  """

  loss_below: float = 1e-3
  change_below: float = 1e-5
  after_epoch: int = 5

  def met(self, last_losses: jax.Array, epoch: jax.Array) -> jax.Array:
    """Returns whether the rule holds, bool [], given the last three losses, newest first."""
    changes = jnp.abs(last_losses[:-1] - last_losses[1:])
    return (
      (epoch > self.after_epoch)
      & (last_losses[0] < self.loss_below)
      & jnp.all(changes < self.change_below)
    )


class FitState(NamedTuple):
  """One full-batch training between epochs."""

  train: TrainState
  last_losses: jax.Array  # [3] newest first; infinity before there are three
  converged: jax.Array  # bool []: the stop rule was met
  failed: jax.Array  # bool []: a loss was not finite


def start_state(params: PyTree, optimizer: optax.GradientTransformation) -> FitState:
  """Returns the state of one training before its first epoch."""
  dtype = jax.tree.leaves(params)[0].dtype
  no = jnp.asarray(False)
  return FitState(init_state(params, optimizer), jnp.full(3, jnp.inf, dtype), no, no)


class FitResult(NamedTuple):
  """M full-batch trainings."""

  params: np.ndarray  # [M, P] after the last epoch's update
  epochs: np.ndarray  # [M] int: epochs trained; the epoch of convergence where `converged`
  converged: np.ndarray  # [M] bool
  history: dict[str, np.ndarray]  # each [M, E]; entry k is measured before epoch k+1's update;
  # NaN behind a member's last epoch


Measure = Callable[[jax.Array, jax.Array], dict[str, jax.Array]]  # (loss, gradient) -> scalars


def loss_only(loss: jax.Array, gradient: PyTree) -> dict[str, jax.Array]:
  """Returns what `fit` records by default: the loss."""
  del gradient
  return {"loss": loss}


def loss_and_gradient_norm(loss: jax.Array, gradient: PyTree) -> dict[str, jax.Array]:
  """Returns the loss and the 2-norm of its gradient over all parameters."""
  return {"loss": loss, "gradient_norm": pytrees.norm(gradient)}


def make_fit_chunk(
  loss: Callable[..., jax.Array],
  optimizer: optax.GradientTransformation,
  rule: StopRule | None,
  *,
  num_epochs: int | jax.Array,
  chunk_size: int,
  measure: Measure = loss_only,
) -> Callable[..., tuple[FitState, dict[str, jax.Array]]]:
  """Returns `(state, *data) -> (state, history)`: at most `chunk_size` epochs of one training.

  A training that is over (converged, at `num_epochs`, or failed) stays as it is. `history` maps
  each measure to [chunk_size], NaN where no epoch ran.
  """

  def over(state: FitState) -> jax.Array:
    return state.converged | state.failed | (state.train.epoch >= num_epochs)

  def chunk(state: FitState, *batch: jax.Array) -> tuple[FitState, dict[str, jax.Array]]:
    value_and_grad = jax.value_and_grad(lambda params: loss(params, *batch))
    shapes = jax.eval_shape(lambda p: measure(*value_and_grad(p)), state.train.params)
    blank = {name: jnp.full(chunk_size, jnp.nan, s.dtype) for name, s in shapes.items()}

    def going(carry: tuple[jax.Array, FitState, dict[str, jax.Array]]) -> jax.Array:
      i, state, _ = carry
      return (i < chunk_size) & ~over(state)

    def epoch(
      carry: tuple[jax.Array, FitState, dict[str, jax.Array]],
    ) -> tuple[jax.Array, FitState, dict[str, jax.Array]]:
      i, state, history = carry
      params, opt_state, done = state.train
      value, gradient = value_and_grad(params)
      measured = measure(value, gradient)
      history = {name: history[name].at[i].set(measured[name]) for name in history}
      updates, opt_state = optimizer.update(gradient, opt_state, params)
      train = TrainState(optax.apply_updates(params, updates), opt_state, done + 1)
      last = jnp.concatenate([value[None], state.last_losses[:-1]])
      converged = jnp.asarray(False) if rule is None else rule.met(last, train.epoch)
      return i + 1, FitState(train, last, converged, ~jnp.isfinite(value)), history

    _, state, history = jax.lax.while_loop(going, epoch, (jnp.int32(0), state, blank))
    return state, history

  return chunk


def fit(
  monitor: Monitor,
  name: str,
  loss: Callable[..., jax.Array],
  params: jax.Array,
  batches: Sequence[jax.Array],
  optimizer: optax.GradientTransformation,
  *,
  num_epochs: int,
  rule: StopRule | None = None,
  measure: Measure = loss_only,
  chunk_size: int = 1000,
) -> FitResult:
  """Trains M members on their whole data at every step, each until its own stop.

  Args:
    monitor: progress and resume.
    name: of the loop, unique within the experiment.
    loss: (params [P], *batch) -> mean loss.
    params: [M, P] initial parameters, ravelled: one array makes the optimizer one fused update.
    batches: arrays [M, ...]: each member's data.
    optimizer: of a member.
    num_epochs: the most epochs; one step each.
    rule: None trains to `num_epochs`.
    measure: what is recorded of every epoch.
    chunk_size: epochs between two looks at the clock; no result depends on it.

  Raises:
    NonFiniteError: a loss was NaN or infinite, with run, epoch and value.
  """
  num_members = params.shape[0]
  chunk_size = min(chunk_size, num_epochs)
  chunk = devices.map_members(
    make_fit_chunk(
      loss,
      optimizer,
      rule,
      num_epochs=num_epochs,
      chunk_size=chunk_size,
      measure=measure,
    )
  )

  def advance(state: dict[str, Any]) -> Chunk:
    before = np.asarray(state["fit"].train.epoch)
    fitted, new = jax.device_get(chunk(state["fit"], *batches))
    after, history = fitted.train.epoch, dict(state["history"])
    for key, values in new.items():
      columns = history.get(key, np.full((num_members, num_epochs), np.nan, values.dtype)).copy()
      for m, (first, end) in enumerate(zip(before, after)):
        columns[m, first:end] = values[m, : end - first]
      history[key] = columns
    last = np.maximum(after - 1, 0)
    record = {"phase": name, "epoch": after.tolist(), "converged": fitted.converged.tolist()}
    record |= {key: history[key][np.arange(num_members), last].tolist() for key in history}
    error = None
    if fitted.failed.any():
      m = int(np.argmax(fitted.failed))
      value = history["loss"][m, last[m]]
      error = f"{name}, run {m + 1}: the loss is {value} at epoch {after[m]}"
    finished = bool(np.all(fitted.converged | (after >= num_epochs)))
    done = num_epochs if finished else int(np.max(np.where(fitted.converged, 0, after)))
    return Chunk({"fit": fitted, "history": history}, done, finished, [record], error)

  state = {
    "fit": jax.device_get(devices.jit_draws(jax.vmap(lambda p: start_state(p, optimizer)))(params)),
    "history": {},
  }
  state = monitor.loop(name, state, advance, total=num_epochs, unit="epochs")
  fitted = state["fit"]
  return FitResult(
    fitted.train.params, fitted.train.epoch, fitted.converged, dict(state["history"])
  )
