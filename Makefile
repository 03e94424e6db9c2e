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

.PHONY: help demo test lint format build check-wheel constraints clean

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(INSTALLED_3.3) ## export a day of a stand-in HoneyHive (or, with HH_API_KEY set, of the real one) through Airflow
	@$(PY_3.3) scripts/demo.py

test: $(INSTALLED_3.3) $(INSTALLED_2.11) ## run all tests: units on Airflow 3.3, what touches Airflow on 3.3 and 2.11
	$(PY_3.3) -m pytest tests/unit
	$(PY_3.3) -m pytest tests/system
	$(PY_2.11) -m pytest tests/system

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

constraints: ## pin anew what a fresh install brings today
	@$(foreach minor,$(MINORS),scripts/freeze_constraints.sh $(PYTHON) $(AIRFLOW_$(minor)) constraints/airflow-$(minor).txt &&) true

clean: ## remove all that make made
	rm -rf .venv build dist demo-output .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Made anew only when the pins or the metadata change.
.venv/airflow-%/installed: constraints/airflow-%.txt pyproject.toml
	$(PYTHON) -m venv .venv/airflow-$*
	.venv/airflow-$*/bin/python $(PIP_INSTALL) -c $< -e '.[dev]' apache-airflow==$(AIRFLOW_$*)
	@touch $@
