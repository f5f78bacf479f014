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
