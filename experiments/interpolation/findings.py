"""Our numbers beside the reported ones, the judged claims, the sentences."""

from typing import Any

import numpy as np

from hw1_jax import statistics
from hw1_jax.report import reported
from hw1_jax.report.assignment import topic_of
from hw1_jax.summary import Claim, Number, Summary, compared, spread

from .retraining import CURVES
from .run import INDEPENDENT, PAIRS, Config, Result

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
  """Returns how far a loss [M, A] rises above the mix of its ends [M, 2] on 0 <= alpha <= 1.

  NaN on a grid without a point between the ends, where it would be 0 by construction.
  """
  inside = (alphas >= 0) & (alphas <= 1)
  if not ((alphas > 1e-6) & (alphas < 1 - 1e-6)).any():
    return np.full(len(curves), np.nan)
  mix = (1 - alphas) * ends[:, :1] + alphas * ends[:, 1:]
  height = (curves - mix)[:, inside].max(axis=1)
  return np.where(height > 1e-6, height, 0.0)  # below that it is float32's rounding


def summarize(config: Config, result: Result) -> Summary:
  """Returns the solutions' losses, barrier and sharpness, and the claims."""
  alphas, nats = result.alphas, config.words("nats")
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
          Number(f"{title}, {name}: {kind} loss", tuple(loss), nats),
          Number(f"{title}, {name}: {kind} accuracy", tuple(accuracy), "%"),
        ]
    high = {kind: barrier(alphas, curves[f"{kind}_loss"], ends[f"{kind}_loss"])
            for kind in ("train", "test")}  # fmt: skip
    for kind, values in high.items():
      numbers.append(Number(f"{title}: barrier of the {kind} loss", tuple(values), nats))
    difference = result.end_params[pair].astype(float) - result.start_params[pair]
    findings.append(
      f"{title.capitalize()}: the two solutions are {spread(np.linalg.norm(difference, axis=1))} "
      f"apart (2-norm); between them the test loss rises by {spread(high['test'])} {nats} above "
      f"the mix of its ends, the training loss by {spread(high['train'])}."
    )
    if config.independent_start:
      apart = pair + INDEPENDENT
      rise = barrier(alphas, result.evaluated[f"{apart}/test_loss"],
                     result.ends[f"{apart}/test_loss"])  # fmt: skip
      numbers.append(Number(f"{title}, own starts: barrier of the test loss", tuple(rise), nats))
      findings.append(
        f"{title.capitalize()}: the members share their initial weights and shuffles, as the "
        f"author's do; with a second end from a start of its own the barrier of the test loss is "
        f"{spread(rise)} instead of {spread(high['test'])} {nats}."
      )
    numbers += pair_numbers(config, result, i)
    last = [np.array([row[np.isfinite(row)][-1] for row in result.pair_train_loss[pair][:, j]])
            for j in (0, 1)]  # fmt: skip
    captions[f"training_{pair}"] = (
      f"The training loss, running mean over the epoch, ends at {spread(last[0])} with {names[0]} "
      f"and at {spread(last[1])} with {names[1]}."
    )
    captions[pair] = (
      f"Between {names[0]} (α = 0) and {names[1]} (α = 1) the test loss rises by "
      f"{spread(high['test'])} {nats} above the mix of its ends"
    )
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
      captions[pair] += f"; {text}"
    captions[pair] += "."
    for variant in ("evaluated", "retrained"):
      table = getattr(result, variant)
      if table:
        rows += [
          {"pair": pair, "variant": variant, "run": m + 1, "alpha": float(alpha),
           **{name: float(table[f"{pair}/{name}"][m, a]) for name in CURVES}}
          for m in range(config.num_runs) for a, alpha in enumerate(alphas)
        ]  # fmt: skip
  claims = tuple(judge_claims(config, result))
  curves_table = {"curves": rows}
  return Summary(
    tuple(numbers), claims, tuple(findings), captions, curves_table, answer(config, result)
  )


def answer(config: Config, result: Result) -> str:
  """Returns how high the barriers of the test loss are, pair by pair."""
  parts: list[str] = []
  apart: list[str] = []
  for i, pair in enumerate(PAIRS):
    for key, told in ((pair, parts), (pair + INDEPENDENT, apart)):
      if f"{key}/test_loss" in result.ends:
        high = barrier(result.alphas, result.evaluated[f"{key}/test_loss"],
                       result.ends[f"{key}/test_loss"])  # fmt: skip
        told.append(
          f"{spread(high)} {config.words('nats')} between {' and '.join(describe(config, i))}"
        )
  more = f" With starts of their own it is {' and '.join(apart)}." if apart else ""
  return f"A barrier of the test loss of {', and of '.join(parts)}.{more}"


def pair_numbers(config: Config, result: Result, pair: int) -> list[Number]:
  """Returns a pair's last training losses, and its retrained curves at some alphas, beside theirs.

  The report's curves are of models trained on: their training loss is a running mean, their test
  loss exact. Its training accuracies, means of running ones over steps, have no partner here.
  """
  key, title = PAIRS[pair], TITLES[PAIRS[pair]]
  nats = config.words("nats")
  printed = reported.read("interpolation_training").where(pair=key).columns
  numbers = []
  for j, (name, column) in enumerate(zip(describe(config, pair), ("first", "second"))):
    last = config.value("num_epochs", 2 * pair + j)
    theirs = dict(zip(printed["epoch"].tolist(), printed[column].tolist())).get(last)
    theirs = theirs if config.as_reported else None
    ours = result.pair_train_loss[key][:, j, last - 1]
    numbers.append(
      Number(f"{title}, {name}: training loss, running mean of epoch {last}", tuple(ours), nats,
             theirs)
    )  # fmt: skip
  if not result.retrained:
    return numbers
  table = reported.read(f"interpolation_{key}")
  for column in ("running_train_loss", "test_loss"):
    x, y = table.points("alpha", column)
    for alpha in (-2, -1.2, 0, 0.4, 1.2, 2):
      near = np.isclose(x, alpha, atol=1e-6)
      ours = at(result.alphas, result.retrained[f"{key}/{column}"], alpha)
      if near.any() and result.alphas[0] <= alpha <= result.alphas[-1]:
        name = f"{title}, trained on, alpha {alpha:g}: {column.replace('_', ' ')}"
        numbers.append(
          Number(name, tuple(ours), nats, float(y[near][0]) if config.as_reported else None)
        )
  return numbers


NEAR = 0.25  # of alpha: near 0; our choice
STEEP = 1.2  # the loss at alpha 2 over that at 1.5: steeply worse; our choice
STABLE = 5.0  # points of accuracy: relatively stable; our choice


def covers(alphas: np.ndarray) -> bool:
  """Returns whether a grid [A] reaches from 0 to 2 and beyond 0, finely enough to read it.

  The readings take slopes between 0.5 and 1.5 and places to within NEAR: a coarser grid than 0.5,
  two points in between, decides them by itself.
  """
  return bool(alphas[0] <= -NEAR and alphas[-1] >= 2 and step(alphas) <= 0.5 + 1e-9)


def step(alphas: np.ndarray) -> float:
  """Returns the distance of neighbours on an even grid [A]."""
  return float(np.diff(alphas).max())


def judge_claims(config: Config, result: Result) -> list[Claim]:
  """Returns the report's claims, each part alone, on the curves it draws: of models trained on.

  The same readings of the line itself, as the assignment asks, have ", line" behind their id. None
  of a grid that is too short or too coarse for them, see `covers`.
  """
  alphas, num_test = result.alphas, int(result.num_test)
  if config.report != "long" or not covers(alphas):
    return []
  claims = []
  for variant, table in ((" trained on", result.retrained), ("", result.evaluated)):
    if table:
      where = "" if variant else ", line"
      claims += batch_claims(alphas, table, where, num_test) + rate_claims(alphas, table, where)
  for i, pair in enumerate(PAIRS, 1):
    loss = [result.ends[f"{pair}/{kind}_loss"].astype(float) for kind in ("train", "test")]
    effects = np.log(loss[1] / loss[0]).mean(axis=1)  # over the pair's two members
    evidence = f"Training loss {spread(loss[0])}, test loss {spread(loss[1])}, both members."
    id = f"L-1.3.3c.{i}"
    claims.append(compared(id, TOPIC.claims[id], effects, evidence,
                           region=statistics.LOSS_REGION, unit="log ratio"))  # fmt: skip
  return claims


def read_curve(
  id: str,
  where: str,
  effects: np.ndarray,
  unit: str,
  region: float,
  evidence: str,
  resolution: float = 0.0,
) -> Claim:
  """Returns a claim on a curve, judged over runs; `where` tells the line's from the trained on.

  `resolution` is the grid that the effects lie on, as in `summary.compared`.
  """
  of = "of the line itself" if where else "of the models trained on"
  text = TOPIC.claims[id].format(of=of, near=NEAR, steep=STEEP, stable=STABLE)
  return compared(id + where, text, effects, evidence, region=region, unit=unit,
                  resolution=resolution)  # fmt: skip


def best_near_zero(id: str, where: str, alphas: np.ndarray, loss: np.ndarray) -> Claim:
  """Returns the claim that the lowest test loss [M, A] lies near alpha 0.

  Its place is known to the grid of alpha, which is the resolution of the effect.
  """
  place = alphas[loss.argmin(axis=1)]
  said = f"Lowest test loss at alpha {spread(place)}, on a grid of {step(alphas):.3g}."
  return read_curve(id, where, NEAR - np.abs(place), "of alpha", 0.0, said, step(alphas))


def batch_claims(
  alphas: np.ndarray, curves: dict[str, np.ndarray], where: str, num_test: int
) -> list[Claim]:
  """Returns the claims on the batch pair's curves, [M, A], measured on `num_test` test images."""
  loss = curves["batch/test_loss"].astype(float)
  accuracy = 100 * curves["batch/test_accuracy"].astype(float)
  zero, half, late, two = (at(alphas, accuracy, alpha) for alpha in (0, 0.5, 1.5, 2))
  middle = (alphas >= 0.5) & (alphas <= 1.5)
  slope = statistics.slopes(alphas[middle], accuracy[:, middle])
  end = at(alphas, loss, 2) / at(alphas, loss, 1.5)
  said = (
    f"Test accuracy at alpha 0, 0.5, 1.5 and 2: {spread(zero, 4)}, {spread(half, 4)}, "
    f"{spread(late, 4)} and {spread(two, 4)} %."
  )
  region = statistics.accuracy_region(zero, num_test)
  return [
    best_near_zero("L-1.3.3a.1", where, alphas, loss),
    read_curve("L-1.3.3a.2", where, zero - half, "points", region, said, 100 / num_test),
    read_curve("L-1.3.3a.3", where, slope, "points per unit of alpha", region, said),
    read_curve("L-1.3.3a.4", where, np.log(end / STEEP), "log ratio", 0.0,
               f"Test loss at 2 over that at 1.5: {spread(end)}."),
  ]  # fmt: skip


def rate_claims(alphas: np.ndarray, curves: dict[str, np.ndarray], where: str) -> list[Claim]:
  """Returns the claims on the learning-rate pair's curves, [M, A]."""
  loss = curves["learning_rate/test_loss"].astype(float)
  right = (alphas >= 0) & (alphas <= 2)
  accuracy = 100 * curves["learning_rate/test_accuracy"][:, right].astype(float)
  lost = np.ptp(accuracy, axis=1)
  said = f"From alpha 0 to 2 the test accuracy stays within {spread(lost)} points of its best."
  return [
    best_near_zero("L-1.3.3b.1", where, alphas, loss),
    read_curve("L-1.3.3b.2", where, STABLE - lost, "points", 0.0, said),
  ]
