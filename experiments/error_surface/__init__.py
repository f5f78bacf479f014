"""1.2, bonus: the error surface around trained networks, on planes and along curved directions.

A network on images and a network fitted to a function, several runs each. Loss (and accuracy) of
the first run over the whole training set on three planes: two random filter-normalized directions,
the first two principal components of the training path, and the plane through the first three runs'
solutions. One-dimensional slices follow the eigenvectors of the largest Hessian eigenvalues.

    F=experiments/flags/research
    python -m experiments.error_surface --flagfile=$F/error_surface.flags

Source: assignment 1-2, bonus "visualize the error surface"; neither report has one. Methods: Li et
al. 2018 (normalized directions, path plane), Garipov et al. 2018 (plane through three solutions).
Cost: 4 minutes on 2 CPU cores with the research settings on MNIST.
"""

from hw1_jax.runs.experiment import Experiment

from . import figures, findings, run

EXPERIMENT = Experiment(
  "error_surface", __doc__, run.Config, run.Result, run.run, findings.summarize, figures.draw
)
