"""Training on minibatches of images, several members at once, [M].

A member has its own parameters and random streams; see `full_batch` for full-batch training with a
stop rule.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from flax import linen as nn

from hw1_jax import data, devices, models, pytrees, rng
from hw1_jax.loops import Chunk, Monitor
from hw1_jax.training import evaluation, losses, rounds
from hw1_jax.training.epoch import make_epoch, shuffle
from hw1_jax.training.state import PyTree, TrainState, init_states
from hw1_jax.training.step import make_gradients


@functools.cache
def map_epochs(
  model: nn.Module,
  optimizer: optax.GradientTransformation,
  batch_size: int,
  *,
  loss: losses.Loss = losses.cross_entropies,
  **options: Any,
) -> Callable[..., tuple[TrainState, dict[str, jax.Array]]]:
  """Returns jitted `(images, labels [M, N], states, keys [M]) -> (states, info)`: M epochs.

  The same arguments give the same function, which is then not compiled again.
  """
  epoch = make_epoch(make_gradients(model, loss=loss), optimizer, batch_size, **options)
  return _in_order(devices.map_members(epoch, num_shared=1))


def _in_order(epochs: Callable[..., Any]) -> Callable[..., Any]:
  """Returns the epochs of M members in the orders of `shuffle`, drawn before."""

  def run(images: jax.Array, labels: jax.Array, states: TrainState, keys: jax.Array) -> Any:
    orders = _map_shuffle(images.shape[0])(keys, states.epoch)
    return epochs(images, labels, states, keys, orders)

  return run


@functools.cache
def _map_shuffle(num_examples: int) -> Callable[[jax.Array, jax.Array], jax.Array]:
  return devices.map_members(functools.partial(shuffle, num_examples=num_examples), draws=True)


@functools.cache
def split_epochs(
  model: nn.Module,
  optimizer: optax.GradientTransformation,
  batch_size: int,
  *,
  loss: losses.Loss = losses.cross_entropies,
  **options: Any,
) -> Callable[..., tuple[TrainState, dict[str, jax.Array]]]:
  """Returns what `map_epochs` does for a single member, M = 1: all devices share its batches."""
  epoch = make_epoch(make_gradients(model, loss=loss, split=True), optimizer, batch_size, **options)

  def only(images: jax.Array, *members: PyTree) -> Any:
    return jax.tree.map(lambda leaf: leaf[None], epoch(images, *pytrees.member(members, 0)))

  return _in_order(devices.on_all_devices(only))


@functools.cache
def map_evaluate(
  model: nn.Module, loss: losses.Loss = losses.cross_entropies, *, same_labels: bool = False
) -> Callable[..., dict[str, jax.Array]]:
  """Returns jitted `(images, labels [M, N], params) -> means` of `evaluation.make_evaluate`.

  With `same_labels`, those of all members are one array [N].
  """
  shared = 2 if same_labels else 1
  return devices.map_members(evaluation.make_evaluate(model, loss=loss), num_shared=shared)


@dataclasses.dataclass(frozen=True)
class ImageTraining:
  """What defines a training on images besides the data, the members and the streams."""

  model: nn.Module
  optimizer: optax.GradientTransformation
  batch_size: int
  num_epochs: int
  loss: losses.Loss = losses.cross_entropies  # trained on, and measured
  gradient_norm: bool = False  # record the mean minibatch gradient norm, global and per tensor
  minibatch: int | None = None  # record the loss of the minibatch of this number; see make_epoch
  evaluate_train: bool = False  # evaluate the training set exactly after every epoch, too
  snapshot_epochs: int | None = None  # keep the parameters after every that many epochs
  snapshot_steps: int | None = None  # keep the parameters after every that many steps
  split_batches: bool = False  # all devices share every minibatch; see devices.on_all_devices


class ImageResult(NamedTuple):
  """M trainings on images, E epochs."""

  params: PyTree  # leaves [M, ...]
  initial_params: PyTree  # leaves [M, ...]
  history: dict[str, np.ndarray]  # each [M, E]; accuracies in [0, 1], cross-entropies in nats
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
    "exact_train_loss" and "exact_train_accuracy", with `gradient_norm` "gradient_norm" and
    "tensor_norm", with `minibatch` "minibatch_loss"; see `make_epoch`.

  Raises:
    NonFiniteError: a loss, of training or test, was NaN or infinite, with run, epoch and value.
  """
  if initial_params is None:
    input_shape = (1, *images.train_images.shape[1:])
    initial_params = models.init_members(task.model, rng.streams(keys, "init"), input_shape)
  num_members = keys.shape[0]
  width = 1 if task.split_batches else devices.round_size(num_members)
  run_round = _make_round(task, images, keys, train_labels, width)

  def advance(state: dict[str, Any]) -> Chunk:
    epochs, after = state["epochs"], state["epochs"].copy()  # [M], done by each member
    rows, filled = rounds.choose(epochs, width, task.num_epochs)
    train, measured = run_round(rounds.take(state["train"], filled), filled)
    after[rows] += 1
    due = _due(task, after[rows])
    if task.snapshot_epochs and due.any():
      measured["snapshots"] = np.asarray(pytrees.ravel_members(train.params))[:, None]
    measured = {key: values[: len(rows)] for key, values in measured.items()}
    vectors = measured.pop("snapshots", np.zeros(0))
    history = rounds.record(state["history"], measured, rows, epochs, task.num_epochs)
    records = [
      {"phase": name, "epoch": e + 1} | {key: history[key][:, e].tolist() for key in history}
      for e in range(int(epochs.min()), int(after.min()))
    ]
    new_state = {
      "train": rounds.put(state["train"], filled, train),
      "epochs": after,
      "history": history,
      "snapshots": rounds.keep(state["snapshots"], vectors, rows, after, due),
    }
    done, error = int(after.min()), rounds.find_error(name, measured, rows, epochs)
    return Chunk(new_state, done, done >= task.num_epochs, records, error)

  start = jax.device_get(init_states(initial_params, task.optimizer))
  epochs = np.zeros(num_members, np.int64)
  state: dict[str, Any] = {"train": start, "epochs": epochs, "history": {}, "snapshots": {}}
  state = monitor.loop(name, state, advance, total=task.num_epochs, unit="epochs")
  monitor.keep(name, state["train"].params, images.train_images.shape[1:])
  snapshots = rounds.in_order(state["snapshots"])
  return ImageResult(state["train"].params, initial_params, dict(state["history"]), snapshots)


def _due(task: ImageTraining, epochs: np.ndarray) -> np.ndarray:
  """Returns whose parameters are kept after these epochs, bool [R]."""
  if task.snapshot_epochs:
    return epochs % task.snapshot_epochs == 0
  return np.full(len(epochs), bool(task.snapshot_steps))


def _make_round(
  task: ImageTraining,
  images: data.ImageData,
  keys: jax.Array,
  train_labels: np.ndarray | None,
  width: int,
) -> Callable[[TrainState, np.ndarray], tuple[TrainState, dict[str, Any]]]:
  """Returns `(states of members, rows [R]) -> (states, what is measured of each)`: one epoch."""
  num_members = keys.shape[0]
  given = images.train_labels if train_labels is None else train_labels
  labels = np.broadcast_to(np.asarray(given), (num_members, len(images.train_labels)))
  if labels.size and not 0 <= labels.min() <= labels.max() < images.num_classes:
    got = f"{labels.min()} to {labels.max()}"  # a class of -1 would be computed with as the last
    raise ValueError(f"train_labels: got {got}, expected 0 to {images.num_classes - 1}")
  test_labels = np.broadcast_to(images.test_labels, (num_members, len(images.test_labels)))
  train_set, test_set = devices.share((images.train_images, images.test_images), width)
  run_epochs = (split_epochs if task.split_batches else map_epochs)(
    task.model,
    task.optimizer,
    task.batch_size,
    loss=task.loss,
    snapshot_interval=task.snapshot_steps,
    gradient_norm=task.gradient_norm,
    minibatch=task.minibatch,
  )
  evaluate = map_evaluate(task.model, task.loss)

  def run_round(train: TrainState, rows: np.ndarray) -> tuple[TrainState, dict[str, Any]]:
    mine = rounds.take((labels, test_labels, keys), rows)
    train, info = run_epochs(train_set, mine[0], train, mine[2])
    measured = {f"train_{key}": info[key] for key in ("loss", "accuracy")}
    measured |= {key: info[key] for key in info if key not in ("loss", "accuracy")}
    evaluations = [("test", test_set, mine[1])]
    if task.evaluate_train:
      evaluations.append(("exact_train", train_set, mine[0]))
    for prefix, inputs, targets in evaluations:
      means = evaluate(inputs, targets, train.params)
      measured |= {f"{prefix}_{key}": value for key, value in means.items()}
    return train, jax.device_get(measured)

  return run_round


def train_family(
  monitor: Monitor,
  family: Mapping[str, nn.Module],
  optimizer: optax.GradientTransformation,
  images: data.ImageData,
  keys: jax.Array,
  *,
  batch_size: int,
  num_epochs: int,
  loss: losses.Loss = losses.cross_entropies,
  split_batches: bool = False,
  minibatch: int | None = None,
) -> dict[str, np.ndarray]:
  """Trains every model of a family, M members each, and returns what is compared among them.

  Member m of every model has the random streams of keys[m], so comparisons pair by run.

  Returns:
    "num_parameters" [K]; "num_test" [K], the test examples; the histories of `train_images`, each
    [K, M, E]; "exact_train_loss" and "exact_train_accuracy" [K, M], over the whole training set
    after the last epoch, no dropout.
  """
  found: dict[str, list[Any]] = {}
  shape = (1, *images.train_images.shape[1:])
  for name, model in family.items():
    task = ImageTraining(
      model,
      optimizer,
      batch_size,
      num_epochs,
      loss,
      split_batches=split_batches,
      minibatch=minibatch,
    )
    trained = train_images(monitor, name, task, images, keys)
    evaluate = map_evaluate(model, loss, same_labels=True)
    exact = evaluate(images.train_images, images.train_labels, trained.params)
    counts = {"num_parameters": models.count_parameters(model, shape)}
    counts["num_test"] = len(images.test_labels)
    measured = {**counts, **trained.history}
    measured |= {f"exact_train_{key}": np.asarray(means) for key, means in exact.items()}
    for key, values in measured.items():
      found.setdefault(key, []).append(values)
  return {key: np.stack(values) for key, values in found.items()}
