"""What the command line needs to know of an experiment."""

import dataclasses
from collections.abc import Callable
from typing import Any

from hw1_jax.runs.memory import Need
from hw1_jax.runs.settings import ImageSettings, Settings
from hw1_jax.summary import Summary


@dataclasses.dataclass(frozen=True)
class Experiment:
  """What `main` needs to know of an experiment script."""

  name: str
  doc: str  # the script's docstring, shown by --help
  config: type[Settings]
  result: type  # NamedTuple of arrays
  run: Callable[..., Any]  # (config, monitor), or (config, images, monitor) with a data set
  summarize: Callable[[Any, Any], Summary]
  draw: Callable[[Any, Any], dict[str, Any]]
  x64: bool = False
  memory_need: Callable[[Any], Need] | None = None  # of what is large; None: nothing

  def __post_init__(self) -> None:
    """Raises ValueError where a copied package kept the name of the original, and so its folder."""
    _, found, rest = f".{self.run.__module__}".partition(".experiments.")
    package = rest.split(".")[0]
    if found and package != self.name:
      raise ValueError(f"name: got {self.name!r}, expected {package!r}, as the folder is called")

  @property
  def package(self) -> str:
    """The name that `python -m` runs here: hw1_jax.experiments.NAME where it is installed so."""
    return self.run.__module__.rpartition(".")[0] or f"experiments.{self.name}"

  @property
  def uses_images(self) -> bool:
    """Whether the experiment works on an image set, which is loaded for it."""
    return issubclass(self.config, ImageSettings)
