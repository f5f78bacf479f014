"""The registry of the assignment: its parts and questions, in order, and who answers them."""

import tomllib
from pathlib import Path
from typing import NamedTuple

REGISTRY = Path(__file__).parents[2] / "experiments" / "assignment.toml"


class Topic(NamedTuple):
  """A section of the assignment, and the experiment that answers it."""

  number: str
  title: str
  experiment: str
  question: str  # what the assignment asks, in our words
  profiles: tuple[str, ...]  # the reports that have the section


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


def read_assignment() -> tuple[Part, ...]:
  """Returns the assignment's parts, in its order."""
  parts = tomllib.loads(REGISTRY.read_text(encoding="utf-8"))["part"]
  return tuple(
    Part(
      part["number"],
      part["title"],
      tuple(Topic(**topic) for topic in part["topic"]),
      Bonus(**part["bonus"]) if "bonus" in part else None,
    )
    for part in parts
  )
