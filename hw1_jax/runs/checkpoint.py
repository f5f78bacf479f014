"""Checkpoints: one file, a magic line, the SHA-256 of the rest, msgpack. Nothing is unpickled."""

import contextlib
import hashlib
from typing import Any

import jax
import numpy as np
from flax import serialization

from hw1_jax.runs.files import MAGIC
from hw1_jax.runs.folder import RunFolder


def pack_checkpoint(content: dict[str, Any]) -> bytes:
  """Returns a checkpoint file's bytes: a magic line, the SHA-256 of the rest, msgpack."""
  payload = serialization.msgpack_serialize(content)
  return MAGIC + hashlib.sha256(payload).digest() + payload


def unpack_checkpoint(raw: bytes) -> dict[str, Any]:
  """Returns the content of a checkpoint file; ValueError when it is damaged or foreign."""
  start = len(MAGIC) + 32
  if raw[: len(MAGIC)] != MAGIC:
    raise ValueError("not a checkpoint of this program")
  if hashlib.sha256(raw[start:]).digest() != raw[len(MAGIC) : start]:
    raise ValueError("its checksum does not match")
  return serialization.msgpack_restore(raw[start:])


def restore(target: Any, saved: Any) -> Any:
  """Returns `saved` in the structure of `target`; entries of a dict may have come since."""
  if isinstance(target, dict):
    return {k: restore(target[k], v) if k in target else v for k, v in saved.items()}
  return serialization.from_state_dict(target, saved)


def discard_checkpoints(folder: RunFolder) -> None:
  """Removes the checkpoints of a finished run; where that fails they do no harm."""
  for name in ("checkpoint.msgpack", "checkpoint.previous.msgpack"):
    with contextlib.suppress(OSError):
      (folder.path / name).unlink(missing_ok=True)


def check_content(content: dict[str, Any]) -> None:
  """Raises ValueError, TypeError or KeyError for a checkpoint whose entries are of other kinds."""
  _ = float(content["seconds"])
  for entry in content["loops"].values():
    _ = entry["state"], int(entry["done"]), bool(entry["finished"])
  for name, kind in (("circumstances", dict), ("changes", list)):
    if not isinstance(content[name], kind):
      raise TypeError(f"{name} is no {kind.__name__}")


def require_same_arrays(start: Any, restored: Any) -> None:
  """Raises ValueError where a saved array has another shape or type than the loop starts with."""
  if isinstance(start, dict) and isinstance(restored, dict):  # it may have more entries by now
    restored = {key: restored[key] for key in start}
    for key in start:
      require_same_arrays(start[key], restored[key])
    return
  for old, new in zip(jax.tree.leaves(start), jax.tree.leaves(restored), strict=True):
    if hasattr(old, "dtype") and (np.shape(old), old.dtype) != (np.shape(new), new.dtype):
      raise ValueError(f"an array {np.shape(new)} of {new.dtype}, not {np.shape(old)}")
