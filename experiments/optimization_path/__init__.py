"""1.2.1 Visualize the optimization process: which way do the weights go in training?

One network is trained several times from different initial weights. Its weights are kept at
intervals, and a PCA over all runs together reduces them to two dimensions: once all weights, once
those of the first layer alone.

    F=experiments/flags/long_report
    python -m experiments.optimization_path --flagfile=$F/optimization_path.flags

Source: assignment 1-2, "visualize the optimization process"; long report 1.2.1 and its notebook,
short report.
Cost: 3 minutes on 2 CPU cores with the long report's settings, 1 GB of memory.
"""

from hw1_jax.runs.experiment import Experiment

from . import figures, findings, run

EXPERIMENT = Experiment(
  "optimization_path", __doc__, run.Config, run.Result, run.run, findings.summarize, figures.draw
)
