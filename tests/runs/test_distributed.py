"""Several processes on this host as one run: the same bits as one process, and no hanging."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from tiny import NAMES, experiment, tiny_config

from hw1_jax.runs.files import read_json
from hw1_jax.runs.flags import run_flags
from hw1_jax.runs.main import main
from hw1_jax.runs.options import Options

ROOT = pathlib.Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="gloo over loopback, on Linux")
QUICKLY = 60  # seconds within which the others notice a death: twice distributed.HEARTBEAT_SECONDS


def free_port():
  with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    return probe.getsockname()[1]


def slurm(num_processes, index):
  """Returns the variables by which JAX finds the other processes of a Slurm job step."""
  return {
    "SLURM_JOB_ID": str(os.getpid()),  # JAX takes the port from it
    "SLURM_STEP_NODELIST": "localhost",
    "SLURM_NTASKS": str(num_processes),
    "SLURM_PROCID": str(index),
    "SLURM_LOCALID": str(index),
  }


def flagfile_of(name, folder):
  folder.parent.mkdir(parents=True, exist_ok=True)
  flagfile = folder.parent / f"{folder.name}.flags"
  flagfile.write_bytes(run_flags(experiment(name), tiny_config(name), Options(workdir=folder)))
  return flagfile


def run_alone(name, folder, *flags):
  """Runs a tiny run in this process, on its two devices."""
  main(experiment(name), [name, f"--flagfile={flagfile_of(name, folder)}", *flags])


def start(name, folder, num_processes, num_devices, *flags, under_slurm=False):
  """Starts the processes of one tiny run; returns them."""
  common = [sys.executable, "-m", f"experiments.{name}", f"--flagfile={flagfile_of(name, folder)}"]
  common += [f"--num_devices={num_devices}", *flags]
  if under_slurm:
    common.append("--distributed")
  elif num_processes > 1:
    address = f"127.0.0.1:{free_port()}"
    common += [f"--coordinator_address={address}", f"--num_processes={num_processes}"]
  return [
    subprocess.Popen(
      common + ([f"--process_id={i}"] if num_processes > 1 and not under_slurm else []),
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
      cwd=ROOT,
      env=os.environ | {"JAX_PLATFORMS": "cpu"} | (slurm(num_processes, i) if under_slurm else {}),
    )
    for i in range(num_processes)
  ]


def finish(processes, seconds=300):
  """Returns [(exit code, output)] of all processes; kills those that do not end."""
  try:
    outputs = [process.communicate(timeout=seconds)[0] for process in processes]
  finally:
    for process in processes:
      process.kill()
  return [(process.returncode, output) for process, output in zip(processes, outputs)]


def assert_same_run(one, other):
  with np.load(one / "result.npz") as a, np.load(other / "result.npz") as b:
    assert sorted(a.files) == sorted(b.files)
    for name in a.files:
      assert a[name].tobytes() == b[name].tobytes(), name
  for name in ("metrics.jsonl", "summary.json"):
    assert (one / name).read_bytes() == (other / name).read_bytes(), name


def check_two_by_two(name, tmp_path):
  """Runs an experiment on 2 processes x 2 devices, and in this one, and compares."""
  both = finish(start(name, tmp_path / "two", 2, 2))
  assert [code for code, _ in both] == [0, 0], both
  run_alone(name, tmp_path / "one")
  assert_same_run(tmp_path / "two", tmp_path / "one")
  assert "Gloo" not in both[0][1] + both[1][1]
  assert both[0][1].count("results in") == 1  # process 0 speaks,
  assert "results in" not in both[1][1]  # the other does not
  provenance = read_json(tmp_path / "two" / "provenance.json")
  assert (provenance["processes"], provenance["device"]["count"]) == (2, 4)


def test_two_processes_with_two_devices_each_give_the_bits_of_one(tmp_path):
  check_two_by_two("gradient_norm", tmp_path)


@pytest.mark.slow
def test_two_processes_share_the_batches_of_one_cnn(tmp_path):
  flags = ("--split_batches", "--num_runs=1", "--batch_size=90", "--architectures=2k5p/6d")
  both = finish(start("train_on_task", tmp_path / "two", 2, 1, *flags))
  assert [code for code, _ in both] == [0, 0], both
  run_alone("train_on_task", tmp_path / "one", *flags[1:])
  with np.load(tmp_path / "one" / "result.npz") as a, np.load(tmp_path / "two" / "result.npz") as b:
    for name in a.files:  # the order of summation differs; dropout and shuffling do not
      np.testing.assert_allclose(b[name], a[name], rtol=1e-4, atol=1e-6)
    assert not np.array_equal(a["train_loss"], np.zeros_like(a["train_loss"]))


def test_devices_of_one_cpu_process_do_not_share_batches(tmp_path):
  ((code, output),) = finish(start("random_labels", tmp_path / "run", 1, 2, "--split_batches"))
  assert code == 2
  assert "expected one CPU device a process" in output
  assert "Traceback" not in output


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(NAMES) - {"gradient_norm"}))
def test_every_experiment_gives_the_same_bits_on_two_processes(name, tmp_path):
  check_two_by_two(name, tmp_path)


def test_a_death_ends_the_others_and_one_process_goes_on_from_there(tmp_path):
  name, folder = "simulate_function", tmp_path / "run"
  long = ("--num_epochs=3000000", "--loss_below=0", "--checkpoint_seconds=0", "--num_runs=2")
  processes = start(name, folder, 2, 1, *long)
  deadline = time.monotonic() + 200
  while not (folder / "checkpoint.previous.msgpack").exists():
    assert time.monotonic() < deadline, "no checkpoint"
    assert all(process.poll() is None for process in processes)
    time.sleep(0.1)
  os.kill(processes[1].pid, signal.SIGKILL)
  died = time.monotonic()
  (code, output), _ = finish(processes, QUICKLY)
  assert time.monotonic() - died < QUICKLY
  assert code != 0
  # Ours where a transfer fails, JAX's own where its heartbeat notices first.
  assert re.search("another process of this run was lost|another task died", output), output
  assert "Traceback" not in output, output
  again = start(name, folder, 1, 1, *long)[0]
  line = next(line for line in again.stdout if "cannot" in line or "resuming" in line)
  assert "resuming from" in line
  before = (folder / "metrics.jsonl").stat().st_size
  while (folder / "metrics.jsonl").stat().st_size <= before:
    time.sleep(0.1)
  again.terminate()
  assert finish([again], QUICKLY)[0][0] == 143


def test_an_interrupt_of_any_process_stops_all_and_more_processes_can_go_on(tmp_path):
  name, folder = "gradient_norm", tmp_path / "run"
  processes = start(name, folder, 2, 1, "--checkpoint_seconds=0", "--num_epochs=20000")
  deadline = time.monotonic() + 200
  while not (folder / "checkpoint.msgpack").exists():
    assert time.monotonic() < deadline, "no checkpoint"
    assert all(process.poll() is None for process in processes)
    time.sleep(0.05)
  processes[1].terminate()  # the one that writes nothing
  assert [code for code, _ in finish(processes)] == [143, 143]
  assert read_json(folder / "provenance.json")["status"] == "interrupted"
  ended = finish(start(name, folder, 1, 2, "--num_epochs=20000"))
  assert ended[0][0] == 0, ended
  assert "resuming from" in ended[0][1]
  run_alone(name, tmp_path / "straight", "--num_epochs=20000")
  assert_same_run(folder, tmp_path / "straight")


def test_slurm_is_found_and_all_processes_hear_why_a_folder_is_refused(tmp_path):
  name, folder = "gradient_norm", tmp_path / "run"
  assert [code for code, _ in finish(start(name, folder, 2, 1, under_slurm=True))] == [0, 0]
  assert read_json(folder / "provenance.json")["processes"] == 2
  refused = finish(start(name, folder, 2, 1, "--seed=5"))
  assert [code for code, _ in refused] == [2, 2]
  for _, output in refused:
    assert "got --seed=5, expected --seed=0" in output


@pytest.mark.parametrize(
  ("flags", "message"),
  [
    (
      ["--num_processes=2"],
      "--num_processes: got 2, expected with it --coordinator_address=HOST:PORT",
    ),
    (["--process_id=x"], "--process_id: got 'x', expected a whole number"),
    (["--num_processes=2", "--process_id=2"], "--process_id: got 2, expected less than"),
    (["--coordinator_address=here"], "--coordinator_address: got 'here', expected HOST:PORT"),
  ],
)
def test_wrong_flags_are_one_line(flags, message, tmp_path, capfd):
  with pytest.raises(SystemExit) as stopped:
    main(experiment("gradient_norm"), ["x", f"--workdir={tmp_path}", *flags])
  assert stopped.value.code == 2
  error = capfd.readouterr().err
  assert message in error
  assert error.count("\n") == 1


def test_where_jax_finds_no_cluster_the_flags_are_asked_for(tmp_path):
  ((code, output),) = finish(start("gradient_norm", tmp_path / "run", 1, 1, "--distributed"))
  assert code == 2
  assert "expected a cluster that JAX knows, or --coordinator_address" in output
  assert output.count("\n") == 1


def test_processes_with_other_settings_are_refused_before_anything_is_computed(tmp_path):
  folder = tmp_path / "run"
  one, other = start("gradient_norm", folder, 2, 1)
  other.kill()
  other.communicate()
  arguments = [*map(str, other.args), "--seed=1"]
  other = subprocess.Popen(
    arguments,
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
    cwd=ROOT,
    env=os.environ | {"JAX_PLATFORMS": "cpu"},
  )
  for code, output in finish([one, other]):
    assert code == 2, output
    assert "process 1: got --seed=1, expected --seed=0, as process 0 has" in output
    assert "Traceback" not in output
  assert not folder.exists()
