"""python -m hw1_jax.report results/PROFILE: writes the page of a folder of runs."""

import sys

from hw1_jax.report.main import main

sys.exit(main(sys.argv[1:]))
