# The two commands of a fresh machine: `make repro` and `make test`. `make repro PRESET=coco` puts a preset in place first;
# `make repro JOBS=2` trains two runs at a time, one thread each.
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Files side by side, one process for each core, in the order of tests/conftest.py.
PYTEST := pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

.PHONY: repro test test-fast check-gpu ui site lock

repro: .venv/ready
	@$(if $(PRESET),python -m pipeline.use $(PRESET))
	@python -m pipeline.lockfile
	@$(if $(JOBS),python -m pipeline.parallel $(JOBS),dvc repro)

test: .venv/ready
	ruff check .
	ruff format --check .
	mypy
	$(PYTEST)

test-fast: .venv/ready
	$(PYTEST) -m "not slow"

check-gpu: .venv/ready
	@python -m semipose.bench.check_gpu $(if $(DRY),--dry) --tests tests/data/test_prefetch.py --tests tests/training/test_gpu.py

ui: .venv/ready
	@python -m pipeline.ui $(PORT)

site: .venv/ready
	mkdocs build --quiet
	@echo "the pages are in site/index.html"

.venv/ready: requirements.lock pyproject.toml
	@test ! -L .venv || { echo "semipose: .venv is a link to $$(readlink .venv), the environment of another project, which make would rebuild: remove the link, or make the environment there" >&2; exit 1; }
	@command -v git >/dev/null || { echo "semipose: git is missing: install it with the system's packages" >&2; exit 1; }
	@command -v $(PYTHON) >/dev/null || { echo "semipose: $(PYTHON) is missing: install Python 3.11.4 or newer, or say make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11, 4))' || { echo "semipose: $$($(PYTHON) -V) is too old: Python 3.11.4 or newer is needed, say make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "semipose: $(PYTHON) has no venv module: install python3-venv with the system's packages" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch .venv/ready

lock:
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11.4 --all-extras pyproject.toml -o requirements.lock
