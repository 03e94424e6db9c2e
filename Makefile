# Everything here needs Python 3.11 and make; what else it takes is installed below .venv/, pinned by constraints/.

PYTHON ?= python3.11
PIP_INSTALL := -m pip install -qq --disable-pip-version-check

# The Airflows that everything is tested with.
MINORS := 3.3 3.1 2.11
AIRFLOW_3.3 := 3.3.2
AIRFLOW_3.1 := 3.1.8
AIRFLOW_2.11 := 2.11.2

# The newest of them is tested with another Python too; what pyenv has need not be on the path.
OTHER := 3.12
OTHER_PYTHON ?= $(firstword $(shell for python in python$(OTHER) $(HOME)/.pyenv/versions/$(OTHER).*/bin/python; do \
	$$python -c '' 2>/dev/null && echo $$python; done))

# What is worked with: the sources as they are.
PY := .venv/airflow-3.3/bin/python
INSTALLED := .venv/airflow-3.3/installed

# What is tested: the installed wheel, from a folder that has all of the sdist but the package.
APART := build/apart
IN_APART := cd $(APART) && ../../.venv

# The stand-in for Azure, which npm brings; the others are Python packages.
AZURITE := 3.35.0

.PHONY: help demo test test-unit test-other-python test-live test-stores lint format build check-wheel bench \
	constraints clean
.PRECIOUS: .venv/airflow-%/installed .venv/wheel-%/dependencies .venv/wheel-%/installed

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(INSTALLED) ## export a day of a stand-in HoneyHive (or, with HH_API_KEY set, of the real one) through Airflow, and report on it
	@$(PY) scripts/demo.py

test: $(MINORS:%=test-%) ## run the tests of the wheel: units on Airflow 3.3, what touches Airflow on 3.3, 3.1 and 2.11

# What depends on the Python is in the units; the examples have each operator run.
SYSTEM_3.3-other := test_discovery test_examples test_installed test_object_storage test_stopping

test-%: .venv/wheel-%/installed
	$(if $(filter 3.3%,$*),$(IN_APART)/wheel-$*/bin/python -m pytest tests/unit tests/docs)
	$(IN_APART)/wheel-$*/bin/python -m pytest $(or $(SYSTEM_$*:%=tests/system/%.py),tests/system)

test-unit: $(INSTALLED) ## run the unit tests of the sources as they are
	$(PY) -m pytest tests/unit tests/docs

test-other-python: $(if $(OTHER_PYTHON),test-3.3-other) ## run the units, and some of what touches Airflow, with Python 3.12, where there is one
	@$(if $(OTHER_PYTHON),,echo "SKIPPED: the tests with Python $(OTHER), which is not on this machine")

# Watchers that keep their state in a file are what 3.1 has of its own: 3.3 has stores for it, 2.11 no watchers.
LIVE_3.1 := test_examples test_triggers

test-live: $(MINORS:%=.venv/wheel-%/installed) ## run the tests that need a whole Airflow with scheduler and triggerer (minutes)
	@$(foreach minor,$(MINORS),($(IN_APART)/wheel-$(minor)/bin/python -m pytest \
		$(or $(LIVE_$(minor):%=tests/live/%.py),tests/live)) &&) true

test-stores: .venv/wheel-stores/installed ## run the tests of S3, Google Cloud Storage and Azure against servers on this machine (needs npm)
	$(IN_APART)/wheel-stores/bin/python -m pytest tests/stores

lint: $(INSTALLED) ## check style, format and types
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy
	.venv/airflow-3.3/bin/lint-imports --no-cache

format: $(INSTALLED) ## format the code and mend what can be mended
	$(PY) -m ruff check --fix
	$(PY) -m ruff format

build: .venv/build/installed ## make wheel and sdist in dist/
	.venv/build/bin/python -m build --no-isolation --outdir dist

check-wheel: $(MINORS:%=check-wheel-%) ## install the wheel into clean environments beside each Airflow, and look for the provider

check-wheel-%: $(APART)/made
	scripts/check_wheel.sh $(PYTHON) $(APART)/dist/*.whl $(AIRFLOW_$*) constraints/airflow-$*.txt

bench: .venv/bench/installed ## measure the export beside curl, the vendor's client, dlt and others (over an hour; BENCH=--quick: minutes)
	.venv/bench/bin/python benchmarks/run.py $(BENCH)

constraints: ## pin anew what a fresh install brings today
	@$(foreach minor,$(MINORS),scripts/freeze_constraints.sh $(PYTHON) $(AIRFLOW_$(minor)) constraints/airflow-$(minor).txt '.[dev]' &&) true
	@scripts/freeze_constraints.sh $(PYTHON) $(AIRFLOW_3.3) constraints/stores.txt '.[all]' -r tests/stores/requirements.txt

clean: ## remove all that make made
	rm -rf .venv build dist demo-output .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ------------------------------------------------------------------------------------------------ environments

# Made anew only when the pins or the metadata change.
.venv/airflow-%/installed: constraints/airflow-%.txt pyproject.toml
	$(PYTHON) -m venv .venv/airflow-$*
	.venv/airflow-$*/bin/python $(PIP_INSTALL) -c $< -e '.[dev]' apache-airflow==$(AIRFLOW_$*)
	@touch $@

.venv/build/installed: constraints/airflow-3.3.txt
	$(PYTHON) -m venv .venv/build
	.venv/build/bin/python $(PIP_INSTALL) -c $< build hatchling
	@touch $@

FOLDERS := airflow_provider_honeyhive benchmarks constraints docs example_dags scripts tests
$(APART)/made: $(shell find $(FOLDERS) -type f -not -name '*.pyc' -not -path '*/.*') \
		pyproject.toml Makefile $(wildcard *.md) | .venv/build/installed
	rm -rf $(APART)
	.venv/build/bin/python -m build --no-isolation --outdir $(APART)/dist >/dev/null
	tar -xzf $(APART)/dist/*.tar.gz -C $(APART) --strip-components 1
	rm -r $(APART)/airflow_provider_honeyhive
	@touch $@

# The stem is a minor version, or 3.3-other for the other Python.
minor = $(firstword $(subst -, ,$*))
.venv/wheel-%/dependencies: pyproject.toml $(wildcard constraints/airflow-*.txt) | $(APART)/made
	$(if $(findstring other,$*),$(OTHER_PYTHON),$(PYTHON)) -m venv $(@D)
	$(@D)/bin/python $(PIP_INSTALL) -c constraints/airflow-$(minor).txt \
		"$$(ls $(APART)/dist/*.whl)[dev]" apache-airflow==$(AIRFLOW_$(minor))
	$(@D)/bin/python -m pip check
	@touch $@

.venv/wheel-stores/dependencies: pyproject.toml constraints/stores.txt tests/stores/requirements.txt | $(APART)/made
	@command -v npm >/dev/null || { echo "make test-stores needs npm, of Node.js 18 or later: it brings Azurite" >&2; exit 1; }
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python $(PIP_INSTALL) -c constraints/stores.txt "$$(ls $(APART)/dist/*.whl)[all]" \
		-r tests/stores/requirements.txt apache-airflow==$(AIRFLOW_3.3)
	$(@D)/bin/python -m pip check
	npm install --prefix $(@D)/node --ignore-scripts --no-audit --no-fund --loglevel error azurite@$(AZURITE)
	@touch $@

.venv/wheel-%/installed: .venv/wheel-%/dependencies $(APART)/made
	$(@D)/bin/python $(PIP_INSTALL) --no-deps --force-reinstall $(APART)/dist/*.whl
	@touch $@

.venv/bench/installed: constraints/airflow-3.3.txt constraints/bench.txt benchmarks/requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv/bench
	.venv/bench/bin/python $(PIP_INSTALL) -c constraints/airflow-3.3.txt -c constraints/bench.txt -e . \
		-r benchmarks/requirements.txt apache-airflow==$(AIRFLOW_3.3)
	@touch $@
