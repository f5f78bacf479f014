"""Our numbers beside the reported ones, the judged claims, the sentences."""

from collections.abc import Sequence

import numpy as np

from hw1_jax import data, survival
from hw1_jax.report import figures, reported
from hw1_jax.report.assignment import topic_of
from hw1_jax.summary import Claim, Number, Summary, claim, compared, show, spread

from .run import Config, Result

TOPIC = topic_of("simulate_function")


def told(config: Config, target: str, i: int) -> tuple[int | str | None, float | None]:
  """Returns (epoch of convergence, last loss) that the report prints for model i, from 0.

  A text where it gives no number; None where it says nothing.
  """
  if not config.as_reported:
    return None, None
  if config.report == "long":
    row = reported.read("simulate_function").where(target=target, model=i + 1).columns
    if not len(row["epoch"]):
      return None, None
    epoch = int(row["epoch"][0])
    return epoch if row["converged"][0] else f"not by {epoch:,}", float(row["loss"][0])
  models = TOPIC.reported[config.report].get(target, ())
  return (models[i] if i < len(models) else {}).get("epoch"), None


def final_losses(result: Result, key: str) -> np.ndarray:
  """Returns each run's loss at its last epoch, [M]."""
  return result.loss[key][np.arange(len(result.stop_epoch[key])), result.stop_epoch[key] - 1]


def summarize(config: Config, result: Result) -> Summary:
  """Returns epochs to convergence and final losses beside the reported ones, and the claims."""
  names, mse = figures.model_names(config.widths), config.words("MSE")
  numbers, tables, findings, captions = [], [], [], {}
  for t, target in enumerate(config.targets):
    said = []
    for i, name in enumerate(names):
      key = f"{target}/model_{i + 1}"
      epochs, done = result.stop_epoch[key], result.converged[key]
      told_epoch, told_loss = told(config, target, i)
      note = (
        f"{int(done.sum())} of {len(done)} runs converged within {config.num_epochs} epochs; "
        f"median over all runs (Kaplan-Meier): {in_words(median_epoch(result, key))}"
      )
      numbers.append(
        Number(
          f"{target}, {name}: epoch of convergence",
          tuple(np.where(done, epochs, np.nan)),
          "epochs",
          told_epoch,
          note,
        )
      )
      last = final_losses(result, key)
      numbers.append(Number(f"{target}, {name}: last loss", tuple(last), mse, told_loss))
      tables += [
          {"target": target, "model": name, "learning_rate": config.rate(t, i), "run": m + 1,
           "converged": bool(done[m]), "epochs": int(epochs[m]), "last_loss": float(last[m])}
          for m in range(len(done))
      ]  # fmt: skip
      said.append(
        f"{name}: {int(done.sum())} of {len(done)} runs converged, half of all "
        f"{by_epoch(median_epoch(result, key))}"
      )
    findings.append(f"On {target}, " + "; ".join(said) + ".")
    file = data.target_file(target)
    captions[f"target_{file}"] = (
      f"The target {data.target_label(target)} at {config.num_points} training points."
    )
    captions |= describe_figures(config, result, target)
  findings += [compare_depths(config, result, names), compare_seeds(config, result)]
  return Summary(
    tuple(numbers),
    tuple(judge_claims(config, result)),
    tuple(findings),
    captions,
    {"convergence": tables},
    " ".join(answer(config, result, target) for target in config.targets[:2]),
  )


def answer(config: Config, result: Result, target: str) -> str:
  """Returns how many runs of each model converge on a target, the models by their depth."""
  parts = []
  for i, spec in enumerate(config.widths):
    done, layers = result.converged[f"{target}/model_{i + 1}"], spec.count("-") + 1
    parts.append(f"{int(done.sum())} with {layers} hidden layer{'s' if layers > 1 else ''}")
  return (
    f"On {data.target_label(target)}, of {len(done)} runs each, {listed(parts)} converge within "
    f"{config.num_epochs:,} epochs."
  )


def listed(parts: Sequence[str]) -> str:
  """Returns 'a, b and c'."""
  return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]


def describe_figures(config: Config, result: Result, target: str) -> dict[str, str]:
  """Returns the captions of a target's figures."""
  file, label = data.target_file(target), data.target_label(target)
  keys = [f"{target}/model_{i + 1}" for i in range(len(config.widths))]
  ends = [final_losses(result, key) for key in keys]
  numbered = [f"model {i + 1}" for i in range(len(keys))]
  half = [f"{n} {in_words(median_epoch(result, key))}" for key, n in zip(keys, numbered)]
  worst = listed([f"{show(loss.max(), 2)} ({name})" for loss, name in zip(ends, numbered)])
  middle = listed([f"{show(np.median(loss), 2)} ({name})" for loss, name in zip(ends, numbered)])
  return {
    f"convergence_{file}": f"Epoch by which half of all runs on {label} have converged: "
    f"{', '.join(half)} (Kaplan-Meier curves, 95 % intervals).",
    f"loss_{file}": f"The median run on {label} ends at a training loss of {middle}, the worst "
    f"one at {worst}.",
    f"prediction_{file}": f"The median network's {config.words('MSE')} on {label} is {middle}.",
  }


def compare_depths(config: Config, result: Result, names: Sequence[str]) -> str:
  """Returns how often each model ends with the lowest loss."""
  parts = []
  for target in config.targets:
    last = np.stack([final_losses(result, f"{target}/model_{i + 1}") for i in range(len(names))])
    wins = np.bincount(last.argmin(axis=0), minlength=len(names))
    medians = ", ".join(f"{np.median(loss):.2g}" for loss in last)
    parts.append(f"{', '.join(map(str, wins))} of {last.shape[1]} on {target} (medians {medians})")
  return f"The lowest last loss is that of models 1 to {len(names)} in " + "; ".join(parts) + "."


def compare_seeds(config: Config, result: Result) -> str:
  """Returns how far last losses lie apart between seeds and between models."""
  parts = []
  for target in config.targets:
    last = np.stack(
      [final_losses(result, f"{target}/model_{i + 1}") for i in range(len(config.widths))]
    )
    seeds = (last.max(axis=1) / last.min(axis=1)).max()
    medians = np.median(last, axis=1)
    between = medians.max() / medians.min()
    parts.append(
      f"by up to a factor of {show(seeds)} on {target} (models' medians: {show(between)})"
    )
  return "Seeds against models: the last losses of one model differ " + ", ".join(parts) + "."


def median_epoch(result: Result, key: str) -> float:
  """Returns the epoch by which half of all runs have converged; inf if they never do."""
  return survival.median_time(survival.kaplan_meier(result.stop_epoch[key], result.converged[key]))


def by_epoch(epoch: float) -> str:
  """Returns when half of all have converged, or that they have not."""
  return f"by epoch {show(epoch)}" if np.isfinite(epoch) else "not within the limit"


def in_words(epoch: float) -> str:
  """Returns an epoch of convergence, or that it was not reached."""
  return show(epoch) if np.isfinite(epoch) else "never within the limit"


def judge_claims(config: Config, result: Result) -> list[Claim]:
  """Returns the report's claims, each part alone; those whose models are missing are left out."""
  if len(config.widths) != 3:
    return []
  if config.report == "short":
    return [
      ends_better(result, f"S-1.1.1, {target}, {a} and {b}", target, a, b)
      for target in config.targets
      if target != "sigmoid"
      for a, b in ((1, 2), (2, 3), (1, 3))
    ]
  claims = []
  if "sinc" in config.targets:
    claims += [converges_first(result, f"L-1.1.1a.{a}", a, 3) for a in (1, 2)]
    claims += [predicts_equally(result, f"L-1.1.1b.{a}", "sinc", a, 3) for a in (1, 2)]
  if "sign_sine" in config.targets:
    for i in (1, 2, 3):
      done = result.converged[f"sign_sine/model_{i}"]
      id = f"L-1.1.1c.{i}"
      text = TOPIC.claims[id].format(num_epochs=config.num_epochs)
      evidence = f"Converged: {done.sum()} of {len(done)} trainings of model {i}."
      claims.append(claim(id, text, done if i == 1 else ~done, evidence))
    claims += [predicts_equally(result, f"L-1.1.1d.{a}", "sign_sine", a, 3) for a in (1, 2)]
  return claims


def converges_first(result: Result, id: str, a: int, b: int) -> Claim:
  """Returns the claim that model a needs fewer epochs than model b on sinc; censored runs count."""
  keys = [f"sinc/model_{i}" for i in (a, b)]
  times = [(result.stop_epoch[key], result.converged[key]) for key in keys]
  first, second = survival.first_to_converge(*times[0], *times[1])
  test = survival.log_rank(*times[0], *times[1])
  medians = [median_epoch(result, key) for key in keys]
  pairs = len(times[0][0])
  evidence = (
    f"Counted are the runs in which one of the two converged first; in {pairs - first - second} of "
    f"{pairs} neither did. Median epochs over all runs (Kaplan-Meier): model {a} "
    f"{in_words(medians[0])}, model {b} {in_words(medians[1])}; log-rank p = {test.p_value:.2g}."
  )
  outcomes = np.repeat([True, False], [first, second])
  return claim(id, TOPIC.claims[id], outcomes, evidence, log_rank_z=test.z, log_rank_p=test.p_value,
               medians=medians)  # fmt: skip


ALIKE = float(np.log(1.5))  # predictions whose errors differ by less are about equally good; ours


def predicts_equally(result: Result, id: str, target: str, a: int, b: int) -> Claim:
  """Returns the claim that models a and b predict about equally well, of all runs.

  Not by the loss, which the stop rule makes alike: by the largest error over the points on sinc.
  On sgn(sin), whose jumps make that error alike, by the mean squared error.
  """
  measure = np.max if target == "sinc" else np.mean
  errors = [
    measure((result.prediction[f"{target}/model_{i}"] - result.y[target]) ** 2, axis=1)
    for i in (a, b)
  ]
  if target == "sinc":
    errors = [np.sqrt(error) for error in errors]
  return compared(
    id,
    TOPIC.claims[id],
    np.log(errors[0] / errors[1]),
    f"Errors: model {a} {spread(errors[0])}, model {b} {spread(errors[1])}.",
    region=ALIKE,
    unit="log ratio of errors",
    equality=True,
  )


def ends_better(result: Result, id: str, target: str, a: int, b: int) -> Claim:
  """Returns the claim that model a converges better than model b, which has fewer layers."""
  epochs, losses, done = (
    [values[f"{target}/model_{i}"] for i in (a, b)]
    for values in (result.stop_epoch, last_losses(result), result.converged)
  )
  when = [np.where(d, e, np.inf) for d, e in zip(done, epochs)]
  first = (when[0] < when[1]) | (~done[0] & ~done[1] & (losses[0] < losses[1]))
  evidence = (
    f"Converged: {done[0].sum()} and {done[1].sum()} of {len(first)} runs; last losses "
    f"{spread(losses[0])} and {spread(losses[1])}."
  )
  return claim(id, TOPIC.claims["S-1.1.1"].format(target=target, a=a, b=b), first, evidence)


def last_losses(result: Result) -> dict[str, np.ndarray]:
  """Returns 'TARGET/model_I' -> each run's last loss, [M]."""
  return {key: final_losses(result, key) for key in result.loss}
