"""1.3.4 Flatness vs. generalization, part 2: how sensitive is the output to the input?

One network is trained with several batch sizes, for equally many epochs and (--num_steps) for about
equally many steps. Three quantities are called sensitivity here, means over the test set or steps:
(a) ||d softmax(f(x))/dx||_F, the assignment's; (b) ||d loss/dx||; (c) the norm of the minibatch
gradient by the *parameters*, averaged over the training steps: what the long report's notebook did.

    F=experiments/flags/long_report
    python -m experiments.sensitivity --flagfile=$F/sensitivity.flags

Source: assignment 1-3, "flatness vs. generalization"; long report 1.3.4 and its notebook.
Cost: 3 minutes on 2 CPU cores with the long report's settings.
"""

from hw1_jax.runs.experiment import Experiment

from . import figures, findings, run

EXPERIMENT = Experiment(
  "sensitivity", __doc__, run.Config, run.Result, run.run, findings.summarize, figures.draw
)
