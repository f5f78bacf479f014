"""Figure files of a run folder: which are whole, how wide they are, which fit on the page."""

import base64
import dataclasses
import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from hw1_jax.report.numbers import words

SVG_BYTES = 600_000  # of a larger SVG the PNG is shown; browsers draw 10,000 paths slowly


class Image(NamedTuple):
  """A figure file that a browser can show."""

  suffix: str  # "svg" or "png"
  data: bytes
  width: float | None  # natural width in CSS pixels; None where the file does not say

  @property
  def uri(self) -> str:
    kind = {"svg": "svg+xml", "png": "png"}[self.suffix]
    return f"data:image/{kind};base64,{base64.b64encode(self.data).decode()}"


@dataclasses.dataclass(frozen=True)
class Figure:
  path: str  # "gradient_norm/figures/norm", no suffix: unique on the page
  caption: str
  svg: Image | None
  png: Image | None
  pdf: bool = False  # there is one beside them


def read_figures(folder: Path, captions: dict[str, str], problems: list[str]) -> tuple[Figure, ...]:
  files = sorted(folder.glob("figures/*.svg")) + sorted(folder.glob("figures/*.png"))
  stems = list(dict.fromkeys([*captions, *(file.stem for file in files)]))
  figures = []
  for stem in stems:
    paths = [folder / "figures" / f"{stem}.{suffix}" for suffix in ("svg", "png")]
    svg, png = (_read_image(path, problems) if path in files else None for path in paths)
    if svg is None and png is None:
      problems.append(f"The figure “{stem}” is missing.")
      continue
    caption = captions.get(stem) or words(stem)
    pdf = (folder / "figures" / f"{stem}.pdf").is_file()
    figures.append(Figure(f"{folder.name}/figures/{stem}", caption, svg, png, pdf))
  return tuple(figures)


def _read_image(path: Path, problems: list[str]) -> Image | None:
  suffix = path.suffix[1:]
  try:
    data = path.read_bytes()
    return Image(suffix, data, _svg_width(data) if suffix == "svg" else _png_width(data))
  except OSError as error:
    problems.append(f"figures/{path.name} cannot be read ({error.strerror}).")
  except (ValueError, ElementTree.ParseError, struct.error):
    problems.append(f"figures/{path.name} is damaged: it is not a whole {suffix.upper()} file.")
  return None


def _svg_width(data: bytes) -> float | None:
  """Returns the natural width in CSS pixels. Raises ValueError or ParseError if it is no SVG."""
  root = ElementTree.fromstring(data)
  if not root.tag.endswith("svg"):
    raise ValueError(f"not an SVG: {root.tag}")
  match = re.fullmatch(r"(\d{1,6}(?:\.\d+)?|\.\d+)(pt|px|in|)", root.get("width", ""))
  return float(match[1]) * {"pt": 96 / 72, "in": 96.0}.get(match[2], 1.0) if match else None


def _png_width(data: bytes) -> float | None:
  """Returns the natural width in CSS pixels. Raises ValueError if it is no whole PNG."""
  if not data.startswith(b"\x89PNG\r\n\x1a\n") or b"IEND" not in data[-12:]:
    raise ValueError("not a PNG")
  (pixels,) = struct.unpack(">I", data[16:20])
  start = data.find(b"pHYs", 0, 4096)
  if start < 0:
    return None
  (per_meter,) = struct.unpack(">I", data[start + 4 : start + 8])
  return pixels / per_meter / 0.0254 * 96 if per_meter else None


def choose_images(figures: Sequence[Figure], budget: int) -> dict[str, Image]:
  """Returns path -> the image to inline, at most `budget` bytes (base64) of them.

  An SVG, unless it is larger than SVG_BYTES and there is a PNG. Over the budget, the largest
  SVGs give way to smaller PNGs; where that is not enough, the largest images are left out.
  """
  images = {}
  for figure in figures:
    wanted = figure.svg, figure.png
    if figure.svg and len(figure.svg.data) > SVG_BYTES:
      wanted = figure.png, figure.svg
    images[figure.path] = next(image for image in wanted if image)
  pngs = {figure.path: figure.png for figure in figures}

  def size(path: str) -> int:
    return 4 * -(-len(images[path].data) // 3)

  total = sum(map(size, images))
  for path in sorted(images, key=size, reverse=True):
    png = pngs[path]
    if total > budget and png and len(png.data) < len(images[path].data):
      total -= size(path)
      images[path] = png
      total += size(path)
  for path in sorted(images, key=size, reverse=True):
    if total > budget:
      total -= size(path)
      del images[path]
  return images
