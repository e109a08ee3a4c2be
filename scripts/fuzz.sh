#!/usr/bin/env bash
# Runs every fuzz target of the tree for FUZZTIME each (default 20s). A target that did not run is a failure: fuzzing a
# package where no target lives reports success, so the list is made from the source and each run must say that it fuzzed.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${FUZZTIME:-20s}
ran=0
while IFS=: read -r file name; do
  pkg=./$(dirname "$file")
  echo "fuzz: $pkg $name $time"
  out=$(go test "$pkg" -run '^$' -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 10x 2>&1) || { echo "$out"; exit 1; }
  grep -q 'fuzz: elapsed' <<<"$out" || { echo "$out"; echo "fuzz: $name did not run"; exit 1; }
  ran=$((ran + 1))
done < <(git ls-files '*_test.go' | xargs grep -oE '^func Fuzz[A-Za-z0-9_]+' | sed 's/func //')
[ "$ran" -gt 0 ] || { echo "fuzz: no target found"; exit 1; }
echo "fuzz: $ran targets ran"
