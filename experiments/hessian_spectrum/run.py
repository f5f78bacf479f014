"""Settings, result, and the computation."""

import dataclasses
from typing import Any, NamedTuple

import jax
import numpy as np

from hw1_jax import analysis, data, models, pytrees, rng, training
from hw1_jax.errors import UserError
from hw1_jax.loops import Monitor
from hw1_jax.runs.settings import setting
from hw1_jax.training import losses, optimizers

from .. import settings as shared
from .measures import make_batch, make_measure, make_top


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(shared.ImageSettings):
  """Settings; the defaults are our choice, the network the long report's."""

  widths: str = shared.mlps("500")
  activation: str = shared.activation()
  learning_rate: float = shared.learning_rate(1e-3)
  batch_size: int = shared.batch_size(600)
  num_epochs: int = shared.num_epochs(20)
  snapshot_epochs: int = setting(5, "epochs between two spectra", minimum=1)
  spectrum_examples: int = setting(10_000, "the loss's first training examples", minimum=10)
  num_probes: int = setting(4, "random probes of the quadrature", minimum=2, maximum=1000)
  num_steps: int = setting(100, "Lanczos steps, PyHessian's default", minimum=15, maximum=1000)
  num_pairs: int = setting(12, "largest eigenpairs", minimum=2, maximum=100)
  descent_rates: tuple[float, ...] = setting(
    (0.5, 0.2, 0.1), "learning rates of full-batch gradient descent", above=0, unique=True
  )
  descent_examples: int = setting(1000, "training examples of gradient descent", minimum=10)
  descent_points: int = setting(60, "largest eigenvalues along gradient descent", minimum=3)
  descent_steps: int = setting(25, "steps between two of them", minimum=1)
  classes: tuple[int, ...] = setting(
    (2, 4, 6, 8, 10), "numbers of classes", minimum=2, maximum=10, unique=True
  )
  num_runs: int = shared.num_runs(2, "initial weights of the trainings, not of gradient descent")

  def __post_init__(self) -> None:
    super().__post_init__()
    whole = self.num_epochs % self.snapshot_epochs == 0
    self.require(whole, "num_epochs", "a multiple of snapshot_epochs")
    self.require(self.num_pairs < self.num_steps, "num_pairs", "less than num_steps")


class Result(NamedTuple):
  """M runs, S snapshots, K probes, m Lanczos steps; R rates, T points; C numbers of classes.

  `spectra` has, for "hessian" and "gauss_newton" each as "hessian_nodes" and so on: nodes and
  weights [M, S, K, m], top [M, S, k] descending, bottom [M, S], their residuals [M, S, k + 1],
  trace, trace_error, square, square_error [M, S] float32; square is the squared Frobenius norm.
  """

  num_parameters: np.ndarray  # [] int
  epochs: np.ndarray  # [S] int
  loss: np.ndarray  # [M, S] float32 nats, over the spectrum's examples
  spectra: dict[str, np.ndarray]  # float32, see above; eigenvalues in nats per squared unit of θ
  descent_rates: np.ndarray  # [R] float64
  descent_steps: np.ndarray  # [T] int
  sharpness: np.ndarray  # [R, T] float32 largest eigenvalue along gradient descent, of the MSE
  descent_loss: np.ndarray  # [R, T] float32 MSE between outputs and one-hot labels
  classes: np.ndarray  # [C] int
  class_top: np.ndarray  # [C, M, k] float32 largest eigenvalues of the Hessian, nats
  class_residuals: np.ndarray  # [C, M, k] float32 their residual norms


def descend(
  config: Config, model: Any, images: data.ImageData, monitor: Monitor
) -> dict[str, np.ndarray]:
  """Returns "sharpness" and "loss" [R, T] along full-batch gradient descent at every rate."""
  x = data.as_float(images.train_images[: config.descent_examples])
  y = jax.nn.one_hot(images.train_labels[: config.descent_examples], images.num_classes)
  key = rng.stream(jax.random.key(config.seed), "descent")
  forward, start = models.ravelled(model, key[None], (1, *x.shape[1:]))

  def loss(theta: jax.Array, batch: tuple[jax.Array, jax.Array]) -> jax.Array:
    return losses.mse(forward(theta, batch[0]), batch[1])

  return analysis.sharpness_along_descent(
    monitor, "gradient descent", loss, start[0], (x, y), config.descent_rates, key,
    num_points=config.descent_points, num_steps=config.descent_steps,
  )  # fmt: skip


def run(config: Config, images: data.ImageData, monitor: Monitor) -> Result:
  """Returns the spectra over a training, the edge of stability, and the outliers by classes."""
  model = models.make_mlp(
    config.widths, images.num_classes, images.train_images.shape[1:], activation=config.activation
  )
  size = models.count_parameters(model, (1, *images.train_images.shape[1:]))
  if config.num_steps > size:
    raise UserError("num_steps", config.num_steps, f"at most {size}, the network's parameters")
  optimizer = optimizers.make_optimizer(config.optimizer, config.learning_rate)
  keys = rng.member_keys(config.seed, config.num_runs)
  measure = make_measure(
    model, num_probes=config.num_probes, num_steps=config.num_steps, num_largest=config.num_pairs
  )
  top = make_top(model, num_steps=config.num_steps, num_largest=config.num_pairs)

  def train(name: str, seen: data.ImageData, every: int) -> tuple[np.ndarray, Any]:
    task = training.ImageTraining(
      model, optimizer, config.batch_size, config.num_epochs, snapshot_epochs=every
    )
    trained = training.train_images(monitor, name, task, seen, keys)
    start = pytrees.ravel_members(trained.initial_params)
    unravel = pytrees.unravel_like(pytrees.member(trained.params, 0))
    return np.concatenate([np.asarray(start)[:, None], trained.snapshots], axis=1), unravel

  def over(name: str, measure: Any, seen: data.ImageData, vectors: np.ndarray, unravel: Any) -> Any:
    batch = make_batch(
      data.as_float(seen.train_images[: config.spectrum_examples]),
      seen.train_labels[: config.spectrum_examples],
    )
    flat = vectors.reshape(-1, vectors.shape[-1])

    def one(indices: np.ndarray) -> dict[str, np.ndarray]:
      key = jax.random.fold_in(rng.stream(keys[0], "probes"), int(indices[0]))
      found = measure(batch, unravel(flat[indices[0]]), key)
      return {key: np.asarray(value)[None] for key, value in found.items()}

    found = monitor.map(f"spectra, {name}", one, len(flat), unit="spectra")
    return {k: v.reshape(*vectors.shape[:-1], *v.shape[1:]) for k, v in found.items()}

  snapshots, unravel = train("training", images, config.snapshot_epochs)
  found = over("training", measure, images, snapshots, unravel)
  along = descend(config, model, images, monitor)
  tops = []
  few = int(np.sum(images.train_labels < min(config.classes)))  # equally many, whatever C
  for count in config.classes:
    rows = np.flatnonzero(images.train_labels < count)[:few]
    seen = dataclasses.replace(
      images, train_images=images.train_images[rows], train_labels=images.train_labels[rows]
    )
    vectors, unravel = train(f"{count} classes", seen, config.num_epochs)
    tops.append(over(f"{count} classes", top, seen, vectors[:, -1], unravel))
  epochs = np.arange(snapshots.shape[1]) * config.snapshot_epochs
  return Result(
    np.asarray(snapshots.shape[-1]), epochs, found.pop("loss"),
    found, np.array(config.descent_rates),
    np.arange(config.descent_points) * config.descent_steps, along["sharpness"], along["loss"],
    np.array(config.classes), np.stack([part["top"] for part in tops]),
    np.stack([part["residuals"] for part in tops]),
  )  # fmt: skip
