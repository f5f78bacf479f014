"""The experiments of the registry, and settings that make each a matter of seconds."""

import importlib
import pathlib

from hw1_jax.report.assignment import topics
from hw1_jax.runs import flags

FLAGS = pathlib.Path(__file__).resolve().parents[1] / "experiments" / "flags"
NAMES = tuple(topic.experiment for topic in topics())


def experiment(name):
  return importlib.import_module(f"experiments.{name}").EXPERIMENT


def tiny_flags(name):
  """Returns the flags of a tiny run: of the tiny profile, or of the quick one without it."""
  tiny, quick = (FLAGS / profile / f"{name}.flags" for profile in ("tiny", "quick"))
  lines = (tiny if tiny.exists() else quick).read_text().splitlines()
  return [line for line in lines if line.startswith("--") and not line.startswith("--workdir")]


def tiny_config(name):
  config, _ = flags.parse(experiment(name), [name, *tiny_flags(name)])
  return config
