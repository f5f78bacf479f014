"""Settings that make each experiment a matter of seconds."""

import dataclasses
import importlib

TINY = {
  "simulate_function": {"widths": ("3-3", "4-3", "5"), "learning_rate": (0.01,), "num_epochs": 30,
                        "num_points": 20, "num_runs": 2},
  "train_on_task": {"architectures": ("2k5p-2k5p/6d", "2k5p-2k5p/4-4", "3k5p/5"),
                    "num_epochs": 2, "batch_size": 60},
  "optimization_path": {"widths": "5-4", "num_runs": 3, "num_epochs": 4, "snapshot_epochs": 2,
                        "batch_size": 60},
  "gradient_norm": {"widths": "5", "num_epochs": 40, "num_runs": 2},
  "minimal_ratio": {"widths": "4", "num_epochs": 30, "num_points": 20, "num_runs": 3},
  "random_labels": {"widths": "8", "num_epochs": 3, "batch_size": 60, "num_runs": 2},
  "parameter_count": {"widths": ("3", "6", "9"), "num_epochs": 2, "batch_size": 60, "num_runs": 2},
  "interpolation": {"widths": "5", "num_alphas": 5, "num_runs": 2},
  "sensitivity": {"widths": "5", "batch_sizes": (40, 60, 90), "num_epochs": 2, "num_runs": 2},
}  # fmt: skip
SMALL_DATA = {"dataset": "digits", "train_examples": 180, "test_examples": 60}


def experiment(name):
  return importlib.import_module(f"experiments.{name}").EXPERIMENT


def tiny_settings(name):
  """Returns the settings of a tiny run that are not the defaults, {name: value}."""
  fields = {field.name for field in dataclasses.fields(experiment(name).config)}
  return {**{k: v for k, v in SMALL_DATA.items() if k in fields}, **TINY[name]}


def tiny_config(name):
  return experiment(name).config(**tiny_settings(name))


def tiny_flags(name):
  """Returns the flags of a tiny run, as a command line has them."""
  texts = {
    key: ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    for key, value in tiny_settings(name).items()
  }
  return [f"--{key}={text}" for key, text in texts.items()]
