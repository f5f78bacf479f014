"""The registry of experiments: the assignment's parts and questions, claims and reported numbers.

All of it stands in experiments/assignment.toml; this module reads it.
"""

import functools
import importlib.util
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

NOTHING: Mapping[str, Any] = MappingProxyType({})
PACKAGE = Path(__file__).resolve().parents[1]
# Inside the package, as hw1_jax.experiments, where it is installed; beside it in a checkout.
EXPERIMENTS = next(
  (path for path in (PACKAGE / "experiments", PACKAGE.parent / "experiments") if path.is_dir()),
  PACKAGE / "experiments",
)


class Topic(NamedTuple):
  """A section of the assignment, and the experiment that answers it."""

  number: str
  title: str
  short: str  # its name within a sentence
  experiment: str
  asks: str  # the question in one line
  figure: str  # the one that answers it
  question: str  # what the assignment asks, in our words
  profiles: tuple[str, ...]  # the reports that have the section
  claims: Mapping[str, str] = NOTHING  # id -> text, "{...}" to be filled in
  figures: tuple[str, ...] = ()  # those that a report has, shown unfolded; `figure` without any
  reported: Mapping[str, Mapping[str, Any]] = NOTHING  # report -> name -> values, and "source"


class Bonus(NamedTuple):
  """A bonus question, and the experiments whose sections answer it."""

  title: str
  text: str
  experiments: tuple[str, ...]


class Part(NamedTuple):
  """A part of the assignment."""

  number: str
  title: str
  topics: tuple[Topic, ...]
  bonus: Bonus | None


@functools.cache
def _registry() -> dict[str, Any]:
  return tomllib.loads((EXPERIMENTS / "assignment.toml").read_text(encoding="utf-8"))


def package_of(experiment: str) -> str:
  """Returns the package of an experiment: hw1_jax.experiments.NAME where it is installed so."""
  installed = importlib.util.find_spec("hw1_jax.experiments") is not None
  return f"hw1_jax.experiments.{experiment}" if installed else f"experiments.{experiment}"


def overlays() -> Mapping[str, str]:
  """Returns profile -> the profile whose flagfiles come before its own."""
  return _registry().get("overlays", NOTHING)


@functools.cache
def read_assignment() -> tuple[Part, ...]:
  """Returns the assignment's parts, in its order."""
  return tuple(
    Part(
      part["number"],
      part["title"],
      tuple(Topic(**topic) for topic in part["topic"]),
      Bonus(**part["bonus"]) if "bonus" in part else None,
    )
    for part in _registry()["part"]
  )


def topics() -> tuple[Topic, ...]:
  """Returns all sections, in the assignment's order: one an experiment."""
  return tuple(topic for part in read_assignment() for topic in part.topics)


def topic_of(experiment: str) -> Topic:
  """Returns the section that an experiment answers; KeyError without an entry in the registry."""
  for topic in topics():
    if topic.experiment == experiment:
      return topic
  raise KeyError(f"experiments/assignment.toml: no entry for {experiment!r}; add one")


def expected(topic: Topic, profile: str) -> bool:
  """Returns whether a profile has a section: its flagfile, or any section where it has none."""
  flags = EXPERIMENTS / "flags" / profile
  return not flags.is_dir() or (flags / f"{topic.experiment}.flags").exists()
