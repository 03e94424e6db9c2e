# Everything here needs Python 3.11 and make; what else it takes is installed below .venv/, pinned by constraints/.

PYTHON ?= python3.11
PIP_INSTALL := -m pip install -qq --disable-pip-version-check

# The two Airflows that everything is tested with.
MINORS := 3.3 2.11
AIRFLOW_3.3 := 3.3.2
AIRFLOW_2.11 := 2.11.2

PY_3.3 := .venv/airflow-3.3/bin/python
PY_2.11 := .venv/airflow-2.11/bin/python
INSTALLED_3.3 := .venv/airflow-3.3/installed
INSTALLED_2.11 := .venv/airflow-2.11/installed

# The stand-in for Azure, which npm brings; the others are Python packages.
AZURITE := 3.35.0

.PHONY: help demo test test-live lint format build test-stores check-wheel bench constraints clean

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(INSTALLED_3.3) ## export a day of a stand-in HoneyHive (or, with HH_API_KEY set, of the real one) through Airflow, and report on it
	@$(PY_3.3) scripts/demo.py

# These start schedulers and triggerers, and take minutes on each Airflow.
LIVE := tests/system/test_live_waiting.py tests/system/test_run_windows_live.py tests/system/test_triggers.py \
	tests/system/test_examples_waiting.py::test_the_alert_gets_the_events_of_each_kind_and_no_others

test: $(INSTALLED_3.3) $(INSTALLED_2.11) ## run the tests: units on Airflow 3.3, what touches Airflow on 3.3 and 2.11
	$(PY_3.3) -m pytest tests/unit
	$(PY_3.3) -m pytest tests/system $(LIVE:%=--deselect=%)
	$(PY_2.11) -m pytest tests/system $(LIVE:%=--deselect=%)

test-live: $(INSTALLED_3.3) $(INSTALLED_2.11) ## run the tests that need a whole Airflow with scheduler and triggerer, on 3.3 and 2.11
	$(PY_3.3) -m pytest $(LIVE)
	$(PY_2.11) -m pytest $(LIVE)

test-stores: .venv/stores/installed ## run the tests of S3, Google Cloud Storage and Azure against servers on this machine (needs npm)
	.venv/stores/bin/python -m pytest tests/stores

lint: $(INSTALLED_3.3) ## check style, format and types
	$(PY_3.3) -m ruff check
	$(PY_3.3) -m ruff format --check
	$(PY_3.3) -m mypy

format: $(INSTALLED_3.3) ## format the code and mend what can be mended
	$(PY_3.3) -m ruff check --fix
	$(PY_3.3) -m ruff format

build: $(INSTALLED_3.3) ## make wheel and sdist in dist/
	$(PY_3.3) -m build --outdir dist

check-wheel: $(INSTALLED_3.3) ## install the wheel into clean environments beside both Airflows, and look for the provider
	@$(foreach minor,$(MINORS),scripts/check_wheel.sh $(PY_3.3) $(AIRFLOW_$(minor)) constraints/airflow-$(minor).txt &&) true

bench: .venv/bench/installed ## measure the export beside curl, the vendor's client, dlt and others (over an hour; BENCH=--quick: minutes)
	.venv/bench/bin/python benchmarks/run.py $(BENCH)

constraints: ## pin anew what a fresh install brings today
	@$(foreach minor,$(MINORS),scripts/freeze_constraints.sh $(PYTHON) $(AIRFLOW_$(minor)) constraints/airflow-$(minor).txt '.[dev]' &&) true
	@scripts/freeze_constraints.sh $(PYTHON) $(AIRFLOW_3.3) constraints/stores.txt '.[all]' -r tests/stores/requirements.txt

clean: ## remove all that make made
	rm -rf .venv build dist demo-output .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Made anew only when the pins or the metadata change.
.venv/airflow-%/installed: constraints/airflow-%.txt pyproject.toml
	$(PYTHON) -m venv .venv/airflow-$*
	.venv/airflow-$*/bin/python $(PIP_INSTALL) -c $< -e '.[dev]' apache-airflow==$(AIRFLOW_$*)
	@touch $@

.venv/stores/installed: constraints/stores.txt tests/stores/requirements.txt pyproject.toml
	@command -v npm >/dev/null || { echo "make test-stores needs npm, of Node.js 18 or later: it brings Azurite" >&2; exit 1; }
	$(PYTHON) -m venv .venv/stores
	.venv/stores/bin/python $(PIP_INSTALL) -c $< -e '.[all]' -r tests/stores/requirements.txt apache-airflow==$(AIRFLOW_3.3)
	npm install --prefix .venv/stores/node --ignore-scripts --no-audit --no-fund --loglevel error azurite@$(AZURITE)
	@touch $@

.venv/bench/installed: constraints/airflow-3.3.txt constraints/bench.txt benchmarks/requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv/bench
	.venv/bench/bin/python $(PIP_INSTALL) -c constraints/airflow-3.3.txt -c constraints/bench.txt -e . \
		-r benchmarks/requirements.txt apache-airflow==$(AIRFLOW_3.3)
	@touch $@
