"""Extends 1.3.2: past the width that just fits noisy labels, does the error fall again?

Networks with one hidden layer, from a few units to many more than fitting needs, trained on the
same few examples, a part of their labels random. After every epoch, over the whole sets: loss and
error on the labels trained on, and on the test set's true labels. Run m has the same labels at
every width.

    python -m experiments.double_descent --flagfile=experiments/flags/quick/double_descent.flags

Source: Belkin et al. 2019, Nakkiran et al. 2020 (double descent over widths, label noise).
Cost: 10 minutes on 2 CPU cores with the research settings on MNIST, estimated.
"""

from hw1_jax.runs.experiment import Experiment

from . import figures, findings, run

EXPERIMENT = Experiment(
  "double_descent", __doc__, run.Config, run.Result, run.run, findings.summarize, figures.draw
)
