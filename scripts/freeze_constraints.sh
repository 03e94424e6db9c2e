#!/usr/bin/env bash
# Write a constraints file: what a fresh install brings today.
# Usage: freeze_constraints.sh PYTHON FILE WHAT... (as pip install takes it)
set -euo pipefail

python=$1 file=$2
shift 2
env=$(mktemp -d)
trap 'rm -rf "$env"' EXIT

echo "Installing $* without constraints"
"$python" -m venv "$env"
# The pip that a Python brings may be old; a newer one resolves hundreds of packages faster.
"$env/bin/python" -m pip install -q --disable-pip-version-check --upgrade pip
"$env/bin/python" -m pip install -q "$@"
"$env/bin/python" -m pip check
{
  echo "# What a fresh install of $* brings on $("$python" -V)."
  echo "# Made by 'make constraints'; do not edit by hand."
  "$env/bin/python" -m pip freeze --exclude airflow-provider-honeyhive
} >"$env/constraints.txt"
if grep -n ' @ ' "$env/constraints.txt"; then
  echo "the lines above are no pins" >&2
  exit 1
fi
cp "$env/constraints.txt" "$file"
echo "$file: $(grep -c == "$file") pins"
