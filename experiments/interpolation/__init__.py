"""1.3.3 Flatness vs. generalization, part 1: the loss on the line between two solutions.

One network is trained in two ways (pair A: two batch sizes; pair B: two learning rates), and loss
and accuracy are measured at theta(alpha) = (1 - alpha) theta_1 + alpha theta_2. With
--retrain_epochs each theta(alpha) is then trained on and measured again, as the long report did.

    F=experiments/flags/long_report
    python -m experiments.interpolation --flagfile=$F/interpolation.flags

Source: assignment 1-3, "flatness vs. generalization"; long report 1.3.3 and its notebooks.
Cost: 4 minutes on 2 CPU cores with the long report's settings, half of them for the models that are
trained on.
"""

from hw1_jax.runs.experiment import Experiment

from . import figures, findings, run

EXPERIMENT = Experiment(
  "interpolation", __doc__, run.Config, run.Result, run.run, findings.summarize, figures.draw
)
