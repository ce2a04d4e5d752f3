# Everything a fresh machine needs is Python 3.11 or newer and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RECBOLE := recbole==1.2.1

.PHONY: run test test-slow test-gpu lint types check bench setup clean

## run: set up, run the main command, print the leaderboard
run: setup
	$(BIN)/python -m harness run --methods calrec,sasrec

## test: set up, run the tests, in two processes
test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile

## test-slow: the tests that take minutes
test-slow: setup
	$(BIN)/python -m pytest -m "slow and not gpu"

## test-gpu: the tests that need a CUDA device
test-gpu: setup
	$(BIN)/python -m pytest -m gpu

## lint: style and formatting
lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

## types: strict typing of the library
types: setup
	$(BIN)/mypy

## check: recompute every published number from stored ranks
check: setup
	$(BIN)/python -m harness leaderboard --check

## bench: the benchmarks that take about a minute; see benchmarks/README.md for all
bench: setup
	$(BIN)/python -m benchmarks.bm25
	$(BIN)/python -m benchmarks.sasrec_throughput

setup: $(VENV)/installed

# recbole comes without its dependencies: it pins packages that no longer install
$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is older than 3.11; say make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	$(BIN)/python -m pip install -q --no-deps $(RECBOLE)
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
