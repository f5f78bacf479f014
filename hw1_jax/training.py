"""Training on images: a jitted step, an epoch as one scan, several members at once, [M].

A member has its own parameters and random streams; see `fitting` for full-batch training with a
stop rule.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from hw1_jax import data, evaluation, losses, models, parallel, pytrees, rng
from hw1_jax.monitoring import Chunk, Monitor

PyTree = Any


class TrainState(NamedTuple):
  """What one training carries from step to step."""

  params: PyTree
  opt_state: PyTree
  epoch: jax.Array  # int32 []: epochs done


def init_state(params: PyTree, optimizer: optax.GradientTransformation) -> TrainState:
  """Returns the state before the first step."""
  return TrainState(params, optimizer.init(params), jnp.zeros((), jnp.int32))


# (params, images uint8 [B, H, W, C], labels [B], weights [B], dropout key)
# -> ({"loss", "accuracy"} sums over the batch's examples, gradient of the mean loss)
Gradients = Callable[..., tuple[dict[str, jax.Array], PyTree]]


def make_gradients(model: nn.Module, *, split: bool = False) -> Gradients:
  """Returns the cross-entropy's gradient on one minibatch; masked examples (weight 0) drop out.

  Where convolutions run in their CPU-fast form the minibatch is a sum over micro-batches, and with
  `split`, inside `parallel.on_all_devices`, every device works on its part of the minibatch. Both
  are a matter of speed only: the gradient is that of the whole batch, up to the order of summation.
  """

  def sums(
    params: PyTree, images: jax.Array, labels: jax.Array, weights: jax.Array, key: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    inputs = data.as_float(images)
    layout = {"batch_last": True} if models.in_micro_batches(model) else {}
    logits = models.apply(model, params, inputs, train=True, rngs={"dropout": key}, **layout)
    hits = jnp.sum(losses.hits(logits, labels) * weights)
    return jnp.sum(losses.cross_entropies(logits, labels) * weights), hits

  value_and_grad = jax.value_and_grad(sums, has_aux=True)

  def gradients(
    params: PyTree, images: jax.Array, labels: jax.Array, weights: jax.Array, key: jax.Array
  ) -> tuple[dict[str, jax.Array], PyTree]:
    batch = (images, labels, weights)
    if split or models.in_micro_batches(model):
      (loss, hits), gradient = _sum_over_parts(model, value_and_grad, params, batch, key, split)
    else:
      (loss, hits), gradient = value_and_grad(params, *batch, key)
    count = jnp.sum(weights)
    return {"loss": loss, "accuracy": hits}, jax.tree.map(lambda g: g / count, gradient)

  return gradients


def _sum_over_parts(
  model: nn.Module,
  value_and_grad: Callable[..., Any],
  params: PyTree,
  batch: tuple[jax.Array, ...],
  key: jax.Array,
  split: bool,
) -> Any:
  """Returns the sum of `value_and_grad` over a minibatch in parts of equal size.

  The parts are micro-batches where the model wants them, else one a device. The last ones are
  filled up at weight 0. Part k of the micro-batches has the same dropout key on any device.
  """
  devices = jax.lax.axis_size(parallel.AXIS) if split else 1
  length = batch[0].shape[0]
  size = -(-length // devices)
  if models.in_micro_batches(model):
    size = min(models.MICRO_BATCH, length)
  parts = -(-length // size)
  per_device = -(-parts // devices)

  def mine(array: jax.Array) -> jax.Array:  # [any number of parts, ...] -> [per_device, ...]
    missing = per_device * devices - array.shape[0]
    if missing:
      array = jnp.concatenate([array, jnp.repeat(array[:1], missing, axis=0)])
    if not split:
      return array
    first = jax.lax.axis_index(parallel.AXIS) * per_device
    return jax.lax.dynamic_slice_in_dim(array, first, per_device)

  def cut(array: jax.Array) -> jax.Array:
    missing = per_device * devices * size - length
    padded = jnp.pad(array, [(0, missing)] + [(0, 0)] * (array.ndim - 1))
    return mine(padded.reshape(-1, size, *array.shape[1:]))

  images, labels, weights = (cut(array) for array in batch)
  if models.in_micro_batches(model):
    # Turned here, as uint8: inside the loop XLA would turn the images anew for every slice of them.
    images = jnp.transpose(images, (0, 4, 2, 3, 1))
  stacked = (images, labels, weights, mine(jax.random.split(key, parts)))

  def add(total: PyTree, part: tuple[jax.Array, ...]) -> tuple[PyTree, None]:
    return jax.tree.map(jnp.add, total, value_and_grad(params, *part)), None

  shapes = jax.eval_shape(value_and_grad, params, *(array[0] for array in stacked))
  zero = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
  total = jax.lax.scan(add, zero, stacked)[0]
  if not split:
    return total
  vector, unravel = pytrees.ravel(total)  # one transfer a step instead of one a leaf
  return unravel(jax.lax.psum(vector, parallel.AXIS))


def epoch_batches(
  key: jax.Array, num_examples: int, batch_size: int
) -> tuple[jax.Array, jax.Array]:
  """Returns (indices int32 [S, B], weights float32 [S, B]) of one shuffled epoch.

  Every example comes once. The last batch is short where B does not divide N, as PyTorch's
  loaders have it; it is filled up with example 0 at weight 0.
  """
  num_steps = -(-num_examples // batch_size)
  order = jax.random.permutation(key, jnp.arange(num_examples, dtype=jnp.int32))
  padding = num_steps * batch_size - num_examples
  indices = jnp.concatenate([order, jnp.zeros(padding, jnp.int32)])
  weights = (jnp.arange(num_steps * batch_size) < num_examples).astype(jnp.float32)
  return indices.reshape(num_steps, batch_size), weights.reshape(num_steps, batch_size)


def make_epoch(
  gradients: Gradients,
  optimizer: optax.GradientTransformation,
  batch_size: int,
  *,
  snapshot_interval: int | None = None,
  gradient_norm: bool = False,
) -> Callable[..., tuple[TrainState, dict[str, jax.Array]]]:
  """Returns `(images, labels, state, key) -> (state, info)`: one epoch of one training.

  `info` holds "loss" and "accuracy", the running means over the epoch's examples, each measured
  before its step's update. With `gradient_norm` also "gradient_norm", the mean over steps of the
  2-norm of the minibatch gradient. With `snapshot_interval`, "snapshots" [K, P] holds the
  ravelled parameters after every that many steps of the epoch and after its last step.
  """

  def epoch(
    images: jax.Array, labels: jax.Array, state: TrainState, key: jax.Array
  ) -> tuple[TrainState, dict[str, jax.Array]]:
    num_examples = images.shape[0]
    key = jax.random.fold_in(key, state.epoch)
    indices, weights = epoch_batches(rng.stream(key, "shuffle"), num_examples, batch_size)
    num_steps = indices.shape[0]
    step_keys = jax.random.split(rng.stream(key, "dropout"), num_steps)

    def step(
      carry: tuple[PyTree, PyTree, dict[str, jax.Array]], batch: tuple[jax.Array, ...]
    ) -> tuple[tuple[PyTree, PyTree, dict[str, jax.Array]], None]:
      params, opt_state, totals = carry
      rows, mask, step_key = batch
      sums, gradient = gradients(params, images[rows], labels[rows], mask, step_key)
      if gradient_norm:
        sums = {**sums, "gradient_norm": pytrees.norm(gradient)}
      totals = jax.tree.map(jnp.add, totals, sums)
      updates, opt_state = optimizer.update(gradient, opt_state, params)
      return (optax.apply_updates(params, updates), opt_state, totals), None

    names = ("loss", "accuracy", "gradient_norm") if gradient_norm else ("loss", "accuracy")
    totals = {name: jnp.float32(0) for name in names}
    carry = (state.params, state.opt_state, totals)
    batches = (indices, weights, step_keys)
    snapshots = []
    if snapshot_interval:
      whole = num_steps // snapshot_interval
      split = whole * snapshot_interval

      def segment(carry: Any, part: Any) -> tuple[Any, jax.Array]:
        carry, _ = jax.lax.scan(step, carry, part)
        return carry, pytrees.ravel(carry[0])[0]

      grouped = jax.tree.map(
        lambda a: a[:split].reshape(whole, snapshot_interval, *a.shape[1:]), batches
      )
      carry, vectors = jax.lax.scan(segment, carry, grouped)
      snapshots.append(vectors)
      batches = jax.tree.map(lambda a: a[split:], batches)
    if batches[0].shape[0]:
      carry, _ = jax.lax.scan(step, carry, batches)
      if snapshot_interval:
        snapshots.append(pytrees.ravel(carry[0])[0][None])
    params, opt_state, totals = carry
    counts = {"loss": num_examples, "accuracy": num_examples, "gradient_norm": num_steps}
    info = {name: total / counts[name] for name, total in totals.items()}
    if snapshots:
      info["snapshots"] = jnp.concatenate(snapshots)
    return TrainState(params, opt_state, state.epoch + 1), info

  return epoch


@functools.cache
def map_epochs(
  model: nn.Module,
  optimizer: optax.GradientTransformation,
  batch_size: int,
  **options: Any,
) -> Callable[..., tuple[TrainState, dict[str, jax.Array]]]:
  """Returns jitted `(images, labels [M, N], states, keys [M]) -> (states, info)`: M epochs.

  The same arguments give the same function, which is then not compiled again.
  """
  epoch = make_epoch(make_gradients(model), optimizer, batch_size, **options)
  return parallel.map_members(epoch, num_shared=1)


@functools.cache
def split_epochs(
  model: nn.Module,
  optimizer: optax.GradientTransformation,
  batch_size: int,
  **options: Any,
) -> Callable[..., tuple[TrainState, dict[str, jax.Array]]]:
  """Returns what `map_epochs` does for a single member, M = 1: all devices share its batches."""
  epoch = make_epoch(make_gradients(model, split=True), optimizer, batch_size, **options)

  def only(images: jax.Array, labels: jax.Array, states: TrainState, keys: jax.Array) -> Any:
    member = jax.tree.map(lambda leaf: leaf[0], (labels, states, keys))
    return jax.tree.map(lambda leaf: leaf[None], epoch(images, *member))

  return parallel.on_all_devices(only)


@functools.cache
def map_evaluate(model: nn.Module) -> Callable[..., dict[str, jax.Array]]:
  """Returns jitted `(images, labels [M, N], params) -> means` of `evaluation.make_evaluate`."""
  return parallel.map_members(evaluation.make_evaluate(model), num_shared=1)


@dataclasses.dataclass(frozen=True)
class ImageTraining:
  """What defines a training on images besides the data, the members and the streams."""

  model: nn.Module
  optimizer: optax.GradientTransformation
  batch_size: int
  num_epochs: int
  gradient_norm: bool = False  # record the mean minibatch gradient norm
  evaluate_train: bool = False  # evaluate the training set exactly after every epoch, too
  snapshot_epochs: int | None = None  # keep the parameters after every that many epochs
  snapshot_steps: int | None = None  # keep the parameters after every that many steps
  split_batches: bool = False  # all devices share every minibatch; see parallel.on_all_devices


class ImageResult(NamedTuple):
  """M trainings on images, E epochs."""

  params: PyTree  # leaves [M, ...]
  initial_params: PyTree  # leaves [M, ...]
  history: dict[str, np.ndarray]  # each [M, E]; accuracies in [0, 1], losses in nats
  snapshots: np.ndarray | None  # [M, S, P] ravelled parameters


def train_images(
  monitor: Monitor,
  name: str,
  task: ImageTraining,
  images: data.ImageData,
  keys: jax.Array,
  *,
  train_labels: np.ndarray | None = None,
  initial_params: PyTree | None = None,
) -> ImageResult:
  """Trains M members of one model on an image set and evaluates each after every epoch.

  Args:
    monitor: progress and resume.
    name: of the loop, unique within the experiment.
    task: model, optimizer, batch size, length.
    images: the data set.
    keys: [M] one random key a member; streams "init", "shuffle" and "dropout" come from it.
    train_labels: [M, N] or [N] labels to train on in place of the data set's.
    initial_params: leaves [M, ...] to start from; by default drawn from stream "init".

  Returns:
    History "train_loss" and "train_accuracy" (running means over the epoch, as the reports
    print), "test_loss" and "test_accuracy" (exact, after the epoch), with `evaluate_train` also
    "exact_train_loss" and "exact_train_accuracy", with `gradient_norm` "gradient_norm".

  Raises:
    NonFiniteError: a running loss was NaN or infinite, with run, epoch and value.
  """
  input_shape = (1, *images.train_images.shape[1:])
  if initial_params is None:
    initial_params = models.init_members(task.model, rng.streams(keys, "init"), input_shape)
  num_members = keys.shape[0]
  given = images.train_labels if train_labels is None else train_labels
  num_examples = len(images.train_labels)
  labels = np.broadcast_to(np.asarray(given), (num_members, num_examples))
  test_labels = np.broadcast_to(images.test_labels, (num_members, len(images.test_labels)))
  width = 1 if task.split_batches else parallel.round_size(num_members)
  train_set, test_set = parallel.share((images.train_images, images.test_images), width)
  run_epochs = (split_epochs if task.split_batches else map_epochs)(
    task.model,
    task.optimizer,
    task.batch_size,
    snapshot_interval=task.snapshot_steps,
    gradient_norm=task.gradient_norm,
  )
  evaluate = map_evaluate(task.model)

  def run_round(train: TrainState, rows: np.ndarray) -> tuple[TrainState, dict[str, Any]]:
    """Returns one further epoch of the members `rows` [R]: (states, what is measured of each)."""
    mine = _take((labels, test_labels, keys), rows)
    train, info = run_epochs(train_set, mine[0], train, mine[2])
    measured = {f"train_{key}": info[key] for key in ("loss", "accuracy")}
    if task.gradient_norm:
      measured["gradient_norm"] = info["gradient_norm"]
    evaluations = [("test", test_set, mine[1])]
    if task.evaluate_train:
      evaluations.append(("exact_train", train_set, mine[0]))
    for prefix, inputs, targets in evaluations:
      means = evaluate(inputs, targets, train.params)
      measured |= {f"{prefix}_{key}": value for key, value in means.items()}
    if task.snapshot_steps:
      measured["snapshots"] = info["snapshots"]
    return train, jax.device_get(measured)

  def advance(state: dict[str, Any]) -> Chunk:
    epochs = state["epochs"]  # [M], done by each member
    order = np.argsort(epochs, kind="stable")[:width]  # those that have done least go on
    rows = np.sort(order[epochs[order] < task.num_epochs])
    # A last round with fewer members repeats one of them: the same program, the same values.
    filled = np.concatenate([rows, np.repeat(rows[-1:], width - len(rows))])
    train, measured = run_round(_take(state["train"], filled), filled)
    after = epochs.copy()
    after[rows] += 1
    due = np.full(len(rows), bool(task.snapshot_steps))
    if task.snapshot_epochs:
      due = after[rows] % task.snapshot_epochs == 0
    if task.snapshot_epochs and due.any():
      measured["snapshots"] = np.asarray(_ravelled_members(train.params))[:, None]
    vectors, snapshots = measured.pop("snapshots", None), dict(state["snapshots"])
    for epoch in np.unique(after[rows][due]):
      blank = np.zeros((num_members, *vectors.shape[1:]), vectors.dtype)
      kept, these = snapshots.get(str(epoch), blank).copy(), due & (after[rows] == epoch)
      kept[rows[these]] = vectors[: len(rows)][these]
      snapshots[str(epoch)] = kept
    history = {}
    for key, values in measured.items():
      blank = np.full((num_members, task.num_epochs), np.nan, values.dtype)
      history[key] = state["history"].get(key, blank).copy()
      history[key][rows, epochs[rows]] = values[: len(rows)]
    records = [
      {"phase": name, "epoch": e + 1} | {key: history[key][:, e].tolist() for key in history}
      for e in range(int(epochs.min()), int(after.min()))
    ]
    error = None
    finite = np.isfinite(measured["train_loss"][: len(rows)])
    if not finite.all():
      m = int(rows[np.argmin(finite)])
      value = history["train_loss"][m, epochs[m]]
      error = f"{name}, run {m}: the training loss is {value} at epoch {after[m]}"
    new_state = {
      "train": _put(state["train"], filled, train),
      "epochs": after,
      "history": history,
      "snapshots": snapshots,
    }
    done = int(after.min())
    return Chunk(new_state, done, done >= task.num_epochs, records, error)

  start = jax.device_get(_init_states(initial_params, task.optimizer))
  epochs = np.zeros(num_members, np.int64)
  state: dict[str, Any] = {"train": start, "epochs": epochs, "history": {}, "snapshots": {}}
  state = monitor.loop(name, state, advance, total=task.num_epochs, unit="epochs")
  snapshots = None
  if state["snapshots"]:
    in_order = sorted(state["snapshots"].items(), key=lambda item: int(item[0]))
    snapshots = np.concatenate([vectors for _, vectors in in_order], axis=1)
  return ImageResult(state["train"].params, initial_params, dict(state["history"]), snapshots)


_ravelled_members = jax.jit(jax.vmap(lambda params: pytrees.ravel(params)[0]))


@functools.partial(jax.jit, static_argnums=1)
def _init_states(params: PyTree, optimizer: optax.GradientTransformation) -> TrainState:
  return jax.vmap(lambda member: init_state(member, optimizer))(params)


def _are_all(rows: np.ndarray, tree: PyTree) -> bool:
  return np.array_equal(rows, np.arange(jax.tree.leaves(tree)[0].shape[0]))


def _take(tree: PyTree, rows: np.ndarray) -> PyTree:
  """Returns members `rows` [R] of leaves [M, ...]."""
  return tree if _are_all(rows, tree) else jax.tree.map(lambda leaf: leaf[rows], tree)


def _put(tree: PyTree, rows: np.ndarray, new: PyTree) -> PyTree:
  """Returns leaves [M, ...] with members `rows` [R] replaced by those of `new`."""
  if _are_all(rows, tree):
    return new

  def replaced(leaf: Any, part: np.ndarray) -> np.ndarray:
    leaf = np.array(leaf)
    leaf[rows] = part
    return leaf

  return jax.tree.map(replaced, tree, jax.device_get(new))


def train_family(
  monitor: Monitor,
  family: Mapping[str, nn.Module],
  optimizer: optax.GradientTransformation,
  images: data.ImageData,
  keys: jax.Array,
  *,
  batch_size: int,
  num_epochs: int,
  split_batches: bool = False,
) -> dict[str, np.ndarray]:
  """Trains every model of a family, M members each, and returns what is compared among them.

  Member m of every model has the random streams of keys[m], so comparisons pair by run.

  Returns:
    "num_parameters" [K]; the histories of `train_images`, each [K, M, E]; "exact_train_loss" and
    "exact_train_accuracy" [K, M], over the whole training set after the last epoch, no dropout.
  """
  found: dict[str, list[Any]] = {}
  shape = (1, *images.train_images.shape[1:])
  for name, model in family.items():
    task = ImageTraining(model, optimizer, batch_size, num_epochs, split_batches=split_batches)
    trained = train_images(monitor, name, task, images, keys)
    evaluate = parallel.map_members(evaluation.make_evaluate(model), num_shared=2)
    exact = evaluate(images.train_images, images.train_labels, trained.params)
    measured = {"num_parameters": models.count_parameters(model, shape), **trained.history}
    measured |= {f"exact_train_{key}": np.asarray(means) for key, means in exact.items()}
    for key, values in measured.items():
      found.setdefault(key, []).append(values)
  return {key: np.stack(values) for key, values in found.items()}
