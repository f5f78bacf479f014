"""Extends 1.3.3: three ways from one solution to another, and when trainings part.

Pairs of networks trained alike from independent initial weights. Loss and accuracy between the two
of a pair: on the straight line; on the straight line after the second one's units are put in the
order of the first one's (weight matching); on a curve trained to have low loss (quadratic Bezier).
Then pairs that share their first epochs of training and part: the barrier between them against the
number of epochs in common.

    F=experiments/flags/research
    python -m experiments.connectivity --flagfile=$F/connectivity.flags

Source: our own question. Methods: Ainsworth et al. 2023 (weight matching), Garipov et al. 2018
(curve), Frankle et al. 2020 (common training; here each child starts with a fresh optimizer).
Cost: 10 minutes on 2 CPU cores with the research settings on MNIST.
"""

from hw1_jax.runs.experiment import Experiment

from . import figures, findings, run

EXPERIMENT = Experiment(
  "connectivity", __doc__, run.Config, run.Result, run.run, findings.summarize, figures.draw
)
