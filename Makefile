# Each target is a call of the library that does the work. The plain lines stand in README.md.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH := $(shell grep '^torch==' constraints.txt)
TORCH_ARGS ?=   # where pip finds another build of torch, for example --index-url URL
LAB_ARGS ?=     # for example --no-browser
NB ?=           # notebooks to make, for example NB=02; all by default
PARTS ?=        # of the checks, for example make test PARTS=notebooks; all by default
JOBS ?= 2       # so many tests, or notebooks under test, run at once, each on one thread

export JOBS
notebooks: export OMP_NUM_THREADS ?= 2
# idle threads sleep: where others use the cores too, spinning made a small network 14 times slower
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: help lab check test portable nightly lint notebooks figures book bench clean

help:  ## what there is
	@grep -E '^[a-z]+:.*## ' Makefile | sed 's/:[^#]*## /:	/'

lab: $(VENV)/.lab  ## open JupyterLab on notebook 00
	$(BIN)/companion lab $(LAB_ARGS)

check: $(VENV)/.test  ## format, lint, imports and the fast tests: after each change
	$(BIN)/python tools/check.py check $(PARTS)

test: $(VENV)/.test  ## everything: lint, unit tests, doctests, browser, every notebook
	$(BIN)/python tools/check.py test $(PARTS)

portable: $(VENV)/.test  ## what compares numbers, with other kernels and numbers of threads
	$(BIN)/python tools/check.py portable $(PARTS)

nightly: $(VENV)/.test  ## what takes hours: retraining, kills, mutants, a second seed, portability
	$(BIN)/python tools/check.py nightly $(PARTS)

lint: $(VENV)/.test  ## format, lint and the direction of imports
	$(BIN)/python tools/check.py check lint

notebooks: $(VENV)/.test  ## make each .ipynb from its .py, where that has changed
	$(BIN)/python tools/notebooks.py $(NB)

figures: $(VENV)/.test  ## draw every figure and table of the papers
	$(BIN)/companion figure

book: $(VENV)/.test  ## build book/_build/html
	$(BIN)/sphinx-build -n -W --keep-going -b html book book/_build/html

bench: $(VENV)/.test  ## measure speed, as ratios in one run
	$(BIN)/companion bench
	COMPANION_BENCH=1 $(BIN)/python -m pytest -s -m browser -k "quick or keyboard" tests

clean:  ## remove what these targets made, but not the environment
	rm -rf book/_build book/jupyter_execute book/notebooks book/reference book/_static/explorables book/_static/thumbs book/_static/turnables .pytest_cache .ruff_cache .import_linter_cache

$(VENV)/.lab: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --upgrade pip
	$(BIN)/python -m pip install "$(TORCH)" $(TORCH_ARGS)
	$(BIN)/python -m pip install -e . -c constraints.txt
	touch $@

$(VENV)/.test: $(VENV)/.lab
	$(BIN)/python -m pip install -e ".[dev]" -c constraints.txt
	touch $@
