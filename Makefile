# The one task runner. `make run` and `make test` do all set-up themselves.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
COMMA := ,
LOCKS := requirements.lock requirements-test.lock
READY := $(VENV)/.ready-$(shell cat $(LOCKS) pyproject.toml | cksum | cut -d' ' -f1)
TORCH := torch==2.13.0
# pip takes the CPU build where its own configuration offers one (a wheel labelled +cpu sorts first), else the CUDA build.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# Where shapes stand in signatures: checked at run time in the unit tests.
SHAPED := $(subst $() ,$(COMMA),$(addprefix components.,paths samplers objectives models data training preference enhancer evaluation))

# Two workers; the tests of a file stay together, since they share what is slow to make.
TWO := $(BIN)/pytest --numprocesses 2 --dist loadfile

.PHONY: setup run test check unit contract integration e2e bench gpu-bench sync up clean

setup: $(READY) data/images

$(READY): $(LOCKS) pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Easel needs Python 3.11: install it, or name one with PYTHON=..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV): torch first, then $$(cat $(LOCKS) | grep -c ==) pinned packages (2 to 5 minutes, once)"
	@$(PIP) $(TORCH)
	@$(PIP) --no-deps $(addprefix -r ,$(LOCKS))
	@$(PIP) --no-deps --no-build-isolation --editable .
	@rm -f $(VENV)/.ready-*
	@touch $@

data/images: data.dvc | $(READY)
	@$(BIN)/easel data pull
	@touch $@

run: setup
	@$(BIN)/easel run

test: check unit contract integration e2e

check: setup
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/lint-imports
	$(BIN)/easel sync --check
	$(BIN)/pyright

unit: setup
	$(TWO) tests/unit --quiet --jaxtyping-packages=$(SHAPED),shape_checker.check

contract: setup
	$(BIN)/pytest tests/contract --quiet

integration: setup
	$(TWO) tests/integration --quiet -m "not slow"

e2e: setup
	$(TWO) tests/e2e --quiet

# Every benchmark in turn (about 18 minutes), or those named: make bench NAMES="near_duplicates sampling"
bench: setup
	@$(BIN)/python tests/benchmarks/run.py $(NAMES)

# One GPU, under 8 minutes, alone; needs torch 2.11 or newer with CUDA.
gpu-bench: setup
	@$(BIN)/python tests/benchmarks/gpu_bench.py

sync: setup
	$(BIN)/easel sync

up: setup
	$(BIN)/easel up

# Never data/ and never the DVC cache.
clean:
	rm -rf artifacts .easel .pytest_cache .ruff_cache .import_linter_cache
