# make demo: set up, and run the main jobs on real input.   make test: set up, and run every test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# With an NVIDIA driver, CuPy and Dask-CUDA for its CUDA version are installed too.
GPU := $(shell nvidia-smi >/dev/null 2>&1 && (nvidia-smi | grep -q 'CUDA Version: 12' && echo gpu-cuda12 || echo gpu))
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check

# Test files run in parallel, except where they would share a GPU's memory.
# In conftest.py's order, which begins with the files that take longest.
AT_ONCE := $(if $(GPU),,-n auto --dist loadfile --no-loadscope-reorder)

.PHONY: demo test quick lint types bench networks reference clean
demo: $(VENV)/.installed
	$(BIN)/python examples/demo.py

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -q -rs --durations=10 $(AT_ONCE)

quick: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -q -m "not slow" $(AT_ONCE)

# The selection networks of medians on GPUs, generated and proved.
networks: $(VENV)/.installed-dev
	$(BIN)/python -m gridstride.workers.families.networks cuda/networks.cuh

# The page of all operators, made from their files, and its pictures.
reference: $(VENV)/.installed-dev
	$(BIN)/python docs/pictures.py
	$(BIN)/python -m gridstride.pipeline.reports.reference docs/reference.md

docs/reference.md: $(wildcard workers/operators/*.py) pipeline/reports/reference.py | $(VENV)/.installed
	$(BIN)/python -m gridstride.pipeline.reports.reference $@

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	@mkdir -p .typing && ln -sfn .. .typing/gridstride
	$(BIN)/mypy -p gridstride.pipeline -p gridstride.workers

bench: $(VENV)/.installed-dev
	$(PIP) -e '.[bench]'
	$(BIN)/python -m benchmarks

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "gridstride needs Python 3.11 or later: use make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@echo "installing gridstride into $(VENV): takes a minute or two, only once"
	@$(PIP) -e '.$(if $(GPU),[$(GPU)])'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "installing packages for the tests"
	@$(PIP) -e '.[dev,$(if $(GPU),$(GPU),no-gpu)]'
	@touch $@

clean:
	rm -rf $(VENV) .typing demo-output build *.egg-info
