"""Runs the homework's experiments one after the other and writes one report page.

  ./run_all.sh                       all of them, quick profile, embedded data: minutes, no download
  ./run_all.sh gradient_norm         one of them, or several
  ./run_all.sh long_report           the long report's full settings on MNIST (downloaded)
  ./run_all.sh short_report --manual_dir=DIR      MNIST's four original files are in DIR
  ./run_all.sh long_report minimal_ratio --seed=1 --workdir=results/seed_1
  ./run_all.sh gradient_norm --help  its flags

The run of an experiment goes to results/PROFILE/NAME and the page to results/PROFILE/report.html;
with --workdir=X to X/NAME and X/report.html. Each flag goes to the experiments that have it.
Repeating a command goes on where it stopped: finished experiments are not run again (--overwrite
does). The last line is the path of the page. Exit code: 0, 1 if an experiment failed, 2 for wrong
arguments, 129, 130 or 143 if interrupted. Outside a checkout the same command is `hw1 run-all`.
"""

import functools
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from hw1_jax.command.catalog import CALLED_FROM, experiment, program
from hw1_jax.command.children import Children
from hw1_jax.command.plan import make_plan
from hw1_jax.report import main as report
from hw1_jax.runs.main import main as run_experiment

INTERRUPTED = (129, 130, 143)


def run_all(arguments: Sequence[str]) -> int:
  """Returns the exit code of `hw1 run-all`; UserError before anything runs."""
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
  failed, begun, children = [], time.monotonic(), Children()
  with children.listening():
    for k, (name, flags) in enumerate(plan.commands.items(), 1):
      print(f"[{k} of {len(plan.commands)}] {name}", file=sys.stderr, flush=True)
      code = children.run(functools.partial(child_command, name, flags))
      if children.code or code in INTERRUPTED:
        _say("interrupted; the same command goes on from here")
        return children.code or code
      if code:
        failed.append(name)
  code = report.main([str(plan.folder)])
  _say(f"{len(plan.commands)} experiments in {time.monotonic() - begun:.0f} s")
  if failed:
    _say(f"failed: {' '.join(failed)}; see the messages above")
  return code or int(bool(failed))


def child_command(name: str, flags: Sequence[str], parent: int) -> list[str]:
  """Returns the command of an experiment that stops with us."""
  return [sys.executable, "-m", "hw1_jax.command", "child", str(parent), name, *flags]


def _say(text: str) -> None:
  print(f"{program()}: {text}", file=sys.stderr, flush=True)
