"""Our numbers beside the reported ones, the judged claims, the sentences."""

import numpy as np
from scipy import stats

from hw1_jax.report.assignment import topic_of
from hw1_jax.summary import Claim, Number, Summary, claim, judge, spread

from .run import Config, Result

TOPIC = topic_of("sensitivity")

DEFINITIONS = {  # name in Result -> (short, what it is, unit)
  "jacobian": ("(a)", "‖∂ softmax f(x) / ∂x‖, test set", "per unit of x"),
  "loss_gradient": ("(b)", "‖∂ loss / ∂x‖, test set", "nats per unit of x"),
  "gradient_norm": ("(c)", "‖∂ minibatch loss / ∂θ‖, mean over steps", "nats per unit of θ"),
}


def reported(config: Config) -> dict[int, dict[str, float]]:
  """Returns batch size -> quantity -> the value that the report prints after equal epochs."""
  table = TOPIC.reported.get(config.report, {})
  return {
    size: {name: table[name][b] for name in ("test_accuracy", "test_loss")}
    for b, size in enumerate(table.get("batch_size", ()))
  }


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
      told = reported(config).get(int(size), {}) if at_epochs else {}
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
      TOPIC.claims["L-1.3.4a"].format(monotone=MONOTONE),
      (trend(epochs, "test_loss") >= MONOTONE) & (trend(epochs, "test_accuracy") <= -MONOTONE),
      f"Rank correlations: test loss {told('test_loss')}; test accuracy {told('test_accuracy')}.",
    )
  ]
  verdicts = {key: trend(epochs, key) <= -MONOTONE for key in DEFINITIONS}
  others = "; ".join(
    f"by {DEFINITIONS[key][0]} {told(key)}: {judge(verdicts[key])}"
    for key in ("loss_gradient", "gradient_norm")
  )
  for id, key, beside in (
    ("L-1.3.4b", "jacobian", f" For comparison {others}."),
    ("L-1.3.4b, notebook", "gradient_norm",
     f" Over the last epoch's steps alone: {told('last_gradient_norm')}."),
  ):  # fmt: skip
    claims.append(
      claim(
        id,
        TOPIC.claims[id].format(monotone=MONOTONE),
        verdicts[key],
        f"Rank correlations: {told(key)}.{beside}",
      )
    )
  return claims
