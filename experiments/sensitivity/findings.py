"""Our numbers beside the reported ones, the judged claims, the sentences."""

import numpy as np

from hw1_jax import statistics
from hw1_jax.report import reported
from hw1_jax.report.assignment import topic_of
from hw1_jax.statistics import rank_correlations
from hw1_jax.summary import Claim, Number, Summary, compared, spread

from .run import Config, Result

TOPIC = topic_of("sensitivity")

DEFINITIONS = {  # name in Result -> (short, what it is, unit)
  "jacobian": ("(a)", "‖∂ softmax f(x) / ∂x‖, test set", "per unit of x"),
  "loss_gradient": ("(b)", "‖∂ loss / ∂x‖, test set", "nats per unit of x"),
  "tensor_norm": ("(c)", "‖∂ minibatch loss / ∂θᵢ‖, mean over tensors and steps",
                  "nats per unit of θ"),
  "gradient_norm": ("(d)", "‖∂ minibatch loss / ∂θ‖, global, mean over steps",
                    "nats per unit of θ"),
}  # fmt: skip
# Our quantity -> words, unit, and the report's column that is the same quantity.
PRINTED = {
  "test_accuracy": ("test accuracy", "%", "test_accuracy"),
  "test_loss": ("test loss", "nats", "test_loss"),
  "run_train_loss": ("training loss, running mean over all epochs", "nats", "run_mean_train_loss"),
  "tensor_norm": ("sensitivity (c)", "nats per unit of θ", "mean_tensor_norm"),
}


def told(config: Config, size: int, field: str) -> float | None:
  """Returns what the report prints or draws of the same quantity at a batch size on MNIST."""
  if not config.as_reported or config.report != "long" or field not in PRINTED:
    return None
  values = reported.read("sensitivity").where(batch_size=size).columns[PRINTED[field][2]]
  return float(values[0]) if len(values) else None


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


MONOTONE = 0.9  # a run is called monotone from here on; our choice: five values with one swap


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
      where = f"{name}, batch {size}"
      for field, (words, unit, _) in PRINTED.items():
        ours = values[field][:, b] * (100 if field == "test_accuracy" else 1)
        theirs = told(config, int(size), field) if at_epochs else None
        numbers.append(Number(f"{where}: {words}", tuple(ours), config.words(unit), theirs))
      numbers += [
        Number(f"{where}: sensitivity {short}", tuple(values[key][:, b]), config.words(unit))
        for key, (short, _, unit) in DEFINITIONS.items()
        if key not in PRINTED
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
      f"{spread(rank_correlations(sizes, values[key]))} at {name}"
      for name, values in comparisons(config, result)
    )

  findings.append(
    "Rank correlation of sensitivity with the batch size: "
    + "; ".join(f"{short} {slopes(key)}" for key, (short, *_) in DEFINITIONS.items())
    + "."
  )
  pooled = [
    np.concatenate([result.equal_epochs[key].ravel(), *(
      [result.equal_steps[key][:, ~same_training(config, result)].ravel()]
      if result.equal_steps else []
    )])
    for key in ("train_loss", "jacobian")
  ]  # fmt: skip
  with_loss = rank_correlations(pooled[0], pooled[1][None])[0]
  findings.append(
    f"Over all {len(pooled[0])} different trainings the rank correlation of sensitivity (a) with "
    f"the training loss is {with_loss:.2f}"
    + (
      ", whatever the batch size: a comparison at equal length compares different losses."
      if with_loss >= MONOTONE
      else "."
    )
  )
  if result.equal_steps:
    reference = result.equal_epochs["jacobian"][:, [first]]
    at = at_equal_loss(result, "jacobian")  # a saturated network's reference is 0
    ratios = np.divide(at, reference, out=np.full(at.shape, np.nan), where=reference > 0)
    shown = [b for b in np.argsort(sizes) if b != first and np.isfinite(ratios[:, b]).any()]
    if shown:
      findings.append(
        f"At equal training loss, that of batch {sizes[first]} after {config.num_epochs} epochs "
        f"({spread(result.equal_epochs['train_loss'][:, first])} "
        f"{config.words('nats')}), sensitivity (a) over that of batch {sizes[first]}, "
        "interpolated between a batch size's two trainings, is "
        + ", ".join(f"{spread(ratios[:, b])} at batch {sizes[b]}" for b in shown)
        + "."
      )

  def ends(key: str, scale: float = 1.0) -> str:
    values = scale * result.equal_epochs[key]
    return f"from {spread(values[:, first])} to {spread(values[:, last])}"

  span = f"from batch {sizes[first]} to batch {sizes[last]}"
  ranks = {
    key: np.median(rank_correlations(sizes, result.equal_epochs[key])) for key in DEFINITIONS
  }
  captions = {
    "both": f"{span.capitalize()}, at equal epochs, as the report draws them, the test loss goes "
    f"{ends('test_loss')}{config.words(' nats')} and sensitivity (c) {ends('tensor_norm')}.",
    "sensitivity": "At equal epochs the median rank correlation of sensitivity with the batch size "
    f"is {', '.join(f'{rank:.1f} by {DEFINITIONS[key][0]}' for key, rank in ranks.items())}.",
    "performance": f"{span.capitalize()}, at equal epochs, the training loss goes "
    f"{ends('train_loss')}{config.words(' nats')} and the test loss {ends('test_loss')}.",
    "loss_and_sensitivity": "Sensitivity (a) follows the training loss, whatever the batch size: "
    f"their rank correlation over all {len(pooled[0])} trainings is {with_loss:.2f}."
    if with_loss >= MONOTONE
    else "The rank correlation of sensitivity (a) with the training loss over all "
    f"{len(pooled[0])} trainings is {with_loss:.2f}.",
  }
  answer = (
    f"{span.capitalize()}, after {config.num_epochs} epochs each, sensitivity (a), of outputs to "
    f"inputs, goes {ends('jacobian')}, while the training loss goes {ends('train_loss')}"
    f"{config.words(' nats')}. Over all {len(pooled[0])} trainings the two have a rank correlation "
    f"of {with_loss:.2f}."
  )
  claims = tuple(judge_claims(config, result))
  return Summary(tuple(numbers), claims, tuple(findings), captions, {"batch_sizes": rows}, answer)


def same_training(config: Config, result: Result) -> np.ndarray:
  """Returns where the training for equal steps is the one for equal epochs, bool [B]."""
  return np.asarray(result.steps == result.epoch_steps)


def judge_claims(config: Config, result: Result) -> list[Claim]:
  """Returns the report's claims at equal epochs, each quantity alone."""
  if config.report != "long" or len(result.batch_sizes) < 3:
    return []
  return [
    trend(result, id, field, sign)
    for id, field, sign in (
      ("L-1.3.4a.1", "train_loss", 1),
      ("L-1.3.4a.2", "train_accuracy", -1),
      ("L-1.3.4a.3", "test_loss", 1),
      ("L-1.3.4a.4", "test_accuracy", -1),
      ("L-1.3.4b", "jacobian", -1),
      ("L-1.3.4b, notebook", "tensor_norm", -1),
    )
  ]


def trend(result: Result, id: str, field: str, sign: int) -> Claim:
  """Returns the claim that a quantity rises (`sign` 1) or falls (-1) with the batch size.

  Judged by each run's least-squares slope against the log of the batch size: of accuracies in
  points, of everything else on a log scale.
  """
  x, values = np.log2(result.batch_sizes), result.equal_epochs[field].astype(float)
  accuracy = field.endswith("accuracy")
  y = 100 * values if accuracy else np.log(np.where(values > 0, values, np.nan))
  ranks = sign * rank_correlations(x, values)
  monotone = int(statistics.at_least(ranks, MONOTONE).sum())
  whole = statistics.LOSS_REGION
  if accuracy:
    whole = statistics.accuracy_region(y, int(result.num_test))
  first, last = np.argmin(x), np.argmax(x)
  shown = (100 if accuracy else 1) * values
  evidence = (
    f"At batch {result.batch_sizes[first]} {spread(shown[:, first], 4)}, at batch "
    f"{result.batch_sizes[last]} {spread(shown[:, last], 4)}; rank correlation in the claimed "
    f"direction {spread(ranks)}, at least {MONOTONE:g} in {monotone} of {len(ranks)} runs."
  )
  return compared(
    id,
    TOPIC.claims[id],
    sign * statistics.slopes(x, y),
    evidence,
    region=whole / float(np.ptp(x)),
    unit="points per doubling" if accuracy else "log ratio per doubling",
    rank_correlations=ranks.tolist(),
  )
