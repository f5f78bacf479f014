"""Completion of hw1's commands, experiments, profiles, flags and their values by the shell."""

from collections.abc import Sequence

from hw1_jax.command.catalog import experiment, members, names, profiles
from hw1_jax.errors import UserError

# Both hand over the line up to the cursor as words. Bash cuts words at "=" and wants what is behind
# it; a flag that takes a value is not followed by a space.
BASH = """_hw1() {
  local line=${COMP_LINE:0:COMP_POINT} words last found
  read -ra words <<< "$line"
  [[ $line == *" " ]] && words+=("")
  last=${words[-1]}
  mapfile -t found < <(hw1 completion words "${words[@]:1}" 2>/dev/null)
  mapfile -t COMPREPLY < <(compgen -W "${found[*]}" -- "$last")
  [[ $last == *=* ]] && COMPREPLY=("${COMPREPLY[@]#*=}")
  case "${COMPREPLY[*]}" in *=) compopt -o nospace ;; esac
}
complete -o default -F _hw1 hw1
"""
ZSH = """#compdef hw1
_hw1() {
  local -a found
  found=(${(f)"$(hw1 completion words "${(@)words[2,CURRENT]}" 2>/dev/null)"})
  if (( ! $#found )); then
    _files
    return
  fi
  compadd -S '' -- ${(M)found:#*=}
  compadd -- ${found:#*=}
}
compdef _hw1 hw1
"""
SHELLS = {"bash": BASH, "zsh": ZSH}
FORMATS = {"export": ("npz", "safetensors", "jax"), "report": ("html", "markdown", "pdf")}


def main(arguments: Sequence[str], commands: Sequence[str]) -> int:
  """`completion bash` prints its script; `completion words ...` what may stand last, by line."""
  if arguments and arguments[0] == "words":
    print("\n".join(candidates(arguments[1:], commands)))
  elif len(arguments) == 1 and arguments[0] in SHELLS:
    print(SHELLS[arguments[0]], end="")
  else:
    expected = " or ".join(SHELLS)
    raise UserError(f'completion: expected {expected}, as in: eval "$(hw1 completion bash)"')
  return 0


def candidates(words: Sequence[str], commands: Sequence[str]) -> list[str]:
  """Returns what the last of the words after `hw1` may become; none: the name of a file."""
  *before, last = words or [""]
  if not before:
    return list(commands)
  command, *rest = before
  if command == "completion":
    return list(SHELLS)
  if command in FORMATS:
    return [f"--format={each}" for each in FORMATS[command]] if last.startswith("-") else []
  if command not in ("run", "run-all"):
    return []
  named = [word for word in rest if word in names()]
  if last.startswith("-"):
    return _flags(command, named, last)
  if command == "run":
    return [] if named else names()
  return [*profiles(), *names()]


def _flags(command: str, named: Sequence[str], last: str) -> list[str]:
  """Returns the flags of the experiment that is named, or the values of the one begun."""
  flag, equals, _ = last.partition("=")
  having = [each for each in profiles() if not named or named[0] in members(each)]
  if equals and flag == "--profile" and command == "run":
    return [f"--profile={each}" for each in having]
  own = ["--profile="] if command == "run" else ["--jobs="]
  if not named:
    return own
  from hw1_jax.runs.flags import choices_of, define_flags  # takes seconds, only flags need it

  one = experiment(named[0])
  if equals:
    return [f"{flag}={choice}" for choice in choices_of(one, flag.lstrip("-"))]
  values = define_flags(one)
  return own + [f"--{name}" if values[name].boolean else f"--{name}=" for name in values]
