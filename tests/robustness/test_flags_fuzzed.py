"""Whatever stands behind a flag: either a Config, or one line and no traceback."""

import dataclasses
import importlib

import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny import NAMES
from toy import command

from hw1_jax import data
from hw1_jax.errors import UserError
from hw1_jax.runs import flags
from hw1_jax.runs.folder import RunFolder
from hw1_jax.runs.settings import field_types, scalar_type

VALUES = st.one_of(
  st.text(max_size=20),
  st.integers(-(10**30), 10**30).map(str),
  st.floats().map(str),
  st.lists(st.floats().map(str) | st.text(max_size=5), max_size=5).map(",".join),
)


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=60, derandomize=True)
@given(data=st.data())
def test_any_text_behind_a_flag_is_a_config_or_one_line(name, data):
  experiment = importlib.import_module(f"experiments.{name}").EXPERIMENT
  fields = [field.name for field in dataclasses.fields(experiment.config)]
  chosen = data.draw(st.lists(st.tuples(st.sampled_from(fields), VALUES), max_size=3))
  config, message = None, ""
  try:
    config, _ = flags.parse(experiment, ["x", *[f"--{f}={value}" for f, value in chosen]])
  except (UserError, UnicodeError) as error:
    message = " ".join(str(error).split())
  if config is None:
    assert 0 < len(message) < 400
  else:
    assert isinstance(config, experiment.config)


# Through `cli.main`, as a user meets it.

COMMON = ("workdir", "num_devices", "checkpoint_seconds", "data_dir", "manual_dir", "overwrite",
          "figures_only", "help", "flagfile", "undefok")  # fmt: skip
ODD = st.sampled_from(
  ["", "0", "-1", "１２", "½", "∞", "1e999", "-1e999", "nan", "9" * 30, "9" * 5000, "-" + "9" * 30,
   "\0", "a\0b", "\ud800", "\n", "\x1b[2J", "../..", "/", "x" * 5000, ",", ",,", "--", "=", "None",
   "true", "１-２", "\u202e", "é", "e\u0301"]
)  # fmt: skip


class Started(BaseException):
  """The run would have begun."""


@pytest.fixture
def no_run(monkeypatch, tmp_path):
  """No folder is made, no data set is loaded, and what flags set in JAX is undone."""
  jax.devices()
  names = ("jax_enable_x64", "jax_compilation_cache_dir",
           "jax_persistent_cache_min_compile_time_secs")  # fmt: skip
  before = {name: getattr(jax.config, name) for name in names}

  def hold(self, config, **options):
    raise Started

  def initialize(*args, **options):
    raise ValueError("no cluster here")

  def load_images(name, **options):
    if name != "digits":
      raise UserError("no network here")
    images, labels = np.zeros((5, 28, 28, 1), np.uint8), np.zeros(5, np.int32)
    return data.ImageData(images, labels, images, labels, 10, name)

  monkeypatch.setattr(RunFolder, "hold", hold)
  monkeypatch.setattr(jax.distributed, "initialize", initialize)
  monkeypatch.setattr(data, "load_images", load_images)
  monkeypatch.chdir(tmp_path)
  yield tmp_path
  for name, value in before.items():
    jax.config.update(name, value)


def started_or_refused(experiment, *arguments):
  """Returns None where the run would have begun, the only line on stderr where it was refused."""
  try:
    outcome = command(experiment, *arguments)
  except Started:
    return None
  if outcome.code == 0:
    assert outcome.out.startswith(experiment.doc.strip()[:20])  # --help
    return None
  assert outcome.code == 2
  (line,) = outcome.lines
  assert len(line) < 1000
  return line


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=60, derandomize=True,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(data=st.data())
def test_any_command_line_starts_or_is_one_line(name, no_run, data):
  experiment = importlib.import_module(f"experiments.{name}").EXPERIMENT
  fields = [field.name for field in dataclasses.fields(experiment.config)]
  named = st.sampled_from([*fields, *COMMON])
  argument = st.one_of(
    st.builds("--{}={}".format, named, ODD),
    st.builds("--{}={}".format, named, VALUES),
    st.builds("-{}={}".format, named, ODD),
    st.builds("--no{}".format, named),
    st.builds("--{}".format, named),
    st.builds("--{}={}".format, ODD, ODD),
    ODD,
  )
  started_or_refused(experiment, *data.draw(st.lists(argument, min_size=1, max_size=4)))
  assert not list(no_run.iterdir())


def wrong_texts(field, annotation):
  """Returns texts that no value of the field can have, whatever the others are."""
  kind, is_tuple, optional = scalar_type(annotation)
  meta = field.metadata
  texts = ["\0", "1\0", "\ud800"]
  if kind is bool:
    return [*texts, "", "perhaps", "2", "½", "-1"]
  if kind in (int, float):
    texts += ["x", "½", "∞", "nan", "inf", "-inf", "1e999", "--1", "1 2", "0x10", "1;2", "9" * 5000]
    texts += [str(meta["minimum"] - 1)] if meta.get("minimum") is not None else []
    texts += [str(meta["maximum"] + 1)] if meta.get("maximum") is not None else []
    texts += [str(meta["above"]), "-" + "9" * 30] if meta.get("above") is not None else []
    texts += [str(meta["below"]), "9" * 30] if meta.get("below") is not None else []
  if kind is float and "9" * 5000 in texts:
    texts.remove("9" * 5000)  # infinite
    texts.append("9" * 400)
  if kind is int:
    texts += ["1.5", "1e3", "True", str(2**32), "9" * 30]
  formula = field.name.startswith("target")  # of x: then "x", "1", "-5" and "5--5" are right
  if meta.get("choices") and not formula:
    texts += ["x", meta["choices"][0].upper(), meta["choices"][0] + "s", "1"]
  if formula:
    texts += ["-", "5 5", "½"]
  elif meta.get("pattern"):
    texts += ["x", "-", "5--5", "5 5", "-5", "½"]
  if is_tuple:
    default = ",".join(map(str, field.default))
    texts = [wrong for text in texts for wrong in (text, f"{default},{text}")]
    texts += [f"{default},,"] + [f"{default},{default}"] * bool(meta.get("unique"))
  return texts if optional or (kind is str and not meta.get("pattern")) else [*texts, ""]


@pytest.mark.parametrize("name", NAMES)
def test_every_wrong_value_of_every_flag_is_refused_by_its_name(name, no_run):
  experiment = importlib.import_module(f"experiments.{name}").EXPERIMENT
  hints = field_types(experiment.config)
  for field in dataclasses.fields(experiment.config):
    for text in wrong_texts(field, hints[field.name]):
      line = started_or_refused(experiment, f"--{field.name}={text}")
      assert line, (field.name, text[:50])
      assert f"--{field.name}" in line or "unreadable text in the flags" in line
      assert line == started_or_refused(
        experiment, "--seed=1", "--seed=2", f"--{field.name}={text}"
      )
  for flag, text in (
    ("num_devices", "9" * 5000), ("num_devices", "-1"), ("num_devices", "1.0"),
    ("num_devices", ""), ("num_devices", "²"), ("num_devices", "4096"), ("num_devices", "\0"),
    ("num_processes", "9" * 5000), ("num_processes", "0"), ("num_processes", "2"),
    ("process_id", "9" * 5000), ("process_id", "-1"), ("process_id", "１"),
    ("coordinator_address", "nowhere"), ("coordinator_address", "a b:1"),
    ("max_memory_gb", "-1"), ("max_memory_gb", "nan"), ("max_memory_gb", "much"),
    ("max_memory_gb", "9" * 5000), ("max_memory_gb", "\0"), ("max_memory_gb", ""),
    ("checkpoint_seconds", "-1"), ("checkpoint_seconds", "nan"), ("checkpoint_seconds", "inf"),
    ("checkpoint_seconds", "9" * 400), ("checkpoint_seconds", ""), ("checkpoint_seconds", "1 s"),
    ("workdir", "\0"), ("compilation_cache_dir", "a\0b"), ("overwrite", "perhaps"),
    ("figures_only", "2"), ("help", "½"), ("Seed", "1"), ("sеed", "1"),  # a Cyrillic e
  ):  # fmt: skip
    line = started_or_refused(experiment, f"--{flag}={text}")
    assert line, (flag, text[:50])
    assert flag in line
  assert not list(no_run.iterdir())


@pytest.mark.parametrize("name", NAMES[:2])
def test_a_flagfile_of_any_bytes_is_one_line(name, no_run):
  experiment = importlib.import_module(f"experiments.{name}").EXPERIMENT
  path = no_run / "x.flags"
  for content in (b"\x80\xff", b"--seed=\0", b"--workdir=a\0b", b"--flagfile=\0",
                  b"--seed", b"PK\x03\x04", b"--seed=" + b"9" * 5000, b"seed=1",
                  b"\0"):  # fmt: skip
    path.write_bytes(content)
    assert started_or_refused(experiment, f"--flagfile={path}"), content[:50]
  assert list(no_run.iterdir()) == [path]


def test_right_values_start(no_run):
  """What the tests above refuse is refused for its value only."""
  for name in NAMES:
    experiment = importlib.import_module(f"experiments.{name}").EXPERIMENT
    dataset = ["--dataset=digits"] if experiment.uses_images else []
    counts = (
      [f"--{kind}_examples=5" for kind in ("train", "test")] if experiment.uses_images else []
    )
    with pytest.raises(Started):
      command(experiment, *dataset, *counts, "--seed=x", "--seed=1", "--num_devices=1")
