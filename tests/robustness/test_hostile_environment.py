"""What the surroundings say of JAX, threads, memory and fonts changes no number and no figure."""

import inspect
import os
import pathlib
import resource
import subprocess
import sys

import jax
import matplotlib
import numpy as np
import pytest
from tiny import experiment, tiny_flags
from toy import command, make_experiment

from hw1_jax.runs import circumstances, memory, surroundings
from hw1_jax.runs.folder import default_style

ROOT = circumstances.Path(__file__).resolve().parents[2]
TOY = make_experiment()

VARIABLES = [
  {"JAX_DEFAULT_PRNG_IMPL": "rbg"},
  {"JAX_ENABLE_X64": "1"},
  {"JAX_THREEFRY_PARTITIONABLE": "0"},
  {"JAX_RANDOM_SEED_OFFSET": "7"},
  {"JAX_DEFAULT_MATMUL_PRECISION": "bfloat16"},
  {"JAX_NUMPY_DTYPE_PROMOTION": "strict"},
  {"JAX_NUMPY_RANK_PROMOTION": "raise"},
  {"JAX_DISABLE_JIT": "1"},
  {"JAX_DEBUG_NANS": "1"},
  {"PYTHONHASHSEED": "5"},
  {"LC_ALL": "C", "LANG": "C"},
  {"TZ": "Pacific/Kiritimati"},
]


def run(name, folder, variables):
  done = subprocess.run(
    [sys.executable, "-m", f"experiments.{name}", *tiny_flags(name), f"--workdir={folder}"],
    cwd=ROOT,
    env={**os.environ, "JAX_PLATFORMS": "cpu", **variables},
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gradient_norm", "train_on_task", "minimal_ratio"])
def test_no_variable_changes_a_number_or_a_figure(name, tmp_path):
  run(name, tmp_path / "plain", {})
  for k, variables in enumerate(VARIABLES):
    folder = tmp_path / str(k)
    run(name, folder, variables)
    with np.load(tmp_path / "plain/result.npz") as a, np.load(folder / "result.npz") as b:
      assert sorted(a.files) == sorted(b.files)
      for entry in a.files:
        assert a[entry].tobytes() == b[entry].tobytes(), (variables, entry)
    for figure in (tmp_path / "plain/figures").iterdir():
      assert (folder / "figures" / figure.name).read_bytes() == figure.read_bytes(), variables


def test_what_jax_took_from_variables_is_set_back():
  odd = {
    "jax_default_prng_impl": "rbg",
    "jax_enable_x64": True,
    "jax_random_seed_offset": 7,
    "jax_default_matmul_precision": "bfloat16",
    "jax_numpy_rank_promotion": "raise",
  }
  before = {name: jax.config.values[name] for name in odd}
  try:
    for name, value in odd.items():
      jax.config.update(name, value)
    circumstances.pin(TOY)
    assert {name: jax.config.values[name] for name in odd} == {
      "jax_default_prng_impl": "threefry2x32",
      "jax_enable_x64": False,
      "jax_random_seed_offset": 0,
      "jax_default_matmul_precision": None,
      "jax_numpy_rank_promotion": "allow",
    }
  finally:
    for name, value in before.items():
      jax.config.update(name, value)


@pytest.mark.parametrize("text", ["x", "0", "-1", "1.5", "９"])
def test_a_number_of_threads_that_is_none_is_one_line(tmp_path, monkeypatch, text):
  monkeypatch.setenv("NPROC", text)
  outcome = command(TOY, f"--workdir={tmp_path / 'run'}")
  assert outcome.code == 2
  assert "the environment variable NPROC: got" in outcome.lines[-1]


COMMANDS = {
  "python -m": ["-m", "experiments.gradient_norm", "--help"],
  "hw1": ["-m", "hw1_jax.command", "run", "gradient_norm", "--help"],
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
  ("name", "value"),
  [
    ("JAX_ENABLE_X64", "maybe"),
    pytest.param("JAX_NUM_CPU_DEVICES", "x", marks=pytest.mark.slow),
    pytest.param("JAX_DEFAULT_MATMUL_PRECISION", "nonsense", marks=pytest.mark.slow),
    pytest.param("JAX_DISABLE_JIT", "perhaps", marks=pytest.mark.slow),
  ],
)
def test_a_value_that_jax_rejects_is_one_line(command, name, value):
  done = subprocess.run([sys.executable, *COMMANDS[command]], cwd=ROOT, capture_output=True,
                        text=True, env={**os.environ, name: value})  # fmt: skip
  assert done.returncode == 2
  line = f"the environment variable {name}: got {value}, expected a value that JAX knows; unset"
  assert line in done.stderr
  assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
  ("command", "flags"),
  [
    ("python -m", "--xla_nonsense=1"),
    ("hw1", "--xla_cpu_enable_fast_math=maybe"),
    ("hw1", "no_such_file"),
  ],
)
def test_flags_that_xla_cannot_read_are_one_line(command, flags):
  """XLA itself prints up to 94 lines of C++ and leaves with code 1."""
  done = subprocess.run([sys.executable, *COMMANDS[command]], cwd=ROOT, capture_output=True,
                        text=True, env={**os.environ, "XLA_FLAGS": flags})  # fmt: skip
  assert done.returncode == 2
  (line,) = done.stderr.splitlines()
  assert f"the environment variable XLA_FLAGS: got '{flags}' (" in line
  assert line.endswith("expected flags that this version of XLA knows; correct or unset XLA_FLAGS")
  assert flags.partition("=")[0].lstrip("-") in line.partition(" (")[2]


def test_flags_that_xla_knows_are_tried_once_and_none_never(monkeypatch):
  tried = []
  real = subprocess.run
  monkeypatch.setattr(subprocess, "run", lambda *a, **k: tried.append(a) or real(*a, **k))
  surroundings.require_xla_flags.cache_clear()
  for text in ("", "--xla_cpu_enable_fast_math=false", "--xla_cpu_enable_fast_math=false"):
    monkeypatch.setenv("XLA_FLAGS", text)
    surroundings.require_jax()
  assert len(tried) == 1


@pytest.mark.slow
@pytest.mark.parametrize("platform", ["gpu", "cuda", "mps", "tpu", "nonsense"])
def test_a_platform_that_is_not_here_is_one_line(platform, tmp_path):
  if platform in ("gpu", "cuda") and jax.default_backend() == "gpu":
    pytest.skip("there is a GPU")
  done = subprocess.run(
    [sys.executable, "-m", "experiments.gradient_norm", f"--workdir={tmp_path}"],
    cwd=ROOT, capture_output=True, text=True, env={**os.environ, "JAX_PLATFORMS": platform},
  )  # fmt: skip
  assert done.returncode == 2, done.stderr
  assert "Traceback" not in done.stderr
  assert f"JAX_PLATFORMS: got '{platform}'" in done.stderr.splitlines()[-1]


def test_a_users_style_does_not_reach_the_figures():
  with matplotlib.rc_context({"text.usetex": True, "font.family": ["no such font"]}):
    with default_style():
      assert not matplotlib.rcParams["text.usetex"]
      assert matplotlib.rcParams["font.family"] == ["sans-serif"]
    assert matplotlib.rcParams["text.usetex"]


def test_code_of_drawing_may_change_and_code_of_computing_may_not():
  mine = pathlib.Path(inspect.getfile(experiment("gradient_norm").run))
  found = {path.name for path in circumstances._sources(mine)}
  assert {"run.py", "settings.py", "full_batch.py", "loops.py"} <= found
  assert not {"figures.py", "findings.py", "page.py"} & found


def test_the_limits_of_the_process_and_of_its_control_groups_are_read(tmp_path):
  (tmp_path / "cgroup").write_text("0::/a/b\n")
  for folder, limit, used in (("a/b", "max", "5"), ("a", "1000", "400")):
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    (tmp_path / folder / "memory.max").write_text(limit)
    (tmp_path / folder / "memory.current").write_text(used)
  own = str(tmp_path / "cgroup")
  assert list(memory._control_groups(str(tmp_path), own)) == [600]
  (tmp_path / "cgroup").write_text("7:cpu:/\n4:memory,hugetlb:/x\n")
  (tmp_path / "memory/x").mkdir(parents=True)
  (tmp_path / "memory/x/memory.limit_in_bytes").write_text("90")
  (tmp_path / "memory/x/memory.usage_in_bytes").write_text("30")
  assert list(memory._control_groups(str(tmp_path), own)) == [60]
  soft, hard = resource.getrlimit(resource.RLIMIT_AS)
  try:
    resource.setrlimit(resource.RLIMIT_AS, (2**42, hard))
    (left,) = memory._limits()
    assert 0 < left < 2**42
  finally:
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.mark.parametrize(
  "redirection", ["<&- >&- 2>&-", pytest.param(">/dev/full", marks=pytest.mark.slow)]
)
def test_streams_that_are_closed_or_full_end_in_code_0(tmp_path, redirection):
  folder = tmp_path / "run"
  flags = " ".join(tiny_flags("gradient_norm"))
  line = f"{sys.executable} -m experiments.gradient_norm {flags} --workdir={folder} {redirection}"
  env = {**os.environ, "JAX_PLATFORMS": "cpu"}
  if redirection != ">/dev/full":
    line = line.replace(flags, "--help")
  done = subprocess.run(line, shell=True, cwd=ROOT, env=env, capture_output=True, text=True,
                        check=False)  # fmt: skip
  assert done.returncode == 0, done.stderr
  assert "Traceback" not in done.stderr
