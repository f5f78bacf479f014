#!/usr/bin/env bash
# Runs the homework's experiments and writes one report page.
#
#   ./run_all.sh                       all nine, quick profile, embedded data: minutes, no download
#   ./run_all.sh long_report           the long report's full settings on MNIST (downloaded)
#   ./run_all.sh short_report --manual_dir=DIR      MNIST's four original files are in DIR
#   ./run_all.sh long_report minimal_ratio --seed=1       only that one, with a further flag
#
# Repeating a command goes on where it stopped: finished experiments are not run again
# (--overwrite does). The last line is the path of the report. Exit code: 0, 1 if an experiment
# failed, 2 for wrong arguments, 130 or 143 if interrupted.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 2
. scripts/venv.sh

all="simulate_function train_on_task optimization_path gradient_norm minimal_ratio
  random_labels parameter_count interpolation sensitivity"
profile=quick names=() flags=()
case "${1:-}" in
  -h|--help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
  ''|-*) ;;
  *) profile=$1; shift ;;
esac
for argument in "$@"; do
  case "$argument" in
    -*) flags+=("$argument") ;;
    *) names+=("$argument") ;;
  esac
done
if [ ! -d "experiments/flags/$profile" ]; then
  echo "run_all.sh: no profile '$profile'; expected one of: $(ls experiments/flags | xargs)" >&2
  exit 2
fi
for name in ${names[@]+"${names[@]}"}; do
  if [ ! -f "experiments/flags/$profile/$name.flags" ]; then
    echo "run_all.sh: no experiment '$name' in profile $profile; expected some of:" \
      "$(cd "experiments/flags/$profile" && ls ./*.flags | sed 's|./||;s|.flags||' | xargs)" >&2
    exit 2
  fi
done
if [ ${#names[@]} -eq 0 ]; then
  for name in $all; do
    [ -f "experiments/flags/$profile/$name.flags" ] && names+=("$name")
  done
fi
ensure_venv requirements.txt || exit

# Flags that only some experiments have; the others may ignore them.
undefok=--undefok=dataset,data_dir,manual_dir,train_examples,test_examples,batch_size,activation,max_memory_gb
failed=() k=0
begun=$SECONDS
for name in "${names[@]}"; do
  k=$((k + 1))
  echo "[$k of ${#names[@]}] $name" >&2
  files=("--flagfile=experiments/flags/$profile/$name.flags")
  if [ "$profile" = quick ]; then
    files=("--flagfile=experiments/flags/long_report/$name.flags" "${files[@]}")
  fi
  .venv/bin/python -m "experiments.$name" "${files[@]}" ${flags[@]+"${flags[@]}"} "$undefok"
  code=$?
  case $code in
    0) ;;
    130|143) echo "run_all.sh: interrupted; the same command goes on from here" >&2; exit $code ;;
    *) failed+=("$name") ;;
  esac
done
report=$(.venv/bin/python -m hw1_jax.report "results/$profile") || exit
echo "run_all.sh: ${#names[@]} experiments in $((SECONDS - begun)) s" >&2
if [ ${#failed[@]} -gt 0 ]; then
  echo "run_all.sh: failed: ${failed[*]}; see the messages above" >&2
fi
echo "$report"
[ ${#failed[@]} -eq 0 ]
