# make demo: set up and run the main job on real input.   make test: set up and run every test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Where an NVIDIA driver is found, CuPy and Dask-CUDA for its CUDA version come too.
GPU := $(shell nvidia-smi >/dev/null 2>&1 && (nvidia-smi | grep -q 'CUDA Version: 12' && echo ,gpu-cuda12 || echo ,gpu))

.PHONY: demo test quick lint types bench clean
demo: $(STAMP)
	$(BIN)/python examples/demo.py

test: $(STAMP)-dev
	$(BIN)/python -m pytest -q -ra --durations=10

quick: $(STAMP)-dev
	$(BIN)/python -m pytest -q -m "not slow"

lint: $(STAMP)-dev
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: $(STAMP)-dev
	@mkdir -p .typing && ln -sfn .. .typing/gridstride
	$(BIN)/mypy -p gridstride.pipeline -p gridstride.workers

bench: $(STAMP)-dev
	$(BIN)/python -m pip install -q -e '.[bench]' && $(BIN)/python -m benchmarks

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "gridstride needs Python 3.11 or later: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(STAMP): pyproject.toml | $(VENV)/bin/python
	@echo "Installing gridstride into $(VENV) (a minute or two, once) ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[none$(GPU)]' 2>&1 | grep -v -i warning || true
	@$(BIN)/python -c 'import gridstride, zarr, distributed'
	@touch $@

$(STAMP)-dev: $(STAMP)
	@echo "Installing what the tests need ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev$(GPU)]' 2>&1 | grep -v -i warning || true
	@$(BIN)/python -c 'import pytest, hypothesis'
	@touch $@

clean:
	rm -rf $(VENV) .typing demo-output build *.egg-info
