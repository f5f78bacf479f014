"""Own question: what does the spectrum of the Hessian look like at the size of an image network?

Three computations from products with the matrix alone, none of which forms it. (1) Over a training:
density by stochastic Lanczos quadrature with error bars over probes, extreme eigenpairs with
residual norms, trace and Frobenius norm (Hutch++), minimal ratio with an interval, for the Hessian
and the Gauss-Newton matrix. (2) Edge of stability: full-batch gradient descent at several learning
rates, largest eigenvalue against 2 / learning rate. (3) Outliers: the same network trained on the
same number of examples of the first C classes.

    python -m experiments.hessian_spectrum --flagfile=experiments/flags/quick/hessian_spectrum.flags

Source: our own; Ghorbani et al. 2019 (density), Cohen et al. 2021 (edge of stability), Papyan 2020
(outliers). Cost: about a minute on 2 CPU cores with the quick settings, compiling included.
"""

from hw1_jax.runs.experiment import Experiment

from . import figures, findings, run

EXPERIMENT = Experiment(
  "hessian_spectrum", __doc__, run.Config, run.Result, run.run, findings.summarize, figures.draw
)
