"""1.3.4 Flatness vs. generalization, part 2: how sensitive is the output to the input?

One network is trained with several batch sizes, for equally many epochs and (--num_steps) for about
equally many steps. Three quantities are called sensitivity here, means over the test set or steps:
(a) ||d softmax(f(x))/dx||_F, the assignment's; (b) ||d loss/dx||; (c) the norm of the minibatch
gradient by the *parameters*, averaged over the training steps: what the long report's notebook did.

    F=experiments/flags/long_report
    python -m experiments.sensitivity --flagfile=$F/sensitivity.flags

Source: assignment 1-3, "flatness vs. generalization"; long report 1.3.4 and its notebook.
Cost: 3 minutes on 2 CPU cores with the long report's settings.
"""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from hw1_jax import analysis, data, devices, models, rng, training
from hw1_jax.loops import Monitor
from hw1_jax.report import figures
from hw1_jax.runs.experiment import Experiment
from hw1_jax.runs.main import main
from hw1_jax.runs.settings import REPORT, Settings, setting
from hw1_jax.summary import Claim, Number, Summary, claim, judge, spread
from hw1_jax.training import evaluation, optimizers


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
  """Settings; the defaults are the long report's."""

  dataset: str = setting("mnist", "image set", choices=data.IMAGE_SETS)
  train_examples: int | None = setting(None, "use only the first ones; none: all", minimum=1)
  test_examples: int | None = setting(None, "use only the first ones; none: all", minimum=1)
  widths: str = setting("500", "hidden widths of the MLP", pattern=models.WIDTHS)
  activation: str = setting("relu", "between layers", choices=tuple(models.ACTIVATIONS))
  optimizer: str = setting("adam", "PyTorch's", choices=optimizers.NAMES)
  learning_rate: float = setting(1e-3, "step size", above=0, maximum=100)
  weight_decay: float = setting(1e-4, "L2 term added to the gradient", minimum=0, maximum=100)
  batch_sizes: tuple[int, ...] = setting(
    (10, 385, 760, 1135, 1510), "examples a step, one training each", minimum=1, unique=True
  )
  num_epochs: int = setting(5, "epochs", minimum=1, maximum=100_000)
  num_steps: int | None = setting(
    None, "compare also after about so many steps, at whole epochs; none: do not", minimum=1
  )
  num_runs: int = setting(3, "repetitions, each from its own initial weights", minimum=1,
                          maximum=1000)  # fmt: skip
  report: str = REPORT


# The long report's numbers at batch 1510 after 5 epochs.
REPORTED = {"long": {1510: {"test_accuracy": 95.08, "test_loss": 0.1676}}}

DEFINITIONS = {  # name in Result -> (short, what it is, unit)
  "jacobian": ("(a)", "‖∂ softmax f(x) / ∂x‖, test set", "per unit of x"),
  "loss_gradient": ("(b)", "‖∂ loss / ∂x‖, test set", "nats per unit of x"),
  "gradient_norm": ("(c)", "‖∂ minibatch loss / ∂θ‖, mean over steps", "nats per unit of θ"),
}
PERFORMANCE = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")


class Result(NamedTuple):
  """M runs, B batch sizes. Losses in nats, accuracies in [0, 1]; pixels of x are in [0, 1].

  Each dict has `PERFORMANCE` (after training, exact means over the whole sets), "jacobian" and
  "loss_gradient" (means over the test set), "gradient_norm" (mean over all steps) and
  "last_gradient_norm" (over the last epoch's), [M, B] float32.
  """

  batch_sizes: np.ndarray  # [B] int
  equal_epochs: dict[str, np.ndarray]  # after num_epochs epochs
  epoch_steps: np.ndarray  # [B] int, the steps that these are
  steps: np.ndarray  # [B] int, steps of `equal_steps`; 0 without --num_steps
  equal_steps: dict[str, np.ndarray] = {}  # absent without --num_steps  # noqa: RUF012


def equal_step_plan(num_steps: int, batch_size: int, num_examples: int) -> tuple[int, int]:
  """Returns (examples to train on, epochs) that make about `num_steps` steps.

  An epoch of more steps is cut: to the first examples, as many as these steps take once.
  """
  epoch_steps = -(-num_examples // batch_size)
  if epoch_steps > num_steps:
    return num_steps * batch_size, 1
  return num_examples, max(1, round(num_steps / epoch_steps))


def run(config: Config, images: data.ImageData, monitor: Monitor) -> Result:
  """Returns performance and sensitivities for all batch sizes."""
  model = models.MLP((*models.parse_widths(config.widths), images.num_classes), config.activation)
  optimizer = optimizers.make_optimizer(config.optimizer, config.learning_rate, config.weight_decay)
  keys = rng.member_keys(config.seed, config.num_runs)
  measure = devices.map_members(analysis.make_mlp_sensitivity(model), num_shared=2)
  evaluate = devices.map_members(evaluation.make_evaluate(model), num_shared=2)
  train_set, test_set = (
    tuple(map(jnp.asarray, pair))
    for pair in (
      (images.train_images, images.train_labels),
      (images.test_images, images.test_labels),
    )
  )

  def train(name: str, batch_size: int, examples: int, epochs: int) -> dict[str, np.ndarray]:
    task = training.ImageTraining(model, optimizer, batch_size, epochs, gradient_norm=True)
    seen = data.subset(images, examples, None)
    trained = training.train_images(monitor, name, task, seen, keys)
    fit = {f"train_{k}": v for k, v in evaluate(*train_set, trained.params).items()}
    norms = trained.history["gradient_norm"]
    measured = {
      **fit,
      **{key: trained.history[key][:, -1] for key in PERFORMANCE[2:]},
      **measure(*test_set, trained.params),
      "gradient_norm": norms.mean(axis=1),
      "last_gradient_norm": norms[:, -1],
    }
    return {key: np.asarray(value) for key, value in measured.items()}

  by_epochs, by_steps, steps = [], [], []
  total = len(images.train_labels)
  for size in config.batch_sizes:
    by_epochs.append(train(f"batch {size}", size, total, config.num_epochs))
    if config.num_steps:
      examples, epochs = equal_step_plan(config.num_steps, size, total)
      steps.append(epochs * -(-examples // size))
      same = (examples, epochs) == (total, config.num_epochs)
      name = f"batch {size}, {steps[-1]} steps"
      by_steps.append(by_epochs[-1] if same else train(name, size, examples, epochs))
  sizes = np.array(config.batch_sizes)

  def stack(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {key: np.stack([part[key] for part in parts], axis=1) for key in parts[0]}

  return Result(
    sizes,
    stack(by_epochs),
    config.num_epochs * -(-total // sizes),
    np.array(steps or [0] * len(sizes)),
    stack(by_steps) if by_steps else {},
  )


def rank_correlation(x: np.ndarray, values: np.ndarray) -> np.ndarray:
  """Returns Spearman's coefficient between x [B] and each row of values [M, B]; 0 for constants."""
  ranks = stats.rankdata(x)
  ranks = ranks - ranks.mean()
  others = stats.rankdata(values, axis=1)
  others = others - others.mean(axis=1, keepdims=True)
  norms = np.linalg.norm(ranks) * np.linalg.norm(others, axis=1)
  return np.divide(others @ ranks, norms, out=np.zeros(len(values)), where=norms > 0)


def at_equal_loss(result: Result, key: str) -> np.ndarray:
  """Returns a quantity [M, B] at the training loss of the smallest batch after equal epochs.

  Linear in the log of the loss between a batch size's two trainings; NaN where the loss does not
  lie between theirs.
  """
  smallest = np.argmin(result.batch_sizes)
  both = (result.equal_epochs, result.equal_steps)
  loss = np.log(np.stack([values["train_loss"] for values in both]))  # [2, M, B]
  value = np.stack([values[key] for values in both])
  span = loss[1] - loss[0]
  share = (loss[0, :, [smallest]].T - loss[0]) / np.where(span == 0, np.nan, span)
  inside = (share >= 0) & (share <= 1)
  return np.where(inside, value[0] + share * (value[1] - value[0]), np.nan)


MONOTONE = 0.9  # of a rank correlation; our choice: five values with one swap of neighbours


def comparisons(config: Config, result: Result) -> list[tuple[str, dict[str, np.ndarray]]]:
  """Returns [(name, quantities)]: the comparison at equal epochs, then that at equal steps."""
  both = [(f"{config.num_epochs} epochs each", result.equal_epochs)]
  if result.equal_steps:
    both.append((f"about {config.num_steps} steps each", result.equal_steps))
  return both


def summarize(config: Config, result: Result) -> Summary:
  """Returns performance and sensitivities beside the reported ones, and the claims."""
  sizes = result.batch_sizes
  numbers, findings, rows = [], [], []
  for name, values in comparisons(config, result):
    at_epochs = values is result.equal_epochs
    for b, size in enumerate(sizes):
      told = REPORTED.get(config.report, {}).get(int(size), {}) if at_epochs else {}
      where = f"{name}, batch {size}"
      accuracy, loss = 100 * values["test_accuracy"][:, b], values["test_loss"][:, b]
      numbers += [
        Number(f"{where}: test accuracy", tuple(accuracy), "%", told.get("test_accuracy")),
        Number(f"{where}: test loss", tuple(loss), "nats", told.get("test_loss")),
      ]
      numbers += [
        Number(f"{where}: sensitivity {short}", tuple(values[key][:, b]), unit)
        for key, (short, _, unit) in DEFINITIONS.items()
      ]
      steps = int((result.epoch_steps if at_epochs else result.steps)[b])
      rows += [
        {"comparison": name, "batch_size": int(size), "run": m + 1, "steps": steps,
         **{key: float(column[m, b]) for key, column in values.items()}}
        for m in range(config.num_runs)
      ]  # fmt: skip
    first, last = (np.argmin(sizes), np.argmax(sizes))
    said = "; ".join(
      f"{label} {spread(scale * values[key][:, first], digits)} and "
      f"{spread(scale * values[key][:, last], digits)}{unit}"
      for key, label, scale, digits, unit in (
        ("train_loss", "training loss", 1, 3, ""),
        ("test_loss", "test loss", 1, 3, ""),
        ("test_accuracy", "test accuracy", 100, 4, " %"),
        *((key, f"sensitivity {text[0]}", 1, 3, "") for key, text in DEFINITIONS.items()),
      )
    )
    findings.append(f"{name.capitalize()}, at batch {sizes[first]} and {sizes[last]}: {said}.")

  def slopes(key: str) -> str:
    return ", ".join(
      f"{spread(rank_correlation(sizes, values[key]))} at {name}"
      for name, values in comparisons(config, result)
    )

  findings.append(
    "Rank correlation of sensitivity with the batch size: "
    + "; ".join(f"{short} {slopes(key)}" for key, (short, *_) in DEFINITIONS.items())
    + "."
  )
  pooled = [
    np.concatenate([values[key].ravel() for _, values in comparisons(config, result)])
    for key in ("train_loss", "jacobian")
  ]
  with_loss = rank_correlation(pooled[0], pooled[1][None])[0]
  findings.append(
    f"Over all {len(pooled[0])} trainings the rank correlation of sensitivity (a) with the "
    f"training loss is {with_loss:.2f}"
    + (
      ", whatever the batch size: a comparison at equal length compares different losses."
      if with_loss >= MONOTONE
      else "."
    )
  )
  if result.equal_steps:
    reference = result.equal_epochs["jacobian"][:, [first]]
    ratios = at_equal_loss(result, "jacobian") / reference
    shown = [b for b in np.argsort(sizes) if b != first and np.isfinite(ratios[:, b]).any()]
    if shown:
      findings.append(
        f"At equal training loss, that of batch {sizes[first]} after {config.num_epochs} epochs "
        f"({spread(result.equal_epochs['train_loss'][:, first])} nats), sensitivity (a) over that "
        f"of batch {sizes[first]}, interpolated between a batch size's two trainings, is "
        + ", ".join(f"{spread(ratios[:, b])} at batch {sizes[b]}" for b in shown)
        + "."
      )
  captions = {
    "sensitivity": "Three definitions of sensitivity against the batch size. Rank correlation with "
    "it: " + "; ".join(f"{d[0]} {slopes(key)}" for key, d in DEFINITIONS.items()) + ".",
    "performance": f"Loss and accuracy against the batch size. {findings[0]}",
    "loss_and_sensitivity": "Sensitivity (a) and (b) against the training loss, a point a training "
    f"(rank correlation of (a) over all of them {with_loss:.2f}).",
  }
  claims = tuple(judge_claims(config, result))
  return Summary(tuple(numbers), claims, tuple(findings), captions, {"batch_sizes": rows})


def judge_claims(config: Config, result: Result) -> list[Claim]:
  """Returns the report's claims; that on sensitivity by the assignment's definition and by (c)."""
  if config.report != "long" or len(result.batch_sizes) < 3:
    return []

  def trend(values: dict[str, np.ndarray], key: str) -> np.ndarray:
    return rank_correlation(result.batch_sizes, values[key])

  def told(key: str) -> str:
    return ", ".join(
      f"{name} {spread(trend(values, key))}" for name, values in comparisons(config, result)
    )

  epochs = result.equal_epochs
  claims = [
    claim(
      "L-1.3.4a",
      "At equal epochs performance gets worse as the batch grows (our reading: rank correlation "
      f"with the batch size at least {MONOTONE} for the test loss, at most -{MONOTONE} for the "
      "test accuracy).",
      (trend(epochs, "test_loss") >= MONOTONE) & (trend(epochs, "test_accuracy") <= -MONOTONE),
      f"Rank correlations: test loss {told('test_loss')}; test accuracy {told('test_accuracy')}.",
    )
  ]
  verdicts = {key: trend(epochs, key) <= -MONOTONE for key in DEFINITIONS}
  others = "; ".join(
    f"by {DEFINITIONS[key][0]} {told(key)}: {judge(verdicts[key])}"
    for key in ("loss_gradient", "gradient_norm")
  )
  for id, key, words, beside in (
    ("L-1.3.4b", "jacobian", "by definition (a), the assignment's", f" For comparison {others}."),
    ("L-1.3.4b, notebook", "gradient_norm", "by (c), what the report's notebook measured",
     f" Over the last epoch's steps alone: {told('last_gradient_norm')}."),
  ):  # fmt: skip
    claims.append(
      claim(
        id,
        f"Sensitivity falls as the batch grows, {words} (our reading: rank correlation with the "
        f"batch size at most -{MONOTONE} at equal epochs).",
        verdicts[key],
        f"Rank correlations: {told(key)}.{beside}",
      )
    )
  return claims


def draw(config: Config, result: Result) -> dict[str, Figure]:
  """Returns sensitivity and performance against the batch size, and sensitivity against loss."""
  order = np.argsort(result.batch_sizes)
  sizes = result.batch_sizes[order]
  compared = comparisons(config, result)

  sensitivity, axes = figures.canvas(3, width=4.2)
  for ax, (key, (short, text, unit)) in zip(axes, DEFINITIONS.items()):
    for i, (name, values) in enumerate(compared):
      figures.curves(ax, sizes, values[key][:, order], name, i, points=True)
    figures.label(ax, "batch size", unit, f"{short} {text}")
    ax.set_ylim(bottom=0)

  performance, axes = figures.canvas(2, width=5.4)
  for ax, quantity, scale, unit in (
    (axes[0], "loss", 1, "cross-entropy (nats)"),
    (axes[1], "accuracy", 100, "accuracy (%)"),
  ):
    for i, (name, values) in enumerate(compared):
      for j, kind in enumerate(("train", "test")):
        figures.curves(ax, sizes, scale * values[f"{kind}_{quantity}"][:, order],
                       f"{name}: {'training' if kind == 'train' else 'test'} set", 2 * i + j,
                       points=True)  # fmt: skip
    for size, told in REPORTED.get(config.report, {}).items():
      if size in sizes:
        figures.reported(ax, size, told[f"test_{quantity}"], "reported: test set")
    figures.label(ax, "batch size", unit, quantity)

  against, axes = figures.canvas(2, width=5.0)
  for ax, key in zip(axes, DEFINITIONS):
    short, text, unit = DEFINITIONS[key]
    for i, (name, values) in enumerate(compared):
      for b, place in enumerate(order):
        look = {**figures.marker(b), **({"markerfacecolor": "none"} if i else {})}
        ax.plot(values["train_loss"][:, place], values[key][:, place], linestyle="none",
                label=f"batch {sizes[b]}, {name}", markersize=6, **look)  # fmt: skip
    figures.label(ax, "training loss (nats)", unit, f"{short} {text}", xscale="log")
  for ax in (*sensitivity.axes, *performance.axes):
    ax.set_xticks(sizes)
  return {
    "sensitivity": figures.legend(sensitivity),
    "performance": figures.legend(performance),
    "loss_and_sensitivity": figures.legend(against, columns=4),
  }


EXPERIMENT = Experiment("sensitivity", __doc__, Config, Result, run, summarize, draw)

if __name__ == "__main__":
  main(EXPERIMENT)
