"""Bonus 1.3: which measure of flatness ranks networks as their generalization gap does?

Networks are trained over a grid of batch size, learning rate, width, depth and label noise to equal
training loss (the last step of each is cut so that the loss agrees), each from several initial
weights. Every measure of `hw1_jax.analysis.flatness` and `norms` is taken of every network; its
Kendall correlation with the gap, test error less training error, stands with a bootstrap interval,
beside the granulated one and the conditional-independence score of Jiang et al. An audit rescales
the first layer so that the function stays the same, and shows which measures move (Dinh et al.).

    python -m experiments.flatness --flagfile=experiments/flags/quick/flatness.flags

Source: assignment 1-3, bonus; Jiang et al. 2020, Dinh et al. 2017, and the measures' own papers.
Cost: about a minute on 2 CPU cores with the quick settings, compiling included.
"""

from hw1_jax.runs.experiment import Experiment

from . import figures, findings, run

EXPERIMENT = Experiment(
  "flatness", __doc__, run.Config, run.Result, run.run, findings.summarize, figures.draw
)
