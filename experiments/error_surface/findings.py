"""The numbers, the judged claim, the sentences, the grid as a table."""

from typing import Any

import numpy as np

from hw1_jax.report.assignment import topic_of
from hw1_jax.summary import Number, Summary, compared, show, spread

from .run import NETWORKS, PLANES, Config, Result

TOPIC = topic_of("error_surface")
UNITS = {"images": "nats", "function": "MSE"}
SURE = 0.9  # of accuracy: the area of a plane above it is given; our choice
NAMES = {"images": "the network on images", "function": "the network on the function"}


def minima(loss: np.ndarray) -> int:
  """Returns how many inner points of a grid [A, B] lie below all of their eight neighbours."""
  inner = loss[1:-1, 1:-1]
  rows, columns = loss.shape
  shifts = [(i, j) for i in range(3) for j in range(3) if (i, j) != (1, 1)]
  around = [loss[i : rows - 2 + i, j : columns - 2 + j] for i, j in shifts]
  return int(np.sum(np.all(inner < np.stack(around), axis=0)))


def distance_to(loss: np.ndarray, steps: np.ndarray, level: float) -> float:
  """Returns the least |step| at which a slice [T] is above a level; NaN if it nowhere is."""
  return float(np.min(np.abs(steps)[loss > level], initial=np.inf))


def measured_curvature(loss: np.ndarray, steps: np.ndarray) -> float:
  """Returns the slice's second derivative at 0 by the three points around it."""
  middle, h = len(steps) // 2, steps[1] - steps[0]
  return float((loss[middle - 1] - 2 * loss[middle] + loss[middle + 1]) / h**2)


def summarize(config: Config, result: Result) -> Summary:
  """Returns what the planes and slices show, and the claim about paths and random walks."""
  numbers: list[Number] = []
  said: list[str] = []
  curved: list[str] = []
  captions: dict[str, str] = {}
  closer: list[float] = []
  for kind in NETWORKS:
    unit, name = UNITS[kind], NAMES[kind]
    end = float(result.path_loss[kind][-1])
    found, walk = (
      100 * a[kind].sum(axis=1) for a in (result.path_explained, result.walk_explained)
    )
    closer += list(found - walk)
    values = result.eigenvalues[kind]
    numbers += [
      Number(f"{kind}: loss of the solution", (end,), unit),
      Number(f"{kind}: path in the plane of its two components", tuple(found), "%",
             note="share of the squared distances to the end"),
      Number(f"{kind}: the same of a random walk with its steps", tuple(walk), "%"),
      Number(f"{kind}: largest Hessian eigenvalue", (float(values[0]),)),
    ]  # fmt: skip
    planes = (
      random_plane(result, kind, name, end, unit),
      path_plane(result, kind, name, found, walk, unit),
      solutions_plane(result, kind, name, unit),
    )
    said += planes if kind == "images" else planes[:1]
    captions[f"{kind}_loss"] = " ".join(planes)
    curved.append(slice_sentence(result, kind, name, unit))
  sure = float(100 * np.mean(result.accuracy["images/random"] > SURE))
  captions["images_accuracy"] = (
    f"Training accuracy on the same planes; on the random plane it is above {100 * SURE:g} % on "
    f"{show(sure)} % of the area."
  )
  captions["surface"] = surface(result)
  captions["slices"] = " ".join(curved)
  numbers.append(
    Number(f"images: area of the random plane above {100 * SURE:g} % accuracy", (sure,), "%")
  )
  verdict = compared(
    "O-1.2",
    TOPIC.claims["O-1.2"],
    closer,
    "Share of the path in its plane less that of a random walk with its steps.",
    region=0.0,
    unit="percentage points",
  )
  tables = {"surface": grid_rows(result), "path": path_rows(result), "slices": slice_rows(result)}
  return Summary(tuple(numbers), (verdict,), (*said, *curved), captions, tables,
                 answer(result, said[0]))  # fmt: skip


def surface(result: Result) -> str:
  """Returns the caption of the planes in three dimensions."""
  heights = [
    f"{show(result.loss[f'{kind}/random'].max())} {UNITS[kind]} around {NAMES[kind]}"
    for kind in NETWORKS
  ]
  return (
    f"In three dimensions, the loss as a logarithm, the random planes rise to "
    f"{' and to '.join(heights)}."
  )


def answer(result: Result, random: str) -> str:
  """Returns the sentence on the random plane, and how much of the path its plane holds."""
  found, walk = (
    100 * a["images"].sum(axis=1) for a in (result.path_explained, result.walk_explained)
  )
  return (
    f"{random} The plane of the training path holds {spread(found)} % of the path (of a random "
    f"walk with its steps {spread(walk)} %)."
  )


def slice_sentence(result: Result, kind: str, name: str, unit: str) -> str:
  """Returns the sentence on the slice along the first eigenvector."""
  value, steps = float(result.eigenvalues[kind][0]), result.steps[kind]
  curvature = measured_curvature(result.slice_loss[kind][0], steps)
  return (
    f"Along the eigenvector of its largest Hessian eigenvalue, {show(value)}, the loss of {name} "
    f"reaches that of an uninformed network, {show(float(result.uninformed_loss[kind]))} {unit}, "
    f"at a distance of {reach(result, kind)} (the quadratic says {show(steps[-1])}, the weights' "
    f"norm is {show(float(result.weight_norm[kind]))}); the slice's own second difference at the "
    f"solution, over steps of {show(steps[1] - steps[0])}, is {show(curvature)}."
  )


def reach(result: Result, kind: str) -> str:
  """Returns the distance along the first eigenvector at which the loss is an uninformed one's."""
  far = distance_to(
    result.slice_loss[kind][0], result.steps[kind], float(result.uninformed_loss[kind])
  )
  return show(far) if np.isfinite(far) else f"more than {show(result.steps[kind][-1])}"


def random_plane(result: Result, kind: str, name: str, end: float, unit: str) -> str:
  """Returns the sentence on the random plane."""
  key = f"{kind}/random"
  loss = result.loss[key]
  count = minima(loss)
  below = float(100 * np.mean(loss < result.uninformed_loss[kind]))
  return (
    f"On the random plane of {name}, {show(np.ptp(result.x[key]))} wide, the loss goes from "
    f"{show(end)} at the solution to {show(loss.max())} {unit}, has {count} local "
    f"minim{'um' if count == 1 else 'a'} on the grid, and is below an uninformed network's on "
    f"{show(below)} % of the area."
  )


def path_plane(
  result: Result, kind: str, name: str, found: np.ndarray, walk: np.ndarray, unit: str
) -> str:
  """Returns the sentence on the path's plane."""
  outside = 100 * result.path_outside[kind][:-1]
  own, drawn = result.path_loss[kind], result.mark_loss[f"{kind}/path"]
  last = len(own) // 2
  return (
    f"The plane of two components holds {spread(found)} % of the path of {name} (a random walk "
    f"with the same steps: {spread(walk)} %); of a snapshot's squared distance to the end "
    f"{spread(outside)} % lies outside, so the loss in the plane is not the path's own: at "
    f"snapshot {last} of {len(own) - 1} {show(drawn[last])} against {show(own[last])} {unit}."
  )


def solutions_plane(result: Result, kind: str, name: str, unit: str) -> str:
  """Returns the sentence on the plane through three solutions."""
  key = f"{kind}/solutions"
  marks, loss = result.marks[key], result.loss[key]
  apart = [np.linalg.norm(marks[i] - marks[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
  center = marks.mean(axis=0)
  i, j = (int(np.abs(axis - c).argmin()) for axis, c in zip((result.x[key], result.y[key]), center))
  return (
    f"Three solutions of {name} (losses {spread(result.mark_loss[key])} {unit}) lie "
    f"{spread(apart)} apart; between them, at the centre of their triangle, the loss is "
    f"{show(loss[i, j])}, and their plane has {minima(loss)} local minima on the grid."
  )


def rounded(value: Any) -> float:
  """Returns a number with six significant digits: float32 has no more."""
  return float(f"{float(value):.6g}")


def grid_rows(result: Result) -> list[dict[str, Any]]:
  """Returns the raw grids, a row a point; accuracy is NaN where there is none."""
  rows = []
  for kind in NETWORKS:
    for plane in PLANES:
      key = f"{kind}/{plane}"
      accuracy = result.accuracy.get(key, np.full(result.loss[key].shape, np.nan))
      rows += [
        {"network": kind, "plane": plane, "x": rounded(x), "y": rounded(y),
         "loss": rounded(result.loss[key][i, j]), "accuracy": rounded(accuracy[i, j])}
        for i, x in enumerate(result.x[key]) for j, y in enumerate(result.y[key])
      ]  # fmt: skip
  return rows


def path_rows(result: Result) -> list[dict[str, Any]]:
  """Returns the paths, a row a snapshot."""
  return [
    {"network": kind, "snapshot": s, "x": rounded(x), "y": rounded(y),
     "outside": rounded(result.path_outside[kind][s]),
     "loss": rounded(result.path_loss[kind][s]),
     "loss_in_plane": rounded(result.mark_loss[f"{kind}/path"][s])}
    for kind in NETWORKS for s, (x, y) in enumerate(result.marks[f"{kind}/path"])
  ]  # fmt: skip


def slice_rows(result: Result) -> list[dict[str, Any]]:
  """Returns the slices, a row a point."""
  return [
    {"network": kind, "slice": d + 1, "eigenvalue": rounded(result.eigenvalues[kind][d]),
     "step": rounded(step), "loss": rounded(result.slice_loss[kind][d, t])}
    for kind in NETWORKS for d in range(len(result.eigenvalues[kind]))
    for t, step in enumerate(result.steps[kind])
  ]  # fmt: skip
