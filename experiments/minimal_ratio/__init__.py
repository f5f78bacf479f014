"""1.2.3 What happens when the gradient is almost zero: the minimal ratio.

Many small networks are trained on a target function; from each one a search with exact float64
Hessians goes on to a point where the gradient of the loss is almost zero. There the fraction of
positive eigenvalues of the Hessian, the minimal ratio, is set against the loss.

    F=experiments/flags/long_report
    python -m experiments.minimal_ratio --flagfile=$F/minimal_ratio.flags

Source: assignment 1-2, "what happened when gradient is almost zero"; long report 1.2.3, short
report. Definitions: `curvature.minimal_ratio`, `critical_points`.
Cost: on 2 CPU cores 12 minutes for 100 runs at 1501 parameters and 20 search steps.
"""

from hw1_jax.runs.experiment import Experiment

from . import figures, findings, run

EXPERIMENT = Experiment(
  "minimal_ratio",
  __doc__,
  run.Config,
  run.Result,
  run.run,
  findings.summarize,
  figures.draw,
  x64=True,
  memory_need=run.memory_need,
)
