"""Whatever stands behind a flag: either a Config, or one line and no traceback."""

import dataclasses
import importlib
import pathlib

import pytest
from absl import flags
from hypothesis import given, settings
from hypothesis import strategies as st

from hw1_jax import cli
from hw1_jax.settings import SettingError

NAMES = sorted(
  path.stem
  for path in (pathlib.Path(__file__).resolve().parent.parent / "experiments").glob("*.py")
  if path.stem != "__init__"
)
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
  values = cli.define_flags(experiment)
  config, message = None, ""
  try:
    values(["x", *[f"--{field}={value}" for field, value in chosen]])
    config = cli.parse_config(experiment, values.flag_values_dict())
  except (SettingError, flags.Error) as error:
    message = " ".join(str(error).split())
  if config is None:
    assert 0 < len(message) < 400
  else:
    assert isinstance(config, experiment.config)
