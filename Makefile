# Plain names for the sessions of noxfile.py, where the commands are. Needs Python 3.11: the rest comes into .venv/.

PYTHON ?= python3.11
NOX := .venv/tools/bin/nox

.PHONY: help demo test test-units test-all test-3.3 test-3.1 test-2.11 test-lowest test-stores test-live fuzz docs lint format build \
	check-wheel bench constraints clean

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z0-9.-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(NOX) ## export a day of a stand-in HoneyHive (or, with HH_PROJECT_API_KEY set, of the real one) through Airflow, and build tables, a report and training files of it
	@$(NOX) -s demo

test: $(NOX) ## test the sources: units, pages, and tasks in Airflow 3.3 (some minutes)
	$(NOX) -s test

test-units: $(NOX) ## test the sources, but no tasks in Airflow: those run with the wheel, too
	$(NOX) -s units

test-all: $(NOX) ## test the wheel: all of that with other Pythons, Airflow 3.1 and 2.11, the lowest of everything, many cases, stores, live (most of an hour)
	$(NOX) -s wheel lowest fuzz stores live

test-3.3: $(NOX) ## test the wheel on Airflow 3.3, with Python 3.13 where there is one
	$(NOX) -s 'wheel(3.3)'

test-3.1: $(NOX) ## test the wheel on Airflow 3.1, with Python 3.12 where there is one
	$(NOX) -s 'wheel(3.1)'

test-2.11: $(NOX) ## test the wheel on Airflow 2.11
	$(NOX) -s 'wheel(2.11)'

test-lowest: $(NOX) ## test the wheel with the lowest of everything that it asks for
	$(NOX) -s lowest

test-stores: $(NOX) ## test S3, Google Cloud Storage and Azure against servers on this machine (needs npm)
	$(NOX) -s stores

test-live: $(NOX) ## run the tests that need a whole Airflow with scheduler and triggerer (minutes)
	$(NOX) -s live

fuzz: $(NOX) ## let the tests that hypothesis drives try many cases (minutes; HONEYHIVE_PROPERTY_CASES=200x: hours)
	$(NOX) -s fuzz

docs: $(NOX) ## build the pages as a site in build/site/, and check their links
	$(NOX) -s docs

lint: $(NOX) ## check style, format, types and imports
	$(NOX) -s lint

format: $(NOX) ## format the code and mend what can be mended
	$(NOX) -s format

build: $(NOX) ## make wheel and sdist in dist/
	$(NOX) -s build

check-wheel: $(NOX) ## install the wheel into clean environments beside each Airflow, and look for the provider
	$(NOX) -s check_wheel

bench: $(NOX) ## measure the export beside curl, the vendor's client, dlt and others (most of an hour; BENCH=--quick: minutes)
	$(NOX) -s bench -- $(BENCH)

constraints: $(NOX) ## pin anew what a fresh install brings today
	$(NOX) -s constraints

clean: ## remove all that make made
	rm -rf .venv build dist demo-output .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(NOX): constraints/tools.txt
	$(PYTHON) -m venv --clear .venv/tools
	.venv/tools/bin/python -m pip install -qq --disable-pip-version-check -r constraints/tools.txt
	@touch $@
