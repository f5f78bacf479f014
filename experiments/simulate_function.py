"""1.1.1 Simulate a function: do deep networks fit a function better than shallow ones?

Networks of equal size and different depth are fitted to target functions on evenly spaced points,
full batch, until the reports' stop rule holds.

    F=experiments/flags/long_report
    python -m experiments.simulate_function --flagfile=$F/simulate_function.flags

Source: assignment 1-1, "simulate a function"; long report 1.1.1 and its notebook, short report.
Cost: 1 minute on 2 CPU cores with the long report's settings and 8 runs.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from hw1_jax import data, models, rng
from hw1_jax.loops import Monitor
from hw1_jax.report import figures
from hw1_jax.runs.experiment import Experiment
from hw1_jax.runs.main import main
from hw1_jax.runs.settings import REPORT, Settings, setting
from hw1_jax.summary import Claim, Number, Summary, claim, show, spread
from hw1_jax.training import full_batch, losses, optimizers


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
  """Settings; the defaults are the long report's."""

  widths: tuple[str, ...] = setting(
    ("5-10-10-10-10-10-5", "10-18-15-4", "190"),
    "hidden widths of each model",
    pattern=models.WIDTHS,
    unique=True,
  )
  activation: str = setting("leaky_relu", "between layers", choices=tuple(models.ACTIVATIONS))
  targets: tuple[str, ...] = setting(
    ("sinc", "sign_sine"), "functions to fit", choices=tuple(data.TARGETS), unique=True
  )
  num_points: int = setting(300, "training points in [-1, 1]", minimum=3, maximum=100_000)
  optimizer: str = setting("adam", "PyTorch's", choices=optimizers.NAMES)
  learning_rate: tuple[float, ...] = setting(
    (0.0012, 0.0012, 0.0011, 0.009, 0.009, 0.009),
    "one, one a model, or one a target and model (all models of the first target first)",
    above=0,
    maximum=100,
  )
  weight_decay: float = setting(1e-4, "L2 term added to the gradient", minimum=0, maximum=100)
  num_epochs: int = setting(25_000, "the most epochs", minimum=1, maximum=10_000_000)
  loss_below: float = setting(1e-3, "stop rule: the loss is below this", minimum=0)
  change_below: float = setting(1e-5, "stop rule: the last two changes are below", minimum=0)
  num_runs: int = setting(8, "repetitions, each from its own initial weights", minimum=1,
                          maximum=10_000)  # fmt: skip

  report: str = REPORT

  def __post_init__(self) -> None:
    super().__post_init__()
    counts = (1, len(self.widths), len(self.widths) * len(self.targets))
    self.require(
      len(self.learning_rate) in counts,
      "learning_rate",
      f"1, {counts[1]} (models) or {counts[2]} (targets x models) values",
    )

  def rate(self, target: int, model: int) -> float:
    """Returns the learning rate of a model on a target, both by index."""
    rates = self.learning_rate
    if len(rates) == len(self.widths) * len(self.targets):
      return rates[target * len(self.widths) + model]
    return rates[model] if len(rates) == len(self.widths) else rates[0]


# (epoch of convergence, last loss) by report, target and model index; a text where the report
# gives no number. Source: the reports' sections 1.1.1.
REPORTED: dict[str, dict[str, dict[int, tuple[Any, Any]]]] = {
  "long": {
    "sinc": {0: (961, None), 1: (857, None), 2: (2186, None)},
    "sign_sine": {
      0: (8146, None),
      1: ("not by 25,000", 0.0025),
      2: ("not by 25,000", 0.0893),
    },
  },
  "short": {"sinc": {0: (15_500, None), 1: (9_000, None), 2: ("not by 20,000", None)}},
}


class Result(NamedTuple):
  """Keys of the dicts: 'TARGET/model_I', I from 1; M runs, P_I parameters, N points."""

  x: np.ndarray  # [N] float32
  y: dict[str, np.ndarray]  # key 'TARGET': [N] float32
  initial_params: dict[str, np.ndarray]  # [M, P_I] float32
  final_params: dict[str, np.ndarray]  # [M, P_I] float32, after the last epoch's update
  loss: dict[str, np.ndarray]  # [M, E] float32 MSE; column k-1 is epoch k, before its update
  stop_epoch: dict[str, np.ndarray]  # [M] int, epochs trained
  converged: dict[str, np.ndarray]  # [M] bool, the stop rule was met
  prediction: dict[str, np.ndarray]  # [M, N] float32, with the final parameters


def run(config: Config, monitor: Monitor) -> Result:
  """Returns all trainings: every target, model and run."""
  result: dict[str, dict[str, np.ndarray]] = {name: {} for name in Result._fields[1:]}
  rule = full_batch.StopRule(config.loss_below, config.change_below)
  keys = rng.member_keys(config.seed, config.num_runs)
  for t, target in enumerate(config.targets):
    x, y = data.function_data(target, config.num_points)
    result["y"][target] = np.asarray(y[:, 0])
    for i, spec in enumerate(config.widths):
      model = models.MLP((*models.parse_widths(spec), 1), config.activation, batch_last=True)
      forward, start = models.ravelled(model, rng.streams(keys, f"init {i}"), (1, 1))
      key = f"{target}/model_{i + 1}"
      fitted = full_batch.fit(
        monitor,
        key,
        lambda params, x, y, forward=forward: losses.mse(forward(params, x), y),
        start,
        [jnp.stack([values] * config.num_runs) for values in (x, y)],
        optimizers.make_optimizer(config.optimizer, config.rate(t, i), config.weight_decay),
        num_epochs=config.num_epochs,
        rule=rule,
      )
      outputs = jax.jit(jax.vmap(forward, in_axes=(0, None)))(fitted.params, x)
      result["initial_params"][key] = np.asarray(start)
      result["final_params"][key] = np.asarray(fitted.params)
      result["loss"][key] = fitted.history["loss"][:, : int(fitted.epochs.max())]
      result["stop_epoch"][key] = np.asarray(fitted.epochs)
      result["converged"][key] = np.asarray(fitted.converged)
      result["prediction"][key] = np.asarray(outputs[..., 0])
  return Result(np.asarray(x[:, 0]), **result)


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
      told_epoch, told_loss = REPORTED[config.report].get(target, {}).get(i, (None, None))
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
    captions[f"target_{target}"] = (
      f"The target {data.TARGET_LABELS[target]} at {config.num_points} training points."
    )
    captions[f"loss_{target}"] = f"Training loss on {target}. " + "; ".join(said) + "."
    captions[f"prediction_{target}"] = (
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
        "On sinc the deeper models 1 and 2 converge in fewer epochs than model 3.",
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
        "On sinc all three models predict about equally well in the end "
        "(our reading: their last losses differ by less than a factor of 2).",
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
        f"On sgn(sin) only model 1 converges within {config.num_epochs:,} epochs.",
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
        "More hidden layers converge better on the complicated functions "
        "(our reading: at the end the loss of model 1 < model 2 < model 3).",
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


def draw(config: Config, result: Result) -> dict[str, Figure]:
  """Returns for each target: the target itself, the losses, the predictions."""
  drawn = {}
  names = figures.model_names(config.widths)
  for target in config.targets:
    truth, title = result.y[target], data.TARGET_LABELS[target]
    figure, (ax,) = figures.canvas()
    ax.plot(result.x, truth, color="black", linewidth=1.4)
    figures.label(ax, "x", "y", f"target: {title}")
    drawn[f"target_{target}"] = figure

    figure, (ax,) = figures.canvas()
    for i, name in enumerate(names):
      loss = result.loss[f"{target}/model_{i + 1}"]
      figures.curves(ax, np.arange(1, loss.shape[1] + 1), loss, name, i, log=True)
      told = REPORTED[config.report].get(target, {}).get(i, (None, None))[0]
      if isinstance(told, int):
        ax.axvline(told, color=figures.COLORS[i], linestyle=(0, (1, 2)), linewidth=1.2,
                   label=f"model {i + 1}: reported epoch of convergence")  # fmt: skip
    ax.axhline(config.loss_below, color=figures.REPORTED, linewidth=0.8, label="stop rule")
    figures.label(ax, "epoch", "training loss (MSE)", title, xscale="log", yscale="log")
    drawn[f"loss_{target}"] = figures.legend(figure, columns=2)

    figure, (ax,) = figures.canvas()
    ax.plot(result.x, truth, color="black", linewidth=2.6, alpha=0.35, label="target")
    for i, name in enumerate(names):
      figures.curves(ax, result.x, result.prediction[f"{target}/model_{i + 1}"], name, i)
    figures.label(ax, "x", "y", f"{title}: predictions")
    drawn[f"prediction_{target}"] = figures.legend(figure, columns=2)
  return drawn


EXPERIMENT = Experiment("simulate_function", __doc__, Config, Result, run, summarize, draw)

if __name__ == "__main__":
  main(EXPERIMENT)
