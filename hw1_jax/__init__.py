"""hw1_jax: deep vs. shallow, optimization and generalization, in JAX.

The floors, in the order of the flow; each imports only from those before it (docs/library.md):

    rng pytrees errors loops devices    foundations: random streams, trees, resumable loops
    statistics survival summary         intervals, censored times, verdicts on claims
    data        function_data  load_images  corrupt_labels
    models      MLP  CNN  init  apply  ravelled  parse_widths  parse_cnn
    training    full_batch.fit  train_images  losses  optimizers  evaluation
    analysis    hessian  eigenvalues  minimal_ratio  critical_points  interpolate  pca  surface ...
    runs        Settings and flags, run folders, checkpoints, processes: input and output
    report      figures, the registry of experiments, the page
    command     hw1: list, run, run-all, report

`from hw1_jax import analysis` is enough for a notebook; nothing is imported before it is asked for.
"""

import os

# Every core is a device of its own and computes its share of the runs. A LAPACK that threads below
# that keeps the cores waiting for each other: six searches of 1.2.3 and their spectra took 15.4 s
# with two threads and 8.9 s with one (2 cores). Read when the library is loaded; a user's own
# setting wins, and what else he calls of LAPACK in the same process has one thread unless he does.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
