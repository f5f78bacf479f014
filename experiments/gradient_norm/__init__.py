"""1.2.2 Gradient norm during training: how it and the loss fall together.

A network is fitted to a target function, full batch; at every epoch (one step) the 2-norm of the
gradient of the loss over all parameters is recorded beside the loss, before the update.

    F=experiments/flags/long_report
    python -m experiments.gradient_norm --flagfile=$F/gradient_norm.flags

Source: assignment 1-2, "observe gradient norm during training"; long report 1.2.2, short report.
Cost: 6 seconds on 2 CPU cores with the long report's settings and 8 runs.
"""

from hw1_jax.runs.experiment import Experiment

from . import figures, findings, run

EXPERIMENT = Experiment(
  "gradient_norm", __doc__, run.Config, run.Result, run.run, findings.summarize, figures.draw
)
