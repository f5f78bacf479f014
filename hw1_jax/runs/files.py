"""Files written whole or not at all: beside their place first, then renamed.

A reader sees the old file or the new one, never half of one.
"""

import contextlib
import csv
import errno
import hashlib
import io
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from hw1_jax.errors import UserError

MAGIC = b"hw1_jax checkpoint 3\n"  # the first line of a checkpoint
TEMPORARY = ".hw1_jax.tmp"  # how our temporary files end, and nobody else's


def write_bytes(path: Path, content: bytes) -> None:
  """Writes a file whole or not at all: temporary file, fsync, rename. UserError if it cannot."""
  temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
  try:
    with open(temporary, "wb") as file:
      file.write(content)
      file.flush()
      os.fsync(file.fileno())
    os.replace(temporary, path)
  except OSError as error:
    with contextlib.suppress(OSError):
      temporary.unlink(missing_ok=True)
    raise cannot_write(path, error) from None


def cannot_write(path: Path, error: OSError) -> UserError:
  """Returns the error to raise for a file that could not be written."""
  advice = {
    **dict.fromkeys(
      (errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
      "free some space or choose another folder, workdir=FOLDER, then repeat the command",
    ),
    errno.ENOENT: "the folder is gone or cannot be made; repeat the command or choose another one, "
    "workdir=FOLDER",
  }.get(error.errno or 0, "choose a folder that you may write to, workdir=FOLDER")
  return UserError(f"cannot write {path}: {error.strerror or error}", remedy=advice)


def write_json(path: Path, value: Any) -> None:
  """Writes JSON, indented; NaN and infinity become null (JSON has neither)."""
  text = json.dumps(jsonable(value), indent=2, ensure_ascii=False, allow_nan=False)
  write_bytes(path, (text + "\n").encode())


def jsonable(value: Any) -> Any:
  """Returns `value` in JSON's types; NaN and infinity as None."""
  if isinstance(value, dict):
    return {str(key): jsonable(entry) for key, entry in value.items()}
  if isinstance(value, list | tuple):
    return [jsonable(entry) for entry in value]
  if isinstance(value, np.ndarray):
    return jsonable(value.tolist())
  if isinstance(value, np.generic):
    value = value.item()
  if isinstance(value, float) and not math.isfinite(value):
    return None
  return value


def starts_with(path: Path, start: bytes) -> bool:
  """Returns whether a path is a file that begins with `start`."""
  try:
    with open(path, "rb") as file:
      return path.is_file() and file.read(len(start)) == start
  except OSError:
    return False


def read_json(path: Path) -> Any:
  """Returns the content of a JSON file; UserError when it is missing or damaged."""
  try:
    return json.loads(path.read_text(encoding="utf-8"))
  except FileNotFoundError:
    raise UserError(f"{path} is missing", remedy="run the experiment first") from None
  except (ValueError, OSError, RecursionError) as error:
    raise damaged(path, error) from None


def damaged(path: Path, reason: Any) -> UserError:
  """Returns the error to raise for a file that is not what the run wrote."""
  lines = str(reason).splitlines() or [type(reason).__name__]
  advice = "repeat the run with overwrite=true"
  if path.name == "config.json":  # nothing is lost: checkpoint and provenance know its content
    advice = "delete it and repeat the run's command"
  return UserError(f"{path} is damaged ({lines[0][:200]})", remedy=advice)


def checksum(path: Path) -> str:
  """Returns the SHA-256 (hex) of a file; UserError when it cannot be read."""
  try:
    with open(path, "rb") as file:
      return hashlib.file_digest(file, "sha256").hexdigest()
  except OSError as error:
    raise UserError(f"cannot read {path}: {error.strerror or error}") from None


def write_result(path: Path, result: Any) -> None:
  """Writes a NamedTuple of arrays, or of dicts of arrays, as .npz.

  A dict field becomes the entries "field/key".
  """
  arrays: dict[str, np.ndarray] = {}
  for field, value in result._asdict().items():
    if isinstance(value, dict):
      arrays |= {f"{field}/{key}": np.asarray(entry) for key, entry in value.items()}
    else:
      arrays[field] = np.asarray(value)
  buffer = io.BytesIO()
  np.savez_compressed(buffer, allow_pickle=False, **arrays)
  write_bytes(path, buffer.getvalue())


def read_result(path: Path, kind: type) -> Any:
  """Returns the NamedTuple `kind` from an .npz; UserError: missing, damaged, foreign."""
  arrays: dict[str, Any] = {}
  try:
    with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
      for name in file.files:
        array = file[name]
        if array.dtype.kind not in "biuf":
          raise ValueError(f"{name} is an array of {array.dtype}")
        field, _, key = name.partition("/")
        if key:
          arrays.setdefault(field, {})[key] = array
        else:
          arrays[field] = array
    return kind(**arrays)
  except FileNotFoundError:
    raise UserError(f"{path} is missing", remedy="run the experiment first") from None
  except Exception as error:  # zipfile, zlib and numpy raise a dozen kinds for foreign bytes
    raise damaged(path, error) from None


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
  """Writes rows that share their keys as CSV with a header."""
  text = io.StringIO()
  writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
  writer.writeheader()
  writer.writerows(rows)
  write_bytes(path, text.getvalue().encode())
