"""Our numbers beside the reported ones, the judged claims, the sentences."""

from collections.abc import Sequence

import numpy as np

from hw1_jax import data
from hw1_jax.report import figures
from hw1_jax.report.assignment import topic_of
from hw1_jax.summary import Claim, Number, Summary, claim, show, spread

from .run import Config, Result

TOPIC = topic_of("simulate_function")


def reported(config: Config, target: str, i: int) -> tuple[int | str | None, float | None]:
  """Returns (epoch of convergence, last loss) that the report prints for model i, from 0.

  A text where it gives no number; None where it says nothing.
  """
  models = TOPIC.reported[config.report].get(target, ())
  entry = models[i] if i < len(models) else {}
  return entry.get("epoch"), entry.get("loss")


def final_losses(result: Result, key: str) -> np.ndarray:
  """Returns each run's loss at its last epoch, [M]."""
  return result.loss[key][np.arange(len(result.stop_epoch[key])), result.stop_epoch[key] - 1]


def summarize(config: Config, result: Result) -> Summary:
  """Returns epochs to convergence and final losses beside the reported ones, and the claims."""
  names = figures.model_names(config.widths)
  numbers, tables, findings, captions = [], [], [], {}
  for t, target in enumerate(config.targets):
    said = []
    for i, name in enumerate(names):
      key = f"{target}/model_{i + 1}"
      epochs, done = result.stop_epoch[key], result.converged[key]
      told_epoch, told_loss = reported(config, target, i)
      note = f"{int(done.sum())} of {len(done)} runs converged within {config.num_epochs} epochs"
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
      numbers.append(Number(f"{target}, {name}: last loss", tuple(last), "MSE", told_loss))
      tables += [
          {"target": target, "model": name, "learning_rate": config.rate(t, i), "run": m,
           "converged": bool(done[m]), "epochs": int(epochs[m]), "last_loss": float(last[m])}
          for m in range(len(done))
      ]  # fmt: skip
      when = f", at epoch {spread(np.where(done, epochs, np.inf))}" if done.any() else ""
      said.append(f"{name}: {int(done.sum())} of {len(done)} runs converged{when}")
    findings.append(f"On {target}, " + "; ".join(said) + ".")
    file = data.target_file(target)
    captions[f"target_{file}"] = (
      f"The target {data.target_label(target)} at {config.num_points} training points."
    )
    captions[f"loss_{file}"] = f"Training loss on {target}. " + "; ".join(said) + "."
    captions[f"prediction_{file}"] = (
      f"Predictions for {target}; median last MSE: "
      + ", ".join(
        f"{name} {np.median(final_losses(result, f'{target}/model_{i + 1}')):.2g}"
        for i, name in enumerate(names)
      )
      + "."
    )
  findings += [compare_depths(config, result, names), compare_seeds(config, result)]
  return Summary(
    tuple(numbers),
    tuple(judge_claims(config, result)),
    tuple(findings),
    captions,
    {"convergence": tables},
  )


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


def judge_claims(config: Config, result: Result) -> list[Claim]:
  """Returns the report's claims, judged run by run; those whose models are missing are left out."""
  claims: list[Claim] = []

  def epochs(target: str, i: int) -> np.ndarray:  # infinite where a run did not converge
    key = f"{target}/model_{i}"
    return np.where(result.converged[key], result.stop_epoch[key].astype(float), np.inf)

  if len(config.widths) != 3:
    return claims
  if config.report == "long" and "sinc" in config.targets:
    one, two, three = (epochs("sinc", i) for i in (1, 2, 3))
    claims.append(
      claim(
        "L-1.1.1a",
        TOPIC.claims["L-1.1.1a"],
        (one < three) & (two < three),
        f"Epochs of convergence: {spread(one)}, {spread(two)} and {spread(three)}; "
        f"{sum(int(np.isinf(e).sum()) for e in (one, two, three))} trainings did not converge.",
        medians=[float(np.median(e)) for e in (one, two, three)],
      )
    )
    last = np.stack([final_losses(result, f"sinc/model_{i}") for i in (1, 2, 3)])
    ratio = last.max(axis=0) / last.min(axis=0)
    claims.append(
      claim(
        "L-1.1.1b",
        TOPIC.claims["L-1.1.1b"],
        ratio < 2,
        f"Largest over smallest last loss of the three models: {spread(ratio)}.",
        ratios=ratio.tolist(),
      )
    )
  if config.report == "long" and "sign_sine" in config.targets:
    one, two, three = (np.isfinite(epochs("sign_sine", i)) for i in (1, 2, 3))
    claims.append(
      claim(
        "L-1.1.1c",
        TOPIC.claims["L-1.1.1c"].format(num_epochs=config.num_epochs),
        one & ~two & ~three,
        f"Converged: {one.sum()}, {two.sum()} and {three.sum()} of {len(one)} runs "
        "of models 1, 2 and 3.",
      )
    )
  hard = [target for target in config.targets if target != "sigmoid"]
  if config.report == "short" and hard:
    last = np.stack(
      [[final_losses(result, f"{t}/model_{i}") for i in (1, 2, 3)] for t in hard]
    )  # [targets, models, runs]
    deeper_better = (last[:, 0] < last[:, 1]) & (last[:, 1] < last[:, 2])
    claims.append(
      claim(
        "S-1.1.1",
        TOPIC.claims["S-1.1.1"],
        deeper_better.ravel(),
        "Median last losses: "
        + "; ".join(
          f"{t} " + ", ".join(f"{v:.2g}" for v in np.median(last[j], axis=1))
          for j, t in enumerate(hard)
        )
        + ".",
      )
    )
  return claims
