"""1.3.2 Number of parameters vs. generalization: what do more parameters do to train and test?

Ten networks of one family and growing width are trained alike on MNIST, or on another image set.

    F=experiments/flags/long_report
    python -m experiments.parameter_count --flagfile=$F/parameter_count.flags

Source: assignment 1-3, "number of parameters vs. generalization"; long report 1.3.2, short report.
Cost: 4 minutes on 2 CPU cores with the long report's settings and 3 runs.
"""

from hw1_jax.runs.experiment import Experiment

from . import figures, findings, run

EXPERIMENT = Experiment(
  "parameter_count", __doc__, run.Config, run.Result, run.run, findings.summarize, figures.draw
)
