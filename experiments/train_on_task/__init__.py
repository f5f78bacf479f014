"""1.1.2 Train on actual tasks: do CNNs of equal size and different depth learn images equally well?

Convolutional networks of about 25,550 parameters are trained on MNIST, or on another image set.

    F=experiments/flags/long_report
    python -m experiments.train_on_task --flagfile=$F/train_on_task.flags

Source: assignment 1-1, "train on actual tasks"; long report 1.1.2 and its notebook, short report.
Cost: 3.4 minutes on 2 CPU cores with the long report's settings and 3 runs.
"""

from hw1_jax.runs.experiment import Experiment

from . import figures, findings, run

EXPERIMENT = Experiment(
  "train_on_task", __doc__, run.Config, run.Result, run.run, findings.summarize, figures.draw
)
