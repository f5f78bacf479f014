"""1.2.3 What happens when the gradient is almost zero: the minimal ratio.

Many small networks are trained on a target function; from each one Levenberg-Marquardt goes on to
a point where the gradient of the loss is zero, within kinks where units are piecewise linear, and
proves it. There the exact Hessian is taken: the fraction of its eigenvalues that are positive, the
minimal ratio, against the loss; which zeros there are, and why; how negative the others are.

    F=experiments/flags/long_report
    python -m experiments.minimal_ratio --flagfile=$F/minimal_ratio.flags

Source: assignment 1-2, "what happened when gradient is almost zero"; long report 1.2.3, short
report; `reported.py` holds what the report and its notebook show. Definitions, in `analysis`:
`levenberg_marquardt`, `kinks`, `kink_search`, `zeros`, `spectrum`; with several hidden layers
`held_kinks`, `piece_search`, `pieces`.
Cost: 80 s on 2 cores: training, 100 searches of about 220 steps and 100 spectra of 1501 parameters,
the path with 33 more, saddles, and compiling.
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
