"""Completion of hw1's commands, experiments, profiles and flags by the shell."""

from collections.abc import Sequence

from hw1_jax.command.catalog import experiment, names, profiles
from hw1_jax.errors import UserError

BASH = """_hw1() {
  local words=("${COMP_WORDS[@]:1:COMP_CWORD}")
  COMPREPLY=($(compgen -W "$(hw1 completion words "${words[@]}" 2>/dev/null)" -- "${words[-1]}"))
  case "${COMPREPLY[*]}" in *=) compopt -o nospace ;; esac
}
complete -o default -F _hw1 hw1
"""


def main(arguments: Sequence[str]) -> int:
  """`completion bash` prints the script; `completion words ...` what may stand last."""
  if arguments and arguments[0] == "words":
    print(" ".join(candidates(arguments[1:])))
  elif list(arguments) == ["bash"]:
    print(BASH, end="")
  else:
    raise UserError('completion: expected bash, as in: eval "$(hw1 completion bash)"')
  return 0


def candidates(words: Sequence[str]) -> list[str]:
  """Returns what the last of the words after `hw1` may become."""
  *before, last = words or [""]
  if not before:
    return ["list", "run", "run-all", "report", "completion"]
  if before[0] not in ("run", "run-all"):
    return ["bash"] if before[0] == "completion" else []
  named = [word for word in before[1:] if word in names()]
  if last.startswith("-"):
    own = ["--profile="] if before[0] == "run" else []
    if not named:
      return own
    from hw1_jax.runs.flags import define_flags  # takes seconds, and only flags need it

    values = define_flags(experiment(named[0]))
    return own + [f"--{name}" if values[name].boolean else f"--{name}=" for name in values]
  if before[0] == "run":
    return [] if named else names()
  return [*profiles(), *names()]
