#!/usr/bin/env bash
# Install the wheel, without extras, into a clean environment beside an Airflow, and ask that Airflow for the provider.
# Usage: check_wheel.sh PYTHON WHEEL AIRFLOW_VERSION CONSTRAINTS
set -euo pipefail

python=$1 wheel=$2 airflow=$3 constraints=$4
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

"$python" -m venv "$place/env"
"$place/env/bin/python" -m pip install -q --disable-pip-version-check -c "$constraints" \
  "$wheel" "apache-airflow==$airflow"
"$place/env/bin/python" -m pip check

# Away from the sources, so that only what the wheel holds can be found.
cd "$place"
export AIRFLOW_HOME=$place/home AIRFLOW__CORE__LOAD_EXAMPLES=False
"$place/env/bin/airflow" db migrate >"$place/migrate.log" 2>&1 || { cat "$place/migrate.log" >&2; exit 1; }
for what in list hooks; do
  echo "airflow providers $what:"
  "$place/env/bin/airflow" providers "$what" >"$place/$what" 2>"$place/errors" || { cat "$place/errors" >&2; exit 1; }
  grep -i honeyhive "$place/$what"
done
echo "Airflow $airflow: the wheel is found"
