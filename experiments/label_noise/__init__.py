"""Extends 1.3.1: from true labels to random ones, what does each share of random labels change?

One network is trained on copies of one training set in which a growing fraction of the labels is
random. Every run has its own order of the examples and its own labels, nested over the fractions:
what is random at a small fraction is so at a larger one. After every epoch, over the whole sets:
loss and error on the labels trained on, and on the test set's true labels.

    python -m experiments.label_noise --flagfile=experiments/flags/quick/label_noise.flags

Source: Zhang et al. 2017, figure 1 (time to fit, test error); our own question otherwise.
Cost: 10 minutes on 2 CPU cores with the research settings on MNIST, estimated.
"""

from hw1_jax.runs.experiment import Experiment

from . import figures, findings, run

EXPERIMENT = Experiment(
  "label_noise", __doc__, run.Config, run.Result, run.run, findings.summarize, figures.draw
)
