"""1.3.3 Flatness vs. generalization, part 1: the loss on the line between two solutions.

One network is trained in two ways (pair A: two batch sizes; pair B: two learning rates), and loss
and accuracy are measured at theta(alpha) = (1 - alpha) theta_1 + alpha theta_2. With
--retrain_epochs each theta(alpha) is then trained on and measured again, as the long report did.

    F=experiments/flags/long_report
    python -m experiments.interpolation --flagfile=$F/interpolation.flags

Source: assignment 1-3, "flatness vs. generalization"; long report 1.3.3 and its notebooks.
Cost: 4 minutes on 2 CPU cores with the long report's settings, half of them for the models that are
trained on.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hw1_jax import analysis, data, devices, models, pytrees, rng, training
from hw1_jax.loops import Monitor
from hw1_jax.report import figures
from hw1_jax.runs.experiment import Experiment
from hw1_jax.runs.main import main
from hw1_jax.runs.settings import REPORT, Settings, setting
from hw1_jax.summary import Claim, Number, Summary, claim, judge, spread
from hw1_jax.training import optimizers


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
  """Settings; the defaults are the long report's.

  Four trainings: pair A's two, then pair B's two. A flag of one value holds for all of them.
  """

  dataset: str = setting("mnist", "image set", choices=data.IMAGE_SETS)
  train_examples: int | None = setting(None, "use only the first ones; none: all", minimum=1)
  test_examples: int | None = setting(None, "use only the first ones; none: all", minimum=1)
  widths: str = setting("500", "hidden widths of the MLP", pattern=models.WIDTHS)
  activation: str = setting("relu", "between layers", choices=tuple(models.ACTIVATIONS))
  optimizer: str = setting("adam", "PyTorch's", choices=optimizers.NAMES)
  batch_size: tuple[int, ...] = setting(
    (64, 1000, 64, 64), "examples a step: of pair A's two trainings, then of pair B's", minimum=1
  )
  learning_rate: tuple[float, ...] = setting(
    (1.5e-3, 1.5e-3, 1e-3, 1e-2), "step size, likewise", above=0, maximum=100
  )
  weight_decay: tuple[float, ...] = setting(
    (1e-4, 1e-4, 0.0, 0.0), "L2 term added to the gradient, likewise", minimum=0, maximum=100
  )
  num_epochs: tuple[int, ...] = setting((15, 15, 5, 5), "epochs, likewise", minimum=1,
                                        maximum=100_000)  # fmt: skip
  same_start: bool = setting(
    False, "a pair's two trainings have the same initial weights and random streams"
  )
  alpha_min: float = setting(-2.0, "smallest alpha", minimum=-1000, maximum=1000)
  alpha_max: float = setting(2.0, "largest alpha", minimum=-1000, maximum=1000)
  num_alphas: int = setting(31, "evenly spaced values of alpha", minimum=2, maximum=100_000)
  retrain_epochs: int = setting(
    0, "also train each interpolated model on for so many epochs", minimum=0, maximum=1000
  )
  retrain_batch_size: tuple[int, ...] = setting((100, 100), "for pair A and pair B", minimum=1)
  retrain_learning_rate: tuple[float, ...] = setting(
    (4e-4, 1e-3), "for pair A and pair B", above=0, maximum=100
  )
  retrain_weight_decay: tuple[float, ...] = setting(
    (1e-4, 0.0), "for pair A and pair B", minimum=0, maximum=100
  )
  num_runs: int = setting(3, "repetitions, each from its own initial weights", minimum=1,
                          maximum=1000)  # fmt: skip
  report: str = REPORT

  def __post_init__(self) -> None:
    super().__post_init__()
    self.require(self.alpha_min < self.alpha_max, "alpha_min", f"below {self.alpha_max:g}")
    for prefix, names, count in (
      ("", ("batch_size", "learning_rate", "weight_decay", "num_epochs"), 4),
      ("retrain_", ("batch_size", "learning_rate", "weight_decay"), 2),
    ):
      for name in names:
        length = len(getattr(self, prefix + name))
        self.require(length in (1, count), prefix + name, f"1 or {count} values")

  def value(self, name: str, index: int) -> Any:
    """Returns the value of a flag for a training or a pair, by index."""
    values = getattr(self, name)
    return values[index] if len(values) > 1 else values[0]


PAIRS = ("batch", "learning_rate")
TITLES = {"batch": "batch pair", "learning_rate": "learning-rate pair"}
CURVES = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")


class Result(NamedTuple):
  """Keys of the dicts: 'PAIR' or 'PAIR/CURVE'; M runs, P parameters, A alphas.

  Losses in nats, accuracies in [0, 1], means over the whole set.
  """

  alphas: np.ndarray  # [A] float64
  start_params: dict[str, np.ndarray]  # 'PAIR': [M, P] float32, theta_1, at alpha 0
  end_params: dict[str, np.ndarray]  # 'PAIR': [M, P] float32, theta_2, at alpha 1
  evaluated: dict[str, np.ndarray]  # 'PAIR/CURVE': [M, A] float32
  ends: dict[str, np.ndarray]  # 'PAIR/CURVE': [M, 2], the two models themselves
  retrained: dict[str, np.ndarray] = {}  # 'PAIR/CURVE': [M, A]; absent without retraining  # noqa: RUF012


def describe(config: Config, pair: int) -> tuple[str, str]:
  """Returns what distinguishes the two trainings of a pair, such as ('batch 64', 'batch 1000')."""
  words = {"batch_size": "batch", "learning_rate": "lr", "weight_decay": "wd",
           "num_epochs": "epochs"}  # fmt: skip
  names = []
  for training_index in (2 * pair, 2 * pair + 1):
    differing = [
      f"{word} {config.value(name, training_index):g}"
      for name, word in words.items()
      if config.value(name, 2 * pair) != config.value(name, 2 * pair + 1)
    ]
    names.append(", ".join(differing) or f"training {training_index % 2 + 1}")
  return names[0], names[1]


def run(config: Config, images: data.ImageData, monitor: Monitor) -> Result:
  """Returns the four trainings and the curves between the two of a pair."""
  model = models.MLP((*models.parse_widths(config.widths), images.num_classes), config.activation)
  alphas = np.linspace(config.alpha_min, config.alpha_max, config.num_alphas)
  keys = rng.member_keys(config.seed, config.num_runs)
  sets = {
    "train": (jnp.asarray(images.train_images), jnp.asarray(images.train_labels)),
    "test": (jnp.asarray(images.test_images), jnp.asarray(images.test_labels)),
  }
  along = devices.map_members(
    lambda images, labels, alphas, start, end: measure(images, labels, start, end, alphas),
    num_shared=3,
  )
  measure = analysis.make_interpolate_mlp(model)
  # The two models themselves are measured, too: the grid need not hold 0 and 1.
  points = jnp.asarray([*alphas, 0.0, 1.0], jnp.float32)
  ravel = jax.vmap(lambda tree: pytrees.ravel(tree)[0])
  result: dict[str, dict[str, np.ndarray]] = {name: {} for name in Result._fields[1:]}
  for i, pair in enumerate(PAIRS):
    solutions = []
    for j in (2 * i, 2 * i + 1):
      task = training.ImageTraining(
        model,
        optimizers.make_optimizer(
          config.optimizer, config.value("learning_rate", j), config.value("weight_decay", j)
        ),
        config.value("batch_size", j),
        config.value("num_epochs", j),
      )
      name = f"{pair} {j % 2 + 1}"
      own = keys if config.same_start else rng.streams(keys, name)
      trained = training.train_images(monitor, name, task, images, own)
      solutions.append(trained.params)
    start, end = solutions
    result["start_params"][pair], result["end_params"][pair] = (
      np.asarray(ravel(params)) for params in solutions
    )
    for name, (inputs, labels) in sets.items():
      for key, curve in along(inputs, labels, points, start, end).items():
        result["evaluated"][f"{pair}/{name}_{key}"] = np.asarray(curve)[:, :-2]
        result["ends"][f"{pair}/{name}_{key}"] = np.asarray(curve)[:, -2:]
    if config.retrain_epochs:
      # A map keeps the curves only; the state of a loop over all of these models would be 1 GB.
      task = retraining(config, model, i)
      curves = monitor.map(
        f"{pair}: train on",
        lambda runs, task=task, start=start, end=end: retrain(  # type: ignore[misc]
          task, images, int(runs[0]), keys, alphas, start, end
        ),
        config.num_runs,
      )
      result["retrained"] |= {f"{pair}/{name}": curves[name] for name in CURVES}
  return Result(alphas, **result)


def retraining(config: Config, model: models.MLP, pair: int) -> training.ImageTraining:
  """Returns how the interpolated models of a pair are trained on."""
  rate, decay = (
    config.value(f"retrain_{name}", pair) for name in ("learning_rate", "weight_decay")
  )
  return training.ImageTraining(
    model,
    optimizers.make_optimizer(config.optimizer, rate, decay),
    config.value("retrain_batch_size", pair),
    config.retrain_epochs,
    evaluate_train=True,
  )


def retrain(
  task: training.ImageTraining,
  images: data.ImageData,
  m: int,
  keys: jax.Array,
  alphas: np.ndarray,
  start: Any,
  end: Any,
) -> dict[str, np.ndarray]:
  """Returns the four curves, [1, A] each, of run m's interpolated models after training on."""
  ends = pytrees.member(start, m), pytrees.member(end, m)
  points = jnp.asarray(alphas, jnp.float32)
  thetas = jax.vmap(lambda alpha: pytrees.lerp(*ends, alpha))(points)
  # One data order for all alphas: the curve then shows alpha, not the order's noise.
  own = jnp.stack([rng.stream(keys[m], "retrain")] * len(alphas))
  trained = training.train_images(
    Monitor(), f"run {m + 1}: train on", task, images, own, initial_params=thetas
  )
  sources = ("exact_train_loss", "exact_train_accuracy", "test_loss", "test_accuracy")
  return {name: trained.history[source][None, :, -1] for name, source in zip(CURVES, sources)}


def epochs_in_words(count: int) -> str:
  """Returns '1 epoch' or '2 epochs'."""
  return f"{count} epoch" + ("s" if count > 1 else "")


def at(alphas: np.ndarray, curves: np.ndarray, alpha: float) -> np.ndarray:
  """Returns curves [M, A] at an alpha, linear between the grid's points, [M]."""
  return np.array([np.interp(alpha, alphas, curve) for curve in curves])


def barrier(alphas: np.ndarray, curves: np.ndarray, ends: np.ndarray) -> np.ndarray:
  """Returns how far a loss [M, A] rises above the mix of its ends [M, 2] on 0 <= alpha <= 1."""
  inside = (alphas >= 0) & (alphas <= 1)
  if not inside.any():
    return np.full(len(curves), np.nan)
  mix = (1 - alphas) * ends[:, :1] + alphas * ends[:, 1:]
  height = (curves - mix)[:, inside].max(axis=1)
  return np.where(height > 1e-6, height, 0.0)  # below that it is float32's rounding


OUTWARD = 0.5  # the distance, in |theta_2 - theta_1|, at which sharpness is measured; our choice


def summarize(config: Config, result: Result) -> Summary:
  """Returns the solutions' losses, barrier and sharpness, and the claims."""
  alphas = result.alphas
  numbers, findings, captions = [], [], {}
  rows: list[dict[str, Any]] = []
  for i, pair in enumerate(PAIRS):
    names, title = describe(config, i), TITLES[pair]
    curves = {name: result.evaluated[f"{pair}/{name}"] for name in CURVES}
    ends = {name: result.ends[f"{pair}/{name}"] for name in CURVES}
    for j, name in enumerate(names):
      for kind in ("train", "test"):
        loss, accuracy = ends[f"{kind}_loss"][:, j], 100 * ends[f"{kind}_accuracy"][:, j]
        numbers += [
          Number(f"{title}, {name}: {kind} loss", tuple(loss), "nats"),
          Number(f"{title}, {name}: {kind} accuracy", tuple(accuracy), "%"),
        ]
    high = {kind: barrier(alphas, curves[f"{kind}_loss"], ends[f"{kind}_loss"])
            for kind in ("train", "test")}  # fmt: skip
    for kind, values in high.items():
      numbers.append(Number(f"{title}: barrier of the {kind} loss", tuple(values), "nats"))
    difference = result.end_params[pair].astype(float) - result.start_params[pair]
    findings.append(
      f"{title.capitalize()}: the two solutions are {spread(np.linalg.norm(difference, axis=1))} "
      f"apart (2-norm); between them the test loss rises by {spread(high['test'])} nats above the "
      f"mix of its ends, the training loss by {spread(high['train'])}."
    )
    better = ends["test_loss"].argmin(axis=1)
    if alphas[0] <= -OUTWARD and alphas[-1] >= 1 + OUTWARD:
      rises = np.stack(
        [
          at(alphas, curves["train_loss"], place) - ends["train_loss"][:, j]
          for j, place in enumerate((-OUTWARD, 1 + OUTWARD))
        ],
        axis=1,
      )
      for j, name in enumerate(names):
        numbers.append(
          Number(f"{title}, {name}: sharpness", tuple(rises[:, j]), "nats", None,
                 f"rise of the training loss {OUTWARD:g} of the way outward")
        )  # fmt: skip
      flatter = rises.argmin(axis=1)
      findings.append(
        f"Sharpness: {OUTWARD:g} of their distance outward the training loss is higher by "
        f"{spread(rises[:, 0])} nats at {names[0]} and by {spread(rises[:, 1])} at {names[1]}; "
        f"{names[0]} is the flatter side in {(flatter == 0).sum()} of {len(flatter)} runs, and "
        f"the flatter side has the lower test loss in {(flatter == better).sum()}."
      )
    told = "; ".join(
      f"{name}: test loss {spread(ends['test_loss'][:, j])}, test accuracy "
      f"{spread(100 * ends['test_accuracy'][:, j], 4)} %"
      for j, name in enumerate(names)
    )
    captions[pair] = f"Loss and accuracy between {names[0]} (α = 0) and {names[1]} (α = 1). {told}."
    if result.retrained:
      both = (result.evaluated, result.retrained)
      low = [spread(100 * table[f"{pair}/test_accuracy"].min(axis=1)) for table in both]
      top = [spread(table[f"{pair}/test_loss"].max(axis=1)) for table in both]
      text = (
        f"training on for {epochs_in_words(config.retrain_epochs)} takes the largest test loss on "
        f"the line from {top[0]} to {top[1]} and the lowest test accuracy from {low[0]} to "
        f"{low[1]} %"
      )
      findings.append(f"{title.capitalize()}: {text}.")
      captions[pair] += f" Right: {text}."
    for variant in ("evaluated", "retrained"):
      table = getattr(result, variant)
      if table:
        rows += [
          {"pair": pair, "variant": variant, "run": m + 1, "alpha": float(alpha),
           **{name: float(table[f"{pair}/{name}"][m, a]) for name in CURVES}}
          for m in range(config.num_runs) for a, alpha in enumerate(alphas)
        ]  # fmt: skip
  claims = tuple(judge_claims(config, result))
  return Summary(tuple(numbers), claims, tuple(findings), captions, {"curves": rows})


A_LITTLE = 0.05  # of accuracy: a change by less is little or stable, by more steep; our choice


def judge_claims(config: Config, result: Result) -> list[Claim]:
  """Returns the report's two claims, judged on the evaluated curves; the retrained ones beside."""
  alphas = result.alphas
  if config.report != "long" or alphas[0] > -0.25 or alphas[-1] < 2:
    return []

  def near_zero(loss: np.ndarray) -> np.ndarray:
    return np.abs(alphas[loss.argmin(axis=1)]) <= 0.25

  def batch_pair(curves: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    accuracy = curves["batch/test_accuracy"]
    zero, half, late, two = (at(alphas, accuracy, alpha) for alpha in (0, 0.5, 1.5, 2))
    middle = accuracy[:, (alphas >= 0.5) & (alphas <= 1.5)].max(axis=1)
    return {
      "lowest loss within 1/4 of alpha 0": near_zero(curves["batch/test_loss"]),
      f"accuracy lower at 0.5 than at 0 by less than {100 * A_LITTLE:g} points": (half < zero)
      & (half > zero - A_LITTLE),
      "higher somewhere between 0.5 and 1.5 than at 0.5": middle > half,
      f"lower at 2 than at 1.5 by more than {100 * A_LITTLE:g} points": two < late - A_LITTLE,
    }

  def rate_pair(curves: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    accuracy = curves["learning_rate/test_accuracy"][:, (alphas >= 0) & (alphas <= 2)]
    return {
      "lowest loss within 1/4 of alpha 0": near_zero(curves["learning_rate/test_loss"]),
      f"accuracy from 0 to 2 within {100 * A_LITTLE:g} points of its best": np.ptp(accuracy, axis=1)
      <= A_LITTLE,
    }

  claims = []
  for id, text, parts_of, pair in (
    ("L-1.3.3a", "Batch pair: best near alpha 0, a little worse from 0 to 0.5, better from 0.5 to "
     "1.5, steeply worse from 1.5 to 2", batch_pair, "batch"),
    ("L-1.3.3b", "Learning-rate pair: best near alpha 0, then relatively stable", rate_pair,
     "learning_rate"),
  ):  # fmt: skip
    parts = parts_of(result.evaluated)
    outcomes = np.all(list(parts.values()), axis=0)
    counts = "; ".join(f"{name} in {int(values.sum())}" for name, values in parts.items())
    evidence = f"Of these runs: {counts}."
    for variant in ("evaluated", "retrained"):
      curves = getattr(result, variant)
      if curves:
        loss, accuracy = (curves[f"{pair}/test_{name}"] for name in ("loss", "accuracy"))
        evidence += f" {variant.capitalize()}, at alpha 0, 0.5, 1, 1.5, 2: " + "; ".join(
          f"{spread(100 * at(alphas, accuracy, alpha))} %, {spread(at(alphas, loss, alpha))} nats"
          for alpha in (0, 0.5, 1, 1.5, 2)
        ) + "."  # fmt: skip
    extra: dict[str, Any] = {}
    if result.retrained:
      again = np.all(list(parts_of(result.retrained).values()), axis=0)
      extra = {"retrained_true_in_runs": int(again.sum()), "retrained_verdict": judge(again)}
      evidence += (
        " For the models that were trained on, which is what the report drew, the same reading "
        f"is true in {int(again.sum())} of {again.size} runs: {extra['retrained_verdict']}."
      )
    reading = f"{text} (our reading, of the test set: {'; '.join(parts)})."
    claims.append(claim(id, reading, outcomes, evidence, **extra))
  return claims


def draw_curves(
  ax: Axes, alphas: np.ndarray, curves: dict[str, np.ndarray], ends: dict[str, np.ndarray] | None
) -> None:
  """Draws the losses on the left axis, logarithmic, and the accuracies on the right one."""
  right = ax.twinx()
  for quantity, axis, color, unit in (
    ("loss", ax, figures.COLORS[0], 1),
    ("accuracy", right, figures.COLORS[1], 100),
  ):
    for kind, line, shape in (("train", "-", "o"), ("test", "--", "s")):
      values, name = unit * curves[f"{kind}_{quantity}"], f"{quantity}, {kind} set"
      axis.plot(alphas, np.median(values, axis=0), line, color=color, linewidth=1.6, label=name)
      low, high = values.min(axis=0), values.max(axis=0)
      axis.fill_between(alphas, low, high, color=color, alpha=0.14, linewidth=0)
      if ends is not None:
        both = np.median(unit * ends[f"{kind}_{quantity}"], axis=0)
        axis.plot((0, 1), both, shape, color=color, markersize=5.5, markerfacecolor="white",
                  zorder=5, label=f"{name}: the two models")  # fmt: skip
  figures.label(ax, "α", "cross-entropy (nats)", yscale="log")
  right.set_ylabel("accuracy (%)", color=figures.COLORS[1])
  right.set_ylim(-2, 102)
  right.spines["top"].set_visible(False)
  ax.yaxis.label.set_color(figures.COLORS[0])


def draw(config: Config, result: Result) -> dict[str, Figure]:
  """Returns one figure a pair: the evaluated curves and, beside them, the retrained ones."""
  drawn = {}
  for i, pair in enumerate(PAIRS):
    first, second = describe(config, i)
    variants = ["evaluated", "retrained"] if result.retrained else ["evaluated"]
    figure, axes = figures.canvas(len(variants), width=5.6, height=4.0)
    for ax, variant in zip(axes, variants):
      curves, ends = (
        {name: table[f"{pair}/{name}"] for name in CURVES}
        for table in (getattr(result, variant), result.ends)
      )
      draw_curves(ax, result.alphas, curves, ends if variant == "evaluated" else None)
      note = "" if variant == "evaluated" else f"; + {epochs_in_words(config.retrain_epochs)}"
      ax.set_title(f"α = 0: {first}; α = 1: {second}{note}", fontsize=10.5, loc="left")
    limits = [ax.get_ylim() for ax in axes]
    for ax in axes:  # one scale for both panels
      ax.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
    drawn[pair] = figures.legend(figure, columns=2 * len(variants))
  return drawn


EXPERIMENT = Experiment("interpolation", __doc__, Config, Result, run, summarize, draw)

if __name__ == "__main__":
  main(EXPERIMENT)
