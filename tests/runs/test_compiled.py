"""Compiled programs kept between runs: where, for which processor, and how many bytes of them."""

import os
import sys

import jax
import pytest

from hw1_jax.runs import compiled


@pytest.fixture(autouse=True)
def settings_stay():
  names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
  kept = {name: jax.config.values[name] for name in names}
  yield
  for name, value in kept.items():
    jax.config.update(name, value)


def test_a_virtual_environment_keeps_them_apart_by_processor(tmp_path, monkeypatch):
  jax.config.update("jax_compilation_cache_dir", None)
  monkeypatch.setattr(sys, "prefix", str(tmp_path))
  compiled.keep_programs(None)
  expected = tmp_path / "jax_cache" / compiled.processor()
  assert jax.config.jax_compilation_cache_dir == str(expected)


def test_a_cache_that_the_user_chose_for_jax_stays(tmp_path, monkeypatch):
  jax.config.update("jax_compilation_cache_dir", str(tmp_path / "own"))
  monkeypatch.setattr(sys, "prefix", str(tmp_path))
  compiled.keep_programs(None)
  assert jax.config.jax_compilation_cache_dir == str(tmp_path / "own")
  assert not (tmp_path / "jax_cache").exists()


def test_nothing_is_kept_outside_a_virtual_environment(monkeypatch):
  jax.config.update("jax_compilation_cache_dir", None)
  monkeypatch.setattr(sys, "prefix", sys.base_prefix)
  compiled.keep_programs(None)
  assert jax.config.jax_compilation_cache_dir is None


def test_an_environment_that_cannot_be_written_to_is_left_alone(tmp_path, monkeypatch):
  jax.config.update("jax_compilation_cache_dir", None)
  (tmp_path / "file").write_text("")
  monkeypatch.setattr(sys, "prefix", str(tmp_path / "file"))
  compiled.keep_programs(None)
  assert jax.config.jax_compilation_cache_dir is None


def test_pruning_keeps_what_was_used_last_and_foreign_files(tmp_path):
  for age, name in enumerate(("new", "middle", "old")):
    path = tmp_path / f"{name}-cache"
    path.write_bytes(bytes(100))
    os.utime(path, (1e9 - age, 1e9 - age))
  (tmp_path / "notes.txt").write_bytes(bytes(1000))
  compiled.prune(tmp_path, 250)
  assert sorted(path.name for path in tmp_path.iterdir()) == [
    "middle-cache", "new-cache", "notes.txt"]  # fmt: skip


def test_a_program_that_cannot_be_deleted_stays(tmp_path, monkeypatch):
  def refuse(path):
    raise PermissionError(path)

  (tmp_path / "some-cache").write_bytes(bytes(100))
  monkeypatch.setattr(compiled.Path, "unlink", refuse)
  compiled.prune(tmp_path, 50)
  assert (tmp_path / "some-cache").exists()
