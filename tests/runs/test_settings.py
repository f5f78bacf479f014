"""Settings check themselves and say what is wrong in one line."""

import dataclasses

import pytest

from hw1_jax.errors import UserError
from hw1_jax.runs.settings import Settings, describe, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example(Settings):
  rate: float = setting(0.1, "rate", above=0, maximum=1)
  count: int = setting(3, "count", minimum=1)
  sizes: tuple[int, ...] = setting((1, 2), "sizes", minimum=1, unique=True)
  kind: str = setting("a", "kind", choices=("a", "b"))
  code: str = setting("7", "code", pattern=(r"[0-9]+", "digits"))
  limit: int | None = setting(None, "limit", minimum=1)
  flag: bool = setting(False, "flag")


def test_good_values_pass_and_whole_numbers_become_floats():
  config = Example(rate=1, sizes=[3], limit=5)
  assert config.rate == 1.0
  assert isinstance(config.rate, float)
  assert config.sizes == (3,)


@pytest.mark.parametrize(
  ("field", "value", "message"),
  [
    ("rate", 0.0, "rate: got 0.0, expected above 0 and at most 1"),
    ("rate", 1.5, "at most 1"),
    ("rate", float("nan"), "expected a finite number"),
    ("rate", float("inf"), "expected a finite number"),
    ("rate", "fast", "expected a number"),
    ("count", 0, "count: got 0, expected at least 1"),
    ("count", 2**31, "at most 2147483647"),
    ("count", 1.5, "expected a whole number"),
    ("count", True, "expected a whole number"),
    ("sizes", (), "sizes: got '', expected at least one entry"),
    ("sizes", (2, 2), "differ from each other"),
    ("sizes", (1, 0), "sizes: got '1,0', expected at least 1"),
    ("sizes", "12", "a list of int"),
    ("kind", "c", "kind: got 'c', expected one of a, b"),
    ("code", "x7", "expected digits"),
    ("limit", 0, "expected at least 1"),
    ("flag", 1, "expected true or false"),
    ("seed", -1, "seed: got -1"),
    ("seed", 2**32, "seed: got 4294967296"),
  ],
)
def test_bad_values_name_flag_value_and_bound(field, value, message):
  with pytest.raises(UserError) as caught:
    Example(**{field: value})
  assert message in str(caught.value)
  assert str(caught.value).startswith(f"{field}: got ")


def test_long_values_are_shortened_in_messages():
  with pytest.raises(UserError) as caught:
    Example(code="x" * 500)
  assert len(str(caught.value)) < 150


def test_bounds_in_words():
  (field,) = [f for f in dataclasses.fields(Example) if f.name == "rate"]
  assert describe(field) == "above 0 and at most 1"
