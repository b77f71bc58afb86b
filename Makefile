# Two commands set everything up on a machine with Python 3.9+, venv and make:
#   make simulate   runs the main job on the simulated cloud
#   make test       lints, checks types and runs the tests
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: simulate test coverage docs oracle chaos mutants breaks fuzz audit bench lint format locks clean

simulate: $(VENV)/.runs
	$(BIN)/cce-scheduler simulate

test: lint
	$(BIN)/python -m pytest

# The same tests, slower, with the lines that none of them reaches.
coverage: $(VENV)/.installed
	$(BIN)/python -m pytest --cov --cov-report=term

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Builds the documentation as a site, into build/site; it takes no network. The variable hushes an advertisement.
docs: $(VENV)/.installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --config-file docs/site/mkdocs.yml

# Holds the evaluator against the oracle for a long while, on all cores.
oracle: $(VENV)/.installed
	$(BIN)/python -m tests.long_oracle

# Lets worlds go wrong, over HTTP, and kills runs in the middle; every action is held against the oracle.
chaos: $(VENV)/.installed
	$(BIN)/python -m tests.long_chaos

# Changes the core in every small way, and counts what the tests notice; for Python 3.10 and later.
mutants: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'mutmut>=3.8,<4'
	ORACLE_CASES=300 $(BIN)/mutmut run
	$(BIN)/python -m tests.mutants

# Breaks one rule of time after the other, and sees that a test notices.
breaks: $(VENV)/.installed
	$(BIN)/python -m tests.breaks

# Throws hostile input at every reader of bytes from outside, on all cores.
fuzz: $(VENV)/.installed
	$(BIN)/python -m tests.fuzz

# Measures; instructions only where valgrind is installed. Takes some minutes.
bench: $(VENV)/.installed
	$(BIN)/python benchmarks/evaluate.py
	$(BIN)/python benchmarks/cold_start.py --output benchmarks/RESULTS.md
	$(BIN)/python benchmarks/page.py

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# What the program needs; then what its development needs besides.
$(VENV)/.runs: pyproject.toml
	@echo "installing the program into $(VENV): about a minute"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[cli]'
	touch $@

$(VENV)/.installed: $(VENV)/.runs
	@echo "installing what its development needs into $(VENV): about a minute"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

# Pins the newest dependencies of the function, for each runtime of the platform.
locks: $(VENV)/.installed
	$(BIN)/python -m scheduler.deploy.lock

# Holds the function's dependencies against the known vulnerabilities. Needs more network than an index of packages.
audit: $(VENV)/.installed
	$(PYTHON) -m venv build/audit
	build/audit/bin/python -m pip install --quiet --disable-pip-version-check 'pip-audit>=2.7,<3'
	for lock in scheduler/deploy/locks/*.txt; do \
	  build/audit/bin/pip-audit --disable-pip --require-hashes --requirement "$$lock" || exit 1; done

clean:
	rm -rf $(VENV) build dist
