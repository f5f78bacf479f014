"""python -m hw1_jax.command: the same as hw1."""

import sys

from hw1_jax.command.main import main

sys.exit(main())
