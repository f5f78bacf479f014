"""1.1.1 Simulate a function: do deep networks fit a function better than shallow ones?

Networks of equal size and different depth are fitted to target functions on evenly spaced points,
full batch, until the reports' stop rule holds.

    F=experiments/flags/long_report
    python -m experiments.simulate_function --flagfile=$F/simulate_function.flags

Source: assignment 1-1, "simulate a function"; long report 1.1.1 and its notebook, short report.
Cost: 1 minute on 2 CPU cores with the long report's settings and 8 runs.
"""

from hw1_jax.runs.experiment import Experiment

from . import figures, findings, run

EXPERIMENT = Experiment(
  "simulate_function", __doc__, run.Config, run.Result, run.run, findings.summarize, figures.draw
)
