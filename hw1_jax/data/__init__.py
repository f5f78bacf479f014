"""Data: target functions on a grid, image sets, random labels.

Images come as uint8 and stay so; `as_float` scales them inside the jitted step."""

from hw1_jax.data.files import FILE_NAMES
from hw1_jax.data.images import (
  IMAGE_SETS,
  IMAGE_SIZES,
  ImageData,
  as_float,
  load_images,
  subset,
  title,
)
from hw1_jax.data.labels import corrupt_labels, corrupt_labels_each
from hw1_jax.data.own import PATH
from hw1_jax.data.targets import (
  OWN_TARGET,
  TARGET_LABELS,
  TARGETS,
  Target,
  function_data,
  make_target,
  target_file,
  target_label,
)

__all__ = [
  "FILE_NAMES",
  "IMAGE_SETS",
  "IMAGE_SIZES",
  "OWN_TARGET",
  "PATH",
  "TARGETS",
  "TARGET_LABELS",
  "ImageData",
  "Target",
  "as_float",
  "corrupt_labels",
  "corrupt_labels_each",
  "function_data",
  "load_images",
  "make_target",
  "subset",
  "target_file",
  "target_label",
  "title",
]
