#!/usr/bin/env bash
# Write a constraints file: what a fresh install beside one Airflow brings today.
# Usage: freeze_constraints.sh PYTHON AIRFLOW_VERSION FILE WHAT... (as pip install takes it)
set -euo pipefail

python=$1 airflow=$2 file=$3
shift 3
env=$(mktemp -d)
trap 'rm -rf "$env"' EXIT

echo "Installing Airflow $airflow and $* without constraints"
"$python" -m venv "$env"
# The pip that a Python brings may be old; a newer one resolves hundreds of packages faster.
"$env/bin/python" -m pip install -q --disable-pip-version-check --upgrade pip
"$env/bin/python" -m pip install -q "$@" "apache-airflow==$airflow"
"$env/bin/python" -m pip check
{
  echo "# Airflow $airflow and what this project and its tests need beside it, on $("$python" -V)."
  echo "# Made by 'make constraints' from a fresh install; do not edit by hand."
  "$env/bin/python" -m pip freeze --exclude airflow-provider-honeyhive
} >"$env/constraints.txt"
if grep -n ' @ ' "$env/constraints.txt"; then
  echo "the lines above are no pins" >&2
  exit 1
fi
cp "$env/constraints.txt" "$file"
echo "$file: $(grep -c == "$file") pins"
