"""python -m experiments.label_noise"""

from hw1_jax.runs.main import main

from . import EXPERIMENT

if __name__ == "__main__":
  main(EXPERIMENT)
