"""Whatever settings are allowed, the run comes to its end and to its page, or is refused at once.

Settings are drawn at the edges of their bounds: one run, one epoch, one example, three points. A
draw may be refused before anything is computed (in one line), and training may meet NaN where a
step size is absurd. It may not end in a traceback, nor be refused once it has computed.

The long form draws 312 runs (`./run_tests.sh -m slow`), the short one four.
"""

import dataclasses
import itertools
import json
import zlib

import jax
import numpy as np
import pytest
from tiny import NAMES, experiment, tiny_config
from toy import command

from hw1_jax.errors import UserError
from hw1_jax.report import page
from hw1_jax.runs.settings import field_types, scalar_type

DRAWS = 24  # of each experiment, under slow; 13 experiments
QUICK = ("gradient_norm", "random_labels", "optimization_path", "parameter_count")  # once each

TEXTS = {  # settings with a pattern: small values of the right form
  "widths": ("1", "2", "3-1", "1-1-1"),
  "architectures": ("1k1/1", "2k3p/", "1k2p-2k1/3d", "2k2p/2-1"),
  "targets": ("x", "abs(x)-1", "0*x+3", "sinc", "stair"),
}
TEXTS |= {"function_widths": TEXTS["widths"], "saddle_widths": TEXTS["widths"],
          "architecture": TEXTS["architectures"], "target": TEXTS["targets"]}  # fmt: skip
SMALL_FLOATS = (1e-12, 1e-3, 0.3)
MOST = 12  # a bound without use at this size is drawn below it, for time
BINDING = ("dataset", "seed", "loss")  # chosen apart, or one value only


def images(folder, random):
  """Writes one of three small image sets, and returns its path."""
  classes, shape = ((2, (6, 7, 3)), (4, (8, 8, 1)), (11, (9, 9, 1)))[random.integers(3)]
  path = folder / f"{classes}_classes.npz"
  labels = np.arange(60) % classes
  pixels = random.integers(0, 256, (60, *shape)).astype(np.uint8)
  pixels[:, 0, 0, 0] = 255 * labels // classes
  np.savez(path, images=pixels, labels=labels)
  return path


def entry(field, kind, base, random):
  """Returns a value near the lower edge of a field's bounds, of a tuple's entry likewise."""
  meta = field.metadata
  if field.name in TEXTS:
    return random.choice(TEXTS[field.name])
  if meta.get("choices"):
    return random.choice(meta["choices"])
  if kind is bool:
    return bool(random.integers(2))
  lowest, most = meta.get("minimum"), meta.get("maximum")
  if kind is int:
    lowest = lowest or 0
    value = lowest + int(random.choice([0, 0, 1, 2, 3]))
    return value if most is None else min(value, most)
  if kind is float:
    options = [base, *SMALL_FLOATS]
    options += [lowest] if lowest is not None else []
    options += [most] if most is not None else []
    below = meta.get("below")
    return float(random.choice([o for o in options if below is None or o < below]))
  return base


def draw(name, folder, seed):
  """Returns flags of settings that the experiment allows; each differs from the tiny one or not."""
  random = np.random.default_rng([zlib.crc32(name.encode()), seed])
  config = experiment(name).config
  hints, base = field_types(config), tiny_config(name)
  for attempt in itertools.count():
    chosen = {}
    for field in dataclasses.fields(config):
      value = getattr(base, field.name)
      kind, is_tuple, optional = scalar_type(hints[field.name])
      if field.name in BINDING or random.random() < 0.6:
        chosen[field.name] = value
      elif optional and random.random() < 0.3:
        chosen[field.name] = None
      elif is_tuple:
        first = value[0] if value else 1
        count = random.choice([1, len(value) or 1, 2])
        entries = [entry(field, kind, first, random) for _ in range(count)]
        chosen[field.name] = tuple(dict.fromkeys(entries)) if field.metadata["unique"] else (
          tuple(entries))  # fmt: skip
      else:
        chosen[field.name] = entry(field, kind, value, random)
    try:
      config(**chosen)
    except UserError:
      assert attempt < 1000, "no settings are allowed"
      continue
    if "dataset" in chosen and random.random() < 0.7:
      chosen["dataset"] = str(images(folder, random))
    return [as_flag(key, value) for key, value in chosen.items()]


def as_flag(name, value):
  if isinstance(value, bool):
    return f"--{name}" if value else f"--no{name}"
  text = ",".join(map(str, value)) if isinstance(value, tuple) else value
  return f"--{name}={text}"


@pytest.fixture(autouse=True)
def precision():
  before = jax.config.jax_enable_x64
  yield
  jax.config.update("jax_enable_x64", before)
  jax.clear_caches()


@pytest.mark.parametrize(
  ("name", "seed"),
  [(name, 0) for name in QUICK]
  + [
    pytest.param(name, seed, marks=pytest.mark.slow)
    for name in NAMES
    for seed in range(name in QUICK, DRAWS)
  ],
)
def test_a_drawn_configuration_runs_to_its_page_or_is_refused_at_once(name, seed, tmp_path):
  flags = draw(name, tmp_path, seed)
  folder = tmp_path / "profile" / name
  print(f"python -m experiments.{name}", *flags)
  outcome = command(experiment(name), *flags, f"--workdir={folder}")
  metrics = folder / "metrics.jsonl"
  computed = metrics.exists() and metrics.stat().st_size > 0
  if outcome.code == 2:
    assert not computed, outcome.lines
    return
  if outcome.code == 1:
    said = ("loss is", "not finite", "on one line", "fewer than 2 dimensions")
    assert any(text in outcome.lines[-1] for text in said), outcome.lines
    return
  assert outcome.code == 0
  assert json.loads((folder / "provenance.json").read_text())["status"] == "finished"
  written = page.build(folder.parent).read_text()
  assert f'id="{name}"' in written
  assert "is damaged" not in written


@pytest.mark.parametrize(
  ("name", "flags"),
  [
    ("gradient_norm", ["--num_epochs=10000000", "--num_runs=10000"]),
    ("simulate_function", ["--num_epochs=10000000", "--num_runs=1000"]),
    ("optimization_path", ["--num_epochs=1000000", "--snapshot_epochs=1", "--num_runs=100"]),
    ("sensitivity", ["--num_runs=10000", "--widths=2000-2000"]),
    ("train_on_task", ["--num_runs=10000", "--architectures=99k4p/5000"]),
    ("minimal_ratio", ["--saddle_widths=300-300", "--num_runs=1"]),
  ],
)
def test_what_no_memory_holds_is_refused_before_anything_is_computed(name, flags, tmp_path):
  folder = tmp_path / "run"
  outcome = command(experiment(name), *flags, "--max_memory_gb=64", f"--workdir={folder}")
  assert outcome.code == 2
  assert "expected what fits into 64 GB" in outcome.lines[-1]
  assert not folder.exists()
  flag = flags[0].partition("=")[0]
  assert "--num_runs: got" in outcome.lines[-1] or f"{flag}: got" in outcome.lines[-1]


@pytest.mark.parametrize("name", NAMES)
def test_no_profile_needs_much_memory(name):
  need = tiny_config(name).memory_need()
  assert need is None or need.num_bytes < 1e8
