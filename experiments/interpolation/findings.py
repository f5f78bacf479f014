"""Our numbers beside the reported ones, the judged claims, the sentences."""

from typing import Any

import numpy as np

from hw1_jax.report.assignment import topic_of
from hw1_jax.summary import Claim, Number, Summary, claim, judge, spread

from .retraining import CURVES
from .run import PAIRS, Config, Result

TOPIC = topic_of("interpolation")

TITLES = {"batch": "batch pair", "learning_rate": "learning-rate pair"}


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
  for id, parts_of, pair in (
    ("L-1.3.3a", batch_pair, "batch"),
    ("L-1.3.3b", rate_pair, "learning_rate"),
  ):
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
    reading = TOPIC.claims[id].format(parts="; ".join(parts))
    claims.append(claim(id, reading, outcomes, evidence, **extra))
  return claims
