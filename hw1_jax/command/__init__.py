"""Command: hw1, and run_all.sh behind it; one program over all experiments."""

import os

# A LAPACK with threads of its own would keep run-all from forking (hw1_jax.command.children), and
# the experiments use one thread anyway (hw1_jax.devices). Read when NumPy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
