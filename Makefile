# Everything from a checkout: needs Python 3.11 or newer and make, nothing else. `make help` lists what there is.
#
# How it works: .venv is made by Python's own venv, a pinned uv is installed into it, and uv installs what uv.lock says.
# Stamps in .venv remember what was done, so a second run starts at once; `make clean` forgets all of it.
# Fails with one sentence that says what to do. PYTHON=… chooses an interpreter.

UV_VERSION := 0.13.9
STAMPS     := .venv/.stamps
BIN        := .venv/bin
PYTHON     ?= $(shell for candidate in python3 python3.14 python3.13 python3.12 python3.11; do \
                $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && \
                echo $$candidate && break; done)
SOURCES    := pipeline tests

.DEFAULT_GOAL := help
# With this set, every one of a stack's processes would compile its libraries anew: 2 s of CPU each.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help install demo test clients lint format types check audit bench chaos clean

help: ## List what can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1|/' | \
		awk -F'|' '{printf "%-16s %s\n", $$1, $$2}'

install: $(STAMPS)/packages $(STAMPS)/kafka ## Install what the lock says into .venv, fetch Kafka

demo: install ## Start a stack, send recorded traffic of real clients, show what came out
	@$(BIN)/spanfold demo

test: lint types $(STAMPS)/kafka ## Lint, type check and test, as CI does
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations 25

clients: $(STAMPS)/packages $(STAMPS)/kafka ## Run real clients of every kind against a stack, and all recordings (needs Go, Node.js, a JDK)
	@$(BIN)/python -m pytest -m clients tests/end_to_end

lint: $(STAMPS)/packages ## Check style and formatting
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)

types: $(STAMPS)/packages ## Check types (strict)
	@$(BIN)/mypy

format: $(STAMPS)/packages ## Format the code and mend what can be mended
	@$(BIN)/ruff check --fix $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

audit: $(STAMPS)/packages ## Look for known vulnerabilities in what the lock installs, where advisories can be reached
	@$(BIN)/python infra/audit/audit.py

bench: install ## Measure this machine: CPU of a worker per event, by stage
	@$(BIN)/spanfold bench

chaos: install ## Do faults to a stack under load and write docs/reliability.md; ARGS=--list shows which
	@$(BIN)/python -m tests.faults.chaos $(ARGS)

clean: ## Remove .venv and all caches of the tools; the data of a stack stays
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(STAMPS)/python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "Spanfold needs Python 3.11 or newer, and none was found on the PATH." \
			"Install one (https://www.python.org/downloads/), or name it: make PYTHON=/path/to/python3" >&2; exit 1; fi
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "PYTHON=$(PYTHON) does not run or is older than 3.11. Name another: make PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) came without its venv module. Install it (Debian, Ubuntu: apt install python3-venv) and try again." >&2; \
		exit 1; }
	@"$(PYTHON)" -m venv .venv || { \
		echo "$(PYTHON) could not make .venv (see above). Check that this folder is writable and try again." >&2; exit 1; }
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/uv-$(UV_VERSION): | $(STAMPS)/python
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION) || { \
		echo "pip could not install uv $(UV_VERSION) (see above)." \
			"Check the network and pip's settings (pip config list), then run make again." >&2; exit 1; }
	@touch $@

# --inexact: uv and pip themselves live in .venv and are not in the lock. Compiled now, processes start faster later.
$(STAMPS)/packages: pyproject.toml uv.lock | $(STAMPS)/uv-$(UV_VERSION)
	@echo "Installing what uv.lock says into .venv (a few minutes the first time)."
	@UV_PROJECT_ENVIRONMENT=.venv UV_PYTHON_DOWNLOADS=never $(BIN)/uv sync --frozen --inexact --compile-bytecode || { \
		echo "uv could not install what uv.lock says (see above). Check the network, then run make again." >&2; exit 1; }
	@touch $@

$(STAMPS)/kafka: infra/kafka/jars.lock | $(STAMPS)/packages
	@$(BIN)/python -m pipeline.local.jars
	@touch $@
