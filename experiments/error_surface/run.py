"""Settings, result, and the computation."""

import dataclasses
from typing import NamedTuple

import jax
import numpy as np

from hw1_jax import analysis, data, pytrees, rng
from hw1_jax.loops import Monitor
from hw1_jax.runs.settings import setting

from .. import settings as shared
from .networks import Network, fit_function, train_on_images
from .planes import Grid, measure_plane, slices, top_eigenpairs, two_directions


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(shared.ImageSettings):
  """Settings; the defaults are our choice. Three runs at least, for the plane through solutions."""

  widths: str = shared.mlps("500", "hidden widths of the MLP on images")
  activation: str = shared.activation()
  learning_rate: float = shared.learning_rate(1e-3, "step size on images")
  batch_size: int = shared.batch_size(100)
  num_epochs: int = shared.num_epochs(10, "epochs on images; one snapshot each")
  function_widths: str = shared.widths("500", "hidden widths of the MLP on the function")
  target: str = setting("sinc", "function to fit", choices=tuple(data.TARGETS))
  num_points: int = setting(300, "training points in [-1, 1]", minimum=3, maximum=100_000)
  function_learning_rate: float = shared.learning_rate(1e-3, "step size on the function")
  function_epochs: int = shared.num_epochs(5000, "epochs on the function")
  num_snapshots: int = setting(40, "of the path on the function", minimum=3, maximum=10_000)
  grid: int = setting(51, "points along each axis of a plane", minimum=3, maximum=1000)
  extent: float = setting(1.0, "of the random plane, in lengths of its directions", above=0,
                          maximum=100)  # fmt: skip
  num_slices: int = setting(3, "eigenvectors to follow", minimum=1, maximum=20)
  hessian_examples: int = setting(10_000, "images that the Hessian is of", minimum=1)
  num_runs: int = shared.num_runs(3)

  def __post_init__(self) -> None:
    super().__post_init__()
    self.require(self.num_runs >= 3, "num_runs", "at least 3, for a plane through three solutions")
    self.require(self.num_epochs >= 2, "num_epochs", "at least 2: the path needs three points")
    most = self.function_epochs
    self.require(self.num_snapshots <= most, "num_snapshots", f"at most function_epochs, {most}")


NETWORKS = ("images", "function")
PLANES = ("random", "path", "solutions")
NUM_STEPS, FLATTEST = 41, 1e-6  # of a slice; a smaller eigenvalue is none; our choice


class Result(NamedTuple):
  """Keys 'NETWORK/PLANE', 'NETWORK'; A grid points an axis, M runs, S snapshots, D slices, T steps.

  Losses (nats, MSE) and accuracies in [0, 1] over the whole training set, of run 1. Distances
  are 2-norms in weight space; x and y are perpendicular; run 1's solution is at 0, 0.
  """

  x: dict[str, np.ndarray]  # 'NETWORK/PLANE': [A] distance
  y: dict[str, np.ndarray]  # 'NETWORK/PLANE': [A] distance
  loss: dict[str, np.ndarray]  # 'NETWORK/PLANE': [A, A], first axis x
  accuracy: dict[str, np.ndarray]  # 'images/PLANE': [A, A]
  marks: dict[str, np.ndarray]  # 'NETWORK/PLANE': [K, 2] the path's nearest points; the solutions
  mark_loss: dict[str, np.ndarray]  # 'NETWORK/PLANE': [K] there
  path_loss: dict[str, np.ndarray]  # 'NETWORK': [S] of the snapshots themselves
  path_outside: dict[str, np.ndarray]  # 'NETWORK': [S] share of the squared distance to the end
  path_explained: dict[str, np.ndarray]  # 'NETWORK': [M, 2] share of each run's path by component
  walk_explained: dict[str, np.ndarray]  # 'NETWORK': [M, 2] of a random walk with the same steps
  eigenvalues: dict[str, np.ndarray]  # 'NETWORK': [D] largest of the Hessian, descending
  steps: dict[str, np.ndarray]  # 'NETWORK': [T] distance along an eigenvector
  slice_loss: dict[str, np.ndarray]  # 'NETWORK': [D, T]
  weight_norm: dict[str, np.ndarray]  # 'NETWORK': [] of the solution
  uninformed_loss: dict[str, np.ndarray]  # 'NETWORK': [] ln(classes); the target's variance


def run(config: Config, images: data.ImageData, monitor: Monitor) -> Result:
  """Returns the planes and slices of both networks."""
  result: dict[str, dict[str, np.ndarray]] = {name: {} for name in Result._fields}
  for kind in NETWORKS:
    if kind == "images":
      network = train_on_images(config, images, monitor)
    else:
      network = fit_function(config, monitor)
    path = network.paths[0]
    solution = network.unravel(path[-1])
    found = [analysis.directions.path_plane(each, network.unravel) for each in network.paths]
    moves = map(analysis.directions.snapshot_steps, network.paths)
    walks = [analysis.directions.random_walk_shares(each) for each in moves]
    for plane in PLANES:
      corners, marks, margin = choose_plane(config, kind, plane, network, found[0])
      grid = measure_plane(
        monitor, f"{kind}: {plane}", network.measure, corners, marks, config.grid, margin,
        room=max(3, len(path)),
      )  # fmt: skip
      store(result, f"{kind}/{plane}", grid)
    own = [network.measure(analysis.surface.stack(theta, theta), np.zeros((1, 1, 1), np.float32))
           for theta in map(network.unravel, path)]  # fmt: skip
    values, vectors = top_eigenpairs(network.loss, path[-1], network.unravel, config.num_slices)
    # As far as the quadratic with the largest eigenvalue rises to an uninformed network's loss.
    far = np.sqrt(2 * network.uninformed / max(values[0], FLATTEST))
    steps = np.linspace(-far, far, NUM_STEPS)
    result["path_loss"][kind] = np.array([float(each["loss"][0, 0]) for each in own])
    result["path_outside"][kind] = found[0].outside
    result["path_explained"][kind] = np.stack([each.explained for each in found])
    result["walk_explained"][kind] = np.stack(walks)
    result["eigenvalues"][kind], result["steps"][kind] = values, steps
    result["slice_loss"][kind] = slices(network, solution, vectors, steps)["loss"]
    result["weight_norm"][kind] = np.asarray(np.linalg.norm(path[-1].astype(np.float64)))
    result["uninformed_loss"][kind] = np.asarray(network.uninformed)
  return Result(**result)


def choose_plane(
  config: Config, kind: str, plane: str, network: Network, found: analysis.directions.PathPlane
) -> tuple[analysis.directions.PyTree, np.ndarray, float]:
  """Returns (corners, marks [K, 2] in affine coordinates, margin around the marks)."""
  if plane == "path":
    return found.corners, found.coordinates, 0.2
  solution, *others = (network.unravel(end) for end in network.paths[:3, -1])
  if plane == "solutions":
    return analysis.surface.stack(solution, *others), np.array([[0.0, 0], [1, 0], [0, 1]]), 0.3
  key = rng.stream(jax.random.key(config.seed), f"{kind} directions")
  # Li et al.'s directions leave the biases out; the function's net lives by them.
  normalization = "filter" if kind == "images" else "neuron"
  moves = jax.device_get(two_directions(normalization)(key, solution))
  extent = config.extent * np.array([[-1.0, -1], [1, 1], [0, 0]])
  both = (pytrees.member(moves, i) for i in (0, 1))
  return analysis.directions.along(solution, *both), extent, 0.0


def store(result: dict[str, dict[str, np.ndarray]], key: str, grid: Grid) -> None:
  """Writes a plane's arrays into the result's dicts."""
  result["x"][key], result["y"][key] = grid.x, grid.y
  result["loss"][key], result["marks"][key] = grid.values["loss"], grid.marks
  result["mark_loss"][key] = grid.at_marks["loss"]
  if "accuracy" in grid.values:
    result["accuracy"][key] = grid.values["accuracy"]
