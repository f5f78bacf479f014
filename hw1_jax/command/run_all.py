"""Runs the homework's experiments and writes one report page.

  ./run_all.sh                       all of them, quick profile, embedded data: minutes, no download
  ./run_all.sh gradient_norm         one of them, or several
  ./run_all.sh long_report           the long report's full settings on MNIST (downloaded)
  ./run_all.sh short_report --manual_dir=DIR      MNIST's four original files are in DIR
  ./run_all.sh long_report minimal_ratio --seed=1 --workdir=results/seed_1
  ./run_all.sh gradient_norm --help  its flags

The run of an experiment goes to results/PROFILE/NAME and the page to results/PROFILE/report.html;
with --workdir=X to X/NAME and X/report.html. Each flag goes to the experiments that have it.
--jobs=N runs N experiments at a time. The default is one for each core, at most 4, in the profiles
quick and tiny, which mostly compile, on one core each; elsewhere 1, because a training uses all
cores. No result depends on it. With several at a time the longest begin first, and progress is told
in lines.
Repeating a command goes on where it stopped: finished experiments are not run again (--overwrite
does). The last line is the path of the page. Exit code: 0, 1 if an experiment failed, 2 for wrong
arguments, 129, 130 or 143 if interrupted. Outside a checkout the same command is `hw1 run-all`.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from hw1_jax.command.catalog import CALLED_FROM, experiment, program
from hw1_jax.command.children import Children, Main
from hw1_jax.command.plan import Plan, make_plan
from hw1_jax.report import figures
from hw1_jax.report import main as report
from hw1_jax.runs.folder import default_style, render
from hw1_jax.runs.main import main as run_experiment
from hw1_jax.runs.terminal import PROGRESS, secure_streams

INTERRUPTED = (129, 130, 143)
# From 23 to 9 seconds in the quick profile, two at a time, measured 2026-11-27; the others 2 to 8.
LONGEST = (
  "flatness", "train_on_task", "minimal_ratio", "hessian_spectrum", "simulate_function",
  "interpolation", "parameter_count", "error_surface", "connectivity", "label_noise",
  "double_descent",
)  # fmt: skip
SIGNALS = {int(one): one.name for one in signal.Signals}


def run_all(arguments: Sequence[str], main: Main) -> int:
  """Returns the exit code of `hw1 run-all`; UserError before anything runs.

  `main` is hw1's own: what a child does with its arguments.
  """
  secure_streams()
  called_from = os.environ.get(CALLED_FROM)
  elsewhere = called_from and Path(called_from) != Path.cwd()
  plan = make_plan(arguments, Path(called_from) if called_from and elsewhere else None)
  if plan.help:
    if len(plan.commands) == 1:
      (name,) = plan.commands
      run_experiment(experiment(name), [name, "--help"])
    else:
      print((__doc__ or "").strip())
    return 0
  for note in plan.notes:
    _say(note)
  begun, children = time.monotonic(), Children("hw1_jax.command", main)
  with children.listening():
    if len(plan.commands) > 1:
      with contextlib.suppress(Exception):  # a child that cannot do so either will say why
        _prepare()
    failed = _run(plan, children)
  if children.code:
    _say("interrupted; the same command goes on from here")
    return children.code
  code = report.main([str(plan.folder)])
  _say(f"{len(plan.commands)} experiments in {time.monotonic() - begun:.0f} s")
  if failed:
    _say(f"failed: {' '.join(failed)}; see the messages above")
  return code or int(bool(failed))


def _prepare() -> None:
  """Loads what each child would load itself, 0.7 s of processor time: its fork has it then."""
  import scipy.stats  # noqa: F401
  import sklearn.datasets  # noqa: F401

  with default_style():
    figure, (axes,) = figures.canvas()
    axes.loglog([1, 10], [1, 10], label="$x^2$")
    figures.legend(figure)
    for _ in render("warm-up", figure):  # fonts, formulas and three kinds of files
      pass


def _run(plan: Plan, children: Children) -> list[str]:
  """Runs a plan and returns the experiments that failed; an interrupted one stops the others."""
  if plan.jobs > 1:
    os.environ[PROGRESS] = "lines"  # bars would be drawn over each other
  waiting, failed = list(enumerate(_begin_with_the_longest(plan), 1)), set()
  while waiting or children.running:
    while waiting and len(children.running) < plan.jobs and not children.code:
      k, name = waiting.pop(0)
      _tell(f"[{k} of {len(plan.commands)}] {name}")
      children.start(name, [name, *plan.commands[name]])
    if children.running:
      name, code = children.wait()
      if code in INTERRUPTED:
        if not children.code:
          children.stop(code - 128)
      elif code:
        failed.add(name)
        if code - 128 in SIGNALS:  # it could not say so itself; other codes are a user's module's
          by = SIGNALS[code - 128]
          _say(f"{name} was ended by {by}; the same command goes on from its last checkpoint")
    if children.code:
      waiting.clear()
  return [name for name in plan.commands if name in failed]


def _begin_with_the_longest(plan: Plan) -> list[str]:
  """Returns the experiments in the order of their start: one begun last would end alone."""
  if plan.jobs == 1:
    return list(plan.commands)
  rank = {name: k for k, name in enumerate(LONGEST)}
  return sorted(plan.commands, key=lambda name: rank.get(name, len(LONGEST)))


def _say(text: str) -> None:
  _tell(f"{program()}: {text}")


def _tell(line: str) -> None:
  with contextlib.suppress(OSError):  # stderr may be a file on the full disk
    print(line, file=sys.stderr, flush=True)
