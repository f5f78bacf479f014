"""1.3.1 Can the network fit random labels, and what happens to the test loss meanwhile?

A network is trained on images whose labels are drawn at random; the test labels are the true ones.

    F=experiments/flags/long_report
    python -m experiments.random_labels --flagfile=$F/random_labels.flags

Source: assignment 1-3, "can network fit random labels?"; long report 1.3.1, short report.
Cost: 26 minutes on 2 CPU cores with the long report's settings, 1000 epochs and 3 runs.
"""

from hw1_jax.runs.experiment import Experiment

from . import figures, findings, run

EXPERIMENT = Experiment(
  "random_labels", __doc__, run.Config, run.Result, run.run, findings.summarize, figures.draw
)
