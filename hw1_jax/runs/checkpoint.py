"""Checkpoints: one file, a magic line, the SHA-256 of the rest, msgpack. Nothing is unpickled."""

import contextlib
import hashlib
from typing import Any

from flax import serialization

from hw1_jax.runs.folder import RunFolder

_MAGIC = b"hw1_jax checkpoint 2\n"


def pack_checkpoint(content: dict[str, Any]) -> bytes:
  """Returns a checkpoint file's bytes: a magic line, the SHA-256 of the rest, msgpack."""
  payload = serialization.msgpack_serialize(content)
  return _MAGIC + hashlib.sha256(payload).digest() + payload


def unpack_checkpoint(raw: bytes) -> dict[str, Any]:
  """Returns the content of a checkpoint file; ValueError when it is damaged or foreign."""
  start = len(_MAGIC) + 32
  if raw[: len(_MAGIC)] != _MAGIC:
    raise ValueError("not a checkpoint of this program")
  if hashlib.sha256(raw[start:]).digest() != raw[len(_MAGIC) : start]:
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
