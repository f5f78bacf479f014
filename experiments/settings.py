"""The settings that experiments share: each declared once, with bounds, help and source.

A function here returns a field of a Config; its argument is the experiment's own default:

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Config(FunctionSettings):
      learning_rate: float = learning_rate(1e-3)
"""

import dataclasses
import math
from typing import Any, ClassVar

from hw1_jax import data, models, own
from hw1_jax.errors import UserError
from hw1_jax.runs.memory import Need
from hw1_jax.runs.settings import ImageSettings as RunImageSettings
from hw1_jax.runs.settings import Settings, setting
from hw1_jax.training import losses, optimizers


def widths(default: Any, help: str = "hidden widths of the MLP") -> Any:
  """Returns the field of an MLP's hidden widths, or of several MLPs'."""
  return setting(default, help, pattern=models.WIDTHS, unique=True)


def mlps(default: Any, help: str = "hidden widths of the MLP") -> Any:
  """Returns the field of one or several MLPs, or networks of one's own: see `models.make_mlp`."""
  return setting(default, help, pattern=_or_own(models.WIDTHS), unique=True)


def architectures(default: Any, help: str = "the CNN") -> Any:
  """Returns the field of a CNN, or of several; see `require_fitting_images`."""
  return setting(default, help, pattern=_or_own(models.CONVOLUTIONS), unique=True)


def _or_own(pattern: tuple[str, str]) -> tuple[str, str]:
  """Returns the pattern of what `pattern` says, or a function that makes a network."""
  return f"{pattern[0]}|{own.NAME[0]}", f"{pattern[1]}, or {own.NAME[1]}"


def targets(default: Any, help: str = "function to fit") -> Any:
  """Returns the field of one or several functions to fit."""
  return setting(default, help, choices=tuple(data.TARGETS), pattern=data.OWN_TARGET, unique=True)


def activation(default: str = "relu") -> Any:
  """Returns the field of the activation between layers."""
  return setting(default, "between layers", choices=tuple(models.ACTIVATIONS))


def loss(default: str, help: str = "what is trained on, and measured") -> Any:
  """Returns the field of the loss: the reports', or one of your own; see `losses.make_loss`."""
  return setting(default, help, choices=(default,), pattern=own.NAME, later=True)


def learning_rate(default: Any, help: str = "step size of the optimizer") -> Any:
  """Returns the field of one or several step sizes."""
  return setting(default, help, above=0, maximum=100)


def weight_decay(default: Any, help: str = "L2 term added to the gradient, PyTorch's way") -> Any:
  """Returns the field of one or several L2 terms."""
  return setting(default, help, minimum=0, maximum=100)


def batch_size(default: Any, help: str = "examples a step") -> Any:
  """Returns the field of one or several batch sizes."""
  return setting(default, help, minimum=1, maximum=1_000_000)


def num_epochs(default: Any, help: str = "epochs") -> Any:
  """Returns the field of one or several lengths."""
  return setting(default, help, minimum=1, maximum=10_000_000)


def num_runs(default: int, help: str = "repetitions, each from its own initial weights") -> Any:
  """Returns the field of the number of independent runs."""
  return setting(default, help, minimum=1, maximum=10_000)


def convolution() -> Any:
  """Returns the field of the form of convolutions: a matter of speed only."""
  help = "form of the convolutions; auto: matmul on CPU, lax elsewhere"
  return setting("auto", help, choices=models.CONVOLUTION_FORMS)


def split_batches() -> Any:
  """Returns the field of how devices share the work, for experiments with large batches."""
  help = "all devices share every minibatch of one training after the other; on CPU with processes"
  return setting(False, help)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingSettings(Settings):
  """What every experiment that trains has."""

  optimizer: str = setting("adam", "PyTorch's", choices=optimizers.NAMES, pattern=own.NAME)
  momentum: float = setting(0.0, "of sgd, PyTorch's", minimum=0, below=1)
  report: str = setting("long", "whose numbers and claims to judge", choices=("long", "short"))

  def __post_init__(self) -> None:
    super().__post_init__()
    has_momentum = self.optimizer == "sgd" or own.is_own(self.optimizer)
    self.require(not self.momentum or has_momentum, "momentum", f"0 with {self.optimizer}")

  def make_optimizer(self, learning_rate: float, weight_decay: float) -> Any:
    """Returns the optimizer that the settings name, as an optax transformation."""
    return optimizers.make_optimizer(self.optimizer, learning_rate, weight_decay, self.momentum)

  def make_loss(self) -> losses.Loss:
    """Returns each example's loss, as the setting `loss` names it; see `losses.make_loss`."""
    return losses.make_loss(getattr(self, "loss"))  # noqa: B009 not every experiment has it

  @property
  def as_reported(self) -> bool:
    """Returns whether data and loss are the reports', whose numbers else stand beside none."""
    known = getattr(self, "dataset", "mnist") == "mnist"
    return known and not own.is_own(getattr(self, "loss", ""))

  def words(self, text: str) -> str:
    """Returns a text of the loss and its unit, of your own loss with its name in their place."""
    name = getattr(self, "loss", "")
    if not own.is_own(name):
      return text
    text = text.replace("cross-entropy (nats)", "loss (nats)")
    return text.replace("nats", name).replace("MSE", name)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FunctionSettings(TrainingSettings):
  """Full-batch training on a function: evenly spaced points, until a stop rule holds."""

  activation: str = activation()
  num_points: int = setting(300, "training points in [-1, 1]", minimum=3, maximum=100_000)

  measures: ClassVar[int] = 1  # numbers recorded of every epoch

  def memory_need(self) -> Need | None:
    """Returns what the recorded epochs take: every training's, the one under way three times.

    Measured: 4 runs of 10^7 epochs with two measures, 0.32 GB, take 0.90 GB.
    """
    names = (getattr(self, name, "") for name in ("widths", "targets"))
    trainings = math.prod(len(name) if isinstance(name, tuple) else 1 for name in names)
    runs, epochs = getattr(self, "num_runs"), getattr(self, "num_epochs")  # noqa: B009 of all
    history = 4.0 * runs * epochs * self.measures
    what = f"the losses of {runs} runs of {epochs} epochs"
    return Need((trainings + 2) * history, "num_epochs", str(epochs), what, "use fewer of either")

  def __post_init__(self) -> None:
    super().__post_init__()
    for field in ("target", "targets"):
      names = getattr(self, field, ())
      for name in (names,) if isinstance(names, str) else names:
        try:
          if not own.is_own(name):  # which is imported when it is needed
            data.make_target(name)
        except UserError as error:
          what = field if error.what == "target" else error.what
          raise UserError(what, error.got, error.expected, error.remedy) from None


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoppedSettings(FunctionSettings):
  """Training until the stop rule of the long report's notebooks holds (`StopRule`)."""

  loss_below: float = setting(1e-3, "stop rule: the loss is below this; 0: no stop", minimum=0)
  change_below: float = setting(1e-5, "stop rule: the last two changes are below", minimum=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageSettings(TrainingSettings, RunImageSettings):
  """Training on minibatches of an image set."""

  def trained(self) -> tuple[Any, ...]:
    """Returns the networks that are trained, as their settings write them."""
    chosen = {"mlp": "widths", "cnn": "architecture"}.get(getattr(self, "model", "mlp"), "model")
    names = ("specs", chosen, "architectures")
    value = next((getattr(self, name) for name in names if hasattr(self, name)), ())
    return value if isinstance(value, tuple) else (value,)

  def memory_need(self) -> Need | None:
    """Returns what the largest network's runs take at least: four times their weights, and copies.

    The weights, where they started, and Adam's two moments; a copy for each snapshot. None for your
    own network or images, whose sizes are known later.
    """
    specs, side = self.trained(), data.IMAGE_SIZES.get(self.dataset)
    if (
      not specs
      or side is None
      or any(not isinstance(spec, str) or own.is_own(spec) for spec in specs)
    ):
      return None
    shape = (side, side, 1)
    makers = [models.make_cnn if "/" in spec else models.make_mlp for spec in specs]
    networks = [make(spec, 10, shape) for make, spec in zip(makers, specs)]
    size = max(models.count_parameters(network, (1, *shape)) for network in networks)
    runs, every = getattr(self, "num_runs", 1), getattr(self, "snapshot_epochs", None)
    kept = getattr(self, "num_epochs", 0) // every if every else 0
    what = f"{runs} runs of {size} weights with {kept} snapshots"
    return Need(4.0 * runs * size * (4 + kept), "num_runs", str(runs), what,
                "use fewer runs, snapshots or weights")  # fmt: skip

  def __post_init__(self) -> None:
    super().__post_init__()
    if size := data.IMAGE_SIZES.get(self.dataset):
      self.require_fitting_images(size, size)

  def check_images(self, images: data.ImageData) -> None:
    """Raises UserError unless the convolutions of all CNNs fit the images."""
    self.require_fitting_images(*images.train_images.shape[1:3])

  def require_fitting_images(self, height: int, width: int) -> None:
    """Raises UserError unless the convolutions of all CNNs fit images of this size."""
    for name in ("architecture", "architectures"):
      specs = getattr(self, name, ())
      for spec in (specs,) if isinstance(specs, str) else specs:
        if own.is_own(spec):
          continue
        size = models.smallest_image(models.parse_cnn(spec))
        self.require(
          size <= min(height, width),
          name,
          f"convolutions for images of {height} x {width}; {spec} needs at least {size} x {size}, "
          "so use fewer layers, smaller kernels or less pooling",
        )
