"""hw1 and run_all.sh: each form of a command does what it looks like, or is refused in a line."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from hw1_jax.command import catalog
from hw1_jax.command import plan as plans
from hw1_jax.command.main import main
from hw1_jax.command.plan import make_plan
from hw1_jax.errors import UserError
from hw1_jax.report.assignment import EXPERIMENTS, topics

ROOT = pathlib.Path(__file__).resolve().parents[2]
FLAGS = os.path.relpath(EXPERIMENTS / "flags")


@pytest.fixture(autouse=True)
def in_root(monkeypatch):
  monkeypatch.chdir(ROOT)
  monkeypatch.delenv("HW1_CALLED_FROM", raising=False)


def test_every_entry_of_the_registry_is_an_experiment_with_a_tiny_profile():
  assert catalog.names() == [topic.experiment for topic in topics()]
  assert catalog.members("tiny") == catalog.names()
  for topic in topics():
    assert catalog.experiment(topic.experiment).name == topic.experiment
    assert all(topic.experiment in catalog.members(profile) for profile in topic.profiles)


def test_no_words_are_all_experiments_of_the_quick_profile_in_order():
  plan = make_plan([])
  assert (plan.profile, plan.folder) == ("quick", pathlib.Path("results/quick"))
  assert list(plan.commands) == catalog.names()
  assert plan.commands["sensitivity"] == [
    "--flagfile=experiments/flags/long_report/sensitivity.flags",
    "--flagfile=experiments/flags/quick/sensitivity.flags",
  ]


@pytest.mark.parametrize(
  ("arguments", "profile", "chosen"),
  [
    (["gradient_norm"], "quick", ["gradient_norm"]),
    (["quick/"], "quick", None),
    (["quick", "gradient_norm"], "quick", ["gradient_norm"]),
    (["gradient_norm", "tiny"], "tiny", ["gradient_norm"]),
    (["sensitivity", "gradient_norm", "sensitivity"], "quick", ["sensitivity", "gradient_norm"]),
    (["--num_epochs", "20", "gradient_norm"], "quick", ["gradient_norm"]),
    (["--overwrite", "gradient_norm"], "quick", ["gradient_norm"]),
  ],
)
def test_words_are_profile_and_experiments_in_any_order(arguments, profile, chosen):
  plan = make_plan(arguments)
  assert plan.profile == profile
  assert list(plan.commands) == (chosen or catalog.members(profile))


def test_a_flag_goes_to_the_experiments_that_have_it_and_the_others_are_named():
  plan = make_plan(["tiny", "gradient_norm", "random_labels", "--batch_size", "60", "--seed=3"])
  assert plan.commands == {
    "gradient_norm": [f"--flagfile={FLAGS}/tiny/gradient_norm.flags", "--seed=3"],
    "random_labels": [
      f"--flagfile={FLAGS}/tiny/random_labels.flags", "--batch_size=60", "--seed=3"],
  }  # fmt: skip
  assert plan.notes == ("--batch_size is no flag of gradient_norm: not given to them",)


def test_a_workdir_takes_a_folder_for_each_experiment_and_the_page():
  plan = make_plan(["tiny", "gradient_norm", "sensitivity", "--workdir=out"])
  assert plan.folder == pathlib.Path("out")
  for name, flags in plan.commands.items():
    assert flags[-1] == f"--workdir=out/{name}"
  assert (
    make_plan(["tiny", "gradient_norm", "--workdir=out"]).commands["gradient_norm"]
    == (plan.commands["gradient_norm"])
  )


@pytest.mark.parametrize(
  ("arguments", "cores", "jobs"),
  [
    ([], 2, 2),
    (["tiny", "gradient_norm"], 1, 1),
    (["quick"], 64, 4),
    (["quick", "--distributed"], 2, 1),
    (["long_report"], 2, 1),
    (["long_report", "--jobs=3"], 2, 3),
    (["--jobs", "1", "--jobs", "8"], 2, 8),
  ],
)
def test_profiles_that_mostly_compile_run_an_experiment_on_each_core(
  arguments, cores, jobs, monkeypatch
):
  monkeypatch.setattr(plans, "usable_cores", lambda: cores)
  assert make_plan(arguments).jobs == jobs


def test_what_comes_before_leaves_the_process_fit_to_be_forked_and_an_array_does_not():
  script = (
    "import sys; from hw1_jax.command import children, plan, run_all; plan.make_plan([]);"
    "print(children._alone()); run_all._prepare();"
    "print(children._alone(), {'scipy.stats', 'fontTools.subset'} <= set(sys.modules));"
    "import jax; jax.numpy.ones(1); print(children._alone())"
  )
  done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
  assert done.stdout.split() == ["True", "True", "True", "False"], done.stderr


def test_relative_paths_are_those_of_the_folder_where_the_command_was_given(tmp_path):
  (tmp_path / "my.flags").write_text("--seed=5\n--num_runs=1\n")
  arguments = ["tiny", "gradient_norm", "--workdir=out", "--flagfile=my.flags"]
  plan = make_plan(arguments, tmp_path)
  assert plan.folder == tmp_path / "out"
  assert plan.commands["gradient_norm"][1:] == [
    "--seed=5", "--num_runs=1", f"--workdir={tmp_path}/out/gradient_norm"]  # fmt: skip


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["gradient_nrom"], "no profile or experiment 'gradient_nrom'; did you mean gradient_norm?"),
    (["quik"], "no profile or experiment 'quik'; did you mean quick?"),
    (["tiny", "zzz"], "no experiment 'zzz'; expected one of: simulate_function "),
    (["short_report", "sensitivity"], "sensitivity is not in profile short_report, which has: "),
    (["quick", "long_report"], "two profiles, quick and long_report: run one after the other"),
    (["--num_epoch=3"], "no flag --num_epoch; did you mean --num_epochs?"),
    (["--qqqqqqqqqq"], "no flag --qqqqqqqqqq; --help behind an experiment's name lists them"),
    (["gradient_norm", "--batch_size=3"], "--batch_size is no flag of gradient_norm; it is one of"),
    (["--num_epochs"], "--num_epochs: a value is missing, --num_epochs=..."),
    (["--num_epochs=x"], "simulate_function: --num_epochs: got 'x', expected a whole number"),
    (["--workdir="], "--workdir: got '', expected a folder"),
    (["--manual_dir=x"], "here trains on the embedded digits and reads no file; add --dataset="),
    (["--flagfile=/no/such"], "--flagfile: "),
    (["--jobs=0"], "--jobs: got '0', expected a whole number of at least 1"),
    (["--jobs", "two"], "--jobs: got 'two', expected a whole number of at least 1"),
    (["--jobs"], "--jobs: a value is missing, --jobs=..."),
    (["--jobs=2", "--num_processes=2"], "--jobs: got 2, expected 1 beside --num_processes"),
  ],
)
def test_what_cannot_be_meant_is_refused_once_and_in_one_line(arguments, message, capsys):
  assert main(["run-all", *arguments]) == 2
  out, err = capsys.readouterr()
  assert out == ""
  assert len(err.splitlines()) == 1
  assert err.startswith("hw1: ")
  assert message in err


def test_manual_dir_is_taken_where_files_are_read():
  plan = make_plan(["quick", "random_labels", "--manual_dir=x", "--dataset=mnist"])
  assert plan.commands["random_labels"][-2:] == ["--manual_dir=x", "--dataset=mnist"]
  assert make_plan(["short_report", "--manual_dir=x"]).notes


def test_a_run_folder_is_not_taken_for_a_folder_of_runs(tmp_path):
  (tmp_path / "config.json").write_text("{}")
  with pytest.raises(UserError, match="is a run folder itself"):
    make_plan(["gradient_norm", f"--workdir={tmp_path}"])


@pytest.mark.parametrize(
  ("arguments", "text"),
  [
    (["--help"], "hw1 list"),
    ([], "hw1 list"),
    (["run-all", "quick", "--help"], "./run_all.sh gradient_norm"),
    (["run-all", "-h"], "./run_all.sh gradient_norm"),
    (["run-all", "gradient_norm", "--help"], "Flags of gradient_norm"),
    (["run", "gradient_norm", "-h"], "Flags of gradient_norm"),
    (["run", "--help"], "hw1 list"),
    (["completion", "bash"], "complete -o default -F _hw1 hw1"),
    (["list"], "1.3.4  sensitivity"),
    (["completion", "words", "run", "grad"], "gradient_norm"),
    (["completion", "words", "run", "gradient_norm", "--"], "--num_epochs="),
    (["completion", "words", "run", "gradient_norm", "--profile="], "--profile=tiny"),
    (["completion", "words", "run", "gradient_norm", "--activation="], "--activation=tanh"),
    (["completion", "words", "export", "--"], "--format=safetensors"),
    (["completion", "words", ""], "verify"),
    (["completion", "words", "run-all", "--"], "--jobs="),
    (["completion", "zsh"], "compdef _hw1 hw1"),
  ],
)
def test_help_is_given_wherever_it_is_asked_for(arguments, text, capsys):
  assert main(arguments) == 0
  out, err = capsys.readouterr()
  assert text in out
  assert err == ""


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    (["rnu"], "no command 'rnu'; did you mean run?"),
    (["run"], "run: name an experiment, one of: simulate_function"),
    (["run", "quick"], "run: quick is a profile; hw1 run-all quick runs its experiments"),
    (["run", "gradient_nrom"], "no experiment 'gradient_nrom'; did you mean gradient_norm?"),
    (["run", "gradient_norm", "--profile", "tniy"], "no profile 'tniy'; did you mean tiny?"),
    (["run", "sensitivity", "--profile=short_report"], "sensitivity is not in profile short_"),
    (["list", "x"], "list takes no arguments; got 'x'"),
    (["completion"], "completion: expected bash or zsh"),
    (["gradient_norm"], "it is an experiment: hw1 run gradient_norm"),
    (["quick"], "no command 'quick', it is a profile: hw1 run-all quick"),
    (["verfy", "x"], "no command 'verfy'; did you mean verify?"),
    (["verify"], "verify: expected one folder of runs, or one run folder"),
    (["verify", "no/such"], "no/such holds no run; name a folder such as results/quick"),
    (["export"], "export: expected a run folder"),
    (["export", "x", "--format=np"], "--format: no format 'np'; did you mean npz?"),
    (["export", "x", "--fromat=npz"], "export: no flag --fromat; did you mean --format?"),
    (["export", "no/such"], "no/such/weights.npz is missing; run the experiment first"),
  ],
)
def test_a_wrong_command_is_one_line_and_exit_2(arguments, message, capsys):
  assert main(arguments) == 2
  out, err = capsys.readouterr()
  assert (out, len(err.splitlines())) == ("", 1)
  assert message in err


BASH_PROBE = """
eval "$(hw1 completion bash)"
for line in "ver" "run grad" "run gradient_norm --profile=ti" "export --format=s"; do
  line="hw1 $line"
  COMP_LINE=$line COMP_POINT=${#line} COMPREPLY=()
  _hw1 2>/dev/null
  echo "${COMPREPLY[*]}"
done
"""
ZSH_PROBE = """
compdef() { :; }
eval "$(hw1 completion zsh)"
compadd() { print -- "${@[3,-1]}" | tr -d '\n'; }
words=(hw1 run gradient_norm --profile=ti) CURRENT=4
_hw1
"""


@pytest.fixture
def hw1_on_path(tmp_path, monkeypatch):
  """The console script, as an installation has it."""
  (tmp_path / "bin").mkdir()
  script = tmp_path / "bin" / "hw1"
  script.write_text(f'#!/bin/sh\nexec {sys.executable} -m hw1_jax.command "$@"\n')
  script.chmod(0o755)
  monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
def test_bash_completes(hw1_on_path):
  done = subprocess.run(["bash", "-c", BASH_PROBE], capture_output=True, text=True, cwd=ROOT)
  assert done.stdout.splitlines() == ["verify", "gradient_norm", "tiny", "safetensors"]


@pytest.mark.skipif(not shutil.which("zsh"), reason="needs zsh")
def test_zsh_completes(hw1_on_path):
  done = subprocess.run(["zsh", "-fc", ZSH_PROBE], capture_output=True, text=True, cwd=ROOT)
  assert "--profile=tiny" in done.stdout.split(), done.stderr


@pytest.mark.parametrize("command", ["report", "verify"])
def test_a_folder_one_too_high_is_told_which_is_meant(command, tmp_path, capsys):
  (tmp_path / "tiny" / "gradient_norm").mkdir(parents=True)
  (tmp_path / "tiny" / "gradient_norm" / "provenance.json").write_text("{}")
  assert main([command, str(tmp_path)]) == 2
  assert f"{tmp_path} holds no run; name {tmp_path / 'tiny'}\n" in capsys.readouterr().err
  assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
  ("redirection", "code", "err"),
  [
    ("| true", 0, ""),
    (">/dev/full", 2, "hw1: standard output: No space left on device\n"),
    (">&-", 0, ""),
    ("2>&-", 0, ""),
  ],
)
def test_output_that_cannot_be_written_is_no_traceback(redirection, code, err):
  command = f"set -o pipefail; '{sys.executable}' -m hw1_jax.command list {redirection}"
  done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True)
  assert (done.returncode, done.stderr) == (code, err)
  assert ("sensitivity" in done.stdout) == (redirection == "2>&-")


@pytest.fixture
def checkout(tmp_path):
  """A checkout whose set-up is done: run_all.sh with the Python of these tests."""
  tree = tmp_path / "checkout"
  (tree / "scripts").mkdir(parents=True)
  (tree / "scripts" / "venv.sh").write_text("ensure_venv() { :; }\n")
  shutil.copy(ROOT / "run_all.sh", tree)
  for name in ("hw1_jax", "experiments"):
    (tree / name).symlink_to(ROOT / name)
  (tree / ".venv" / "bin").mkdir(parents=True)
  (tree / ".venv" / "bin" / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
  (tree / ".venv" / "bin" / "python").chmod(0o755)
  return tree


def start(tree, *arguments, cwd=None):
  return subprocess.Popen(
    [tree / "run_all.sh", *arguments],
    cwd=cwd or tree,
    env={**os.environ, "JAX_PLATFORMS": "cpu"},
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def test_run_all_runs_what_it_is_asked_and_prints_the_page_last(checkout, tmp_path):
  process = start(checkout, "tiny", "gradient_norm", "--workdir", "out", cwd=tmp_path)
  out, err = process.communicate()
  assert process.returncode == 0, err
  page = tmp_path / "out" / "report.html"
  assert out.splitlines()[-1] == str(page)
  assert page.is_file()
  provenance = json.loads((tmp_path / "out/gradient_norm/provenance.json").read_text())
  assert "undefok" not in provenance["command"]
  # A folder that the run cannot use: that experiment fails, the others are still run.
  (tmp_path / "out/gradient_norm/config.json").write_text("{}")
  arguments = ("tiny", "gradient_norm", "simulate_function", "--workdir=out")
  process = start(checkout, *arguments, cwd=tmp_path)
  _, err = process.communicate()
  assert process.returncode == 1
  assert "run_all.sh: failed: gradient_norm; see the messages above" in err
  assert (tmp_path / "out/simulate_function/result.npz").is_file()


@pytest.mark.slow  # 20 s: four small runs
def test_two_at_a_time_give_the_bits_of_one_at_a_time(checkout, tmp_path):
  for jobs in (1, 2):
    names = ("tiny", "gradient_norm", "optimization_path")
    process = start(checkout, *names, f"--jobs={jobs}", f"--workdir={tmp_path / str(jobs)}")
    _, err = process.communicate()
    assert process.returncode == 0, err
  for name in names[1:]:
    one, two = (np.load(tmp_path / jobs / name / "result.npz") for jobs in "12")
    assert one.files == two.files
    for key in one.files:
      assert one[key].tobytes() == two[key].tobytes(), f"{name}: {key}"


def test_help_needs_no_set_up(checkout):
  shutil.rmtree(checkout / ".venv")
  for flag in ("-h", "--help"):
    out, err = start(checkout, flag).communicate()
    assert "./run_all.sh gradient_norm" in out
    assert '"""' not in out
    assert err == ""


LONG = ("tiny", "gradient_norm", "--num_epochs=10000000", "--loss_below=1e-12",
        "--change_below=1e-30", "--workdir=long")  # fmt: skip


def begin_long_run(checkout):
  """Returns run_all.sh's process and its child's, in the middle of a training."""
  process = start(checkout, *LONG)
  metrics = checkout / "long/gradient_norm/metrics.jsonl"
  while process.poll() is None and not (metrics.exists() and metrics.stat().st_size):
    time.sleep(0.05)
  assert process.poll() is None, process.communicate()
  (child,) = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
  return process, int(child)


def wait_for_end(pid):
  for _ in range(300):
    with contextlib.suppress(FileNotFoundError):
      if " Z " not in pathlib.Path(f"/proc/{pid}/stat").read_text():
        time.sleep(0.1)
        continue
    return
  pytest.fail(f"process {pid} goes on")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_stopped_it_lets_the_child_save_and_says_so(checkout, signum):
  process, child = begin_long_run(checkout)
  process.send_signal(signum)
  _, err = process.communicate(timeout=60)
  assert process.returncode == 128 + signum
  assert "run_all.sh: interrupted; the same command goes on from here" in err
  wait_for_end(child)
  folder = checkout / "long/gradient_norm"
  assert json.loads((folder / "provenance.json").read_text())["status"] == "interrupted"
  assert list(folder.glob("checkpoint*"))
  assert not (checkout / "long/report.html").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_killed_it_leaves_no_child_behind(checkout):
  process, child = begin_long_run(checkout)
  process.kill()
  process.wait()
  wait_for_end(child)
  process.communicate()
  provenance = (checkout / "long/gradient_norm/provenance.json").read_text()
  assert json.loads(provenance)["status"] == "interrupted"
